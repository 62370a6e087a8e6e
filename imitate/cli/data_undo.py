"""imitate data undo: a view without the last thing that was done.

    imitate collect env=tabletop/pick_place episodes=6 seed=0 out=demos.zarr
    imitate data filter data.path=demos.zarr min_steps=2 out=a.view.json
    imitate data trim data.path=a.view.json start=1 out=b.view.json
    imitate data undo data.path=b.view.json out=c.view.json

writes another view; the one that is given stays as it is. imitate data list data.path=b.view.json  shows the
history.

Keys:
    data.path    the view
    out          the new view
"""

from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData, facts, out_path
from imitate.datasets.opening import open_store
from imitate.datasets.views.making import undo
from imitate.progress import Progress


@dataclass(frozen=True)
class DataUndoCommand:
    """The settings of `imitate data undo`; see the module."""

    data: EditedData
    out: str

    def run(self, progress: Progress) -> Outcome:
        """Write the view."""
        with open_store(self.data.path) as store:
            view = undo(store, out_path(self.out))
        lines = [
            f"view  {view.path}: {len(view)} episodes, {view.steps} steps",
            f"hash  {view.content_hash()}",
        ]
        return Outcome(facts(view), lines)
