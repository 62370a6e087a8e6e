"""imitate data instruct: what is to be done in each episode, in words, as an observation of a view.

    imitate collect env=tabletop/reach episodes=3 seed=0 out=demos.zarr
    imitate data relabel data.path=demos.zarr task='reach the target' out=labelled.view.json
    imitate data instruct data.path=labelled.view.json out=told.view.json

The text is that of the metadata "task", which importing keeps. Its words, and pairs of neighbouring words,
are hashed to a vector, the same in all steps of the episode. A policy that is trained on the view remembers
how, so that a sentence is enough to act:  imitate rollout … rollout.instruction='reach the target'. See
docs/policies.md. Nothing is copied, and the store stays as it is.

Keys:
    data.path      the store, or a view of one
    out            the new view, e.g. told.view.json
    observation    what the vector is called
    size           how many numbers it has
"""

from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData, out_path, view_of
from imitate.datasets.opening import open_store
from imitate.datasets.views.instructing import Instruct
from imitate.datasets.views.making import derive
from imitate.instruction import listed
from imitate.progress import Progress


@dataclass(frozen=True)
class DataInstructCommand:
    """The settings of `imitate data instruct`; see the module."""

    data: EditedData
    out: str
    observation: str
    size: int

    def run(self, progress: Progress) -> Outcome:
        """Write the view."""
        with open_store(self.data.path) as store:
            view = derive(store, [Instruct(self.observation, self.size)], out_path(self.out))
            texts = view.spec.obs[self.observation].sentences
            return view_of(view, store, [f"told: {listed(texts)}"])
