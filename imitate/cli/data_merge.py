"""imitate data merge: the episodes of several stores as one, as a view.

    imitate collect env=tabletop/pick_place episodes=3 seed=0 out=monday.zarr
    imitate collect env=tabletop/pick_place episodes=3 seed=1 out=tuesday.zarr
    imitate data merge sources=[monday.zarr,tuesday.zarr] out=week.view.json

Observations, actions, units and rate have to be the same. Ids that several stores have get the name of their
store before them. Nothing is copied, and the stores stay as they are. Stores that differ in names, or that
are to be drawn from by weight, make a mixture: see docs/datasets.md.

Keys:
    sources    the stores, or views of them: [a.zarr,b.zarr]
    out        the new view, e.g. all.view.json
"""

from dataclasses import dataclass
from pathlib import Path

from imitate.cli.command import Outcome
from imitate.cli.data_source import facts, out_path
from imitate.datasets.views.making import merge
from imitate.progress import Progress


@dataclass(frozen=True)
class DataMergeCommand:
    """The settings of `imitate data merge`; see the module."""

    sources: tuple[str, ...]
    out: str

    def run(self, progress: Progress) -> Outcome:
        """Write the view."""
        with merge([Path(path) for path in self.sources], out_path(self.out)) as view:
            parts = [f"{len(part)} of {path}" for part, path in zip(view.sources, self.sources, strict=True)]
            lines = [
                f"view  {view.path}: {len(view)} episodes ({', '.join(parts)}), {view.steps} steps",
                f"hash  {view.content_hash()}",
                *(f"left out  {item}" for item in view.left_out),
            ]
            return Outcome({**facts(view), "left_out": list(view.left_out)}, lines)
