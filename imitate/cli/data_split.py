"""imitate data split: divide the episodes into parts, each a view.

    imitate collect env=tabletop/pick_place episodes=6 seed=0 out=demos.zarr
    imitate data split data.path=demos.zarr share=0.8 seed=0 out=parts
    imitate data split data.path=demos.zarr by=operator out=by_operator

writes parts/train.view.json with 80 % of the episodes, drawn by the seed, and parts/test.view.json with the
others; or one view for every operator. Nothing is copied, and the store stays as it is.

Keys:
    data.path    the store, or a view of one
    out          the new folder of the views
    share        of the episodes that become train, between 0 and 1; at least one episode in each part
    seed         which ones
    by           null, or the attribute whose values make the parts: success, source, operator, or
                 metadata.KEY
"""

from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData, facts, out_path
from imitate.datasets.opening import open_store
from imitate.datasets.views.making import derive_parts
from imitate.datasets.views.splitting import parts_by, random_parts
from imitate.progress import Progress


@dataclass(frozen=True)
class DataSplitCommand:
    """The settings of `imitate data split`; see the module."""

    data: EditedData
    out: str
    share: float
    seed: int
    by: str | None

    def run(self, progress: Progress) -> Outcome:
        """Write the views."""
        out = out_path(self.out)
        with open_store(self.data.path) as store:
            records = [store.record(index) for index in range(len(store))]
            if self.by is None:
                parts = random_parts(records, self.share, self.seed)
            else:
                parts = parts_by(records, self.by)
            views = derive_parts(store, parts, out)
        lines = [
            f"view  {view.path}: {len(view)} of {len(records)} episodes, {view.steps} steps"
            for view in views.values()
        ]
        return Outcome({"out": self.out, "parts": {n: facts(view) for n, view in views.items()}}, lines)
