"""imitate data relabel: say something else of episodes, as a view.

    imitate collect env=tabletop/pick_place episodes=3 seed=0 out=demos.zarr
    imitate data relabel data.path=demos.zarr task='pick up the cube' operator=anna out=labelled.view.json
    imitate data relabel data.path=demos.zarr where.ids=[demo_3] success=false out=judged.view.json

Nothing is copied, and the store stays as it is. What is null stays as it was.

Keys:
    data.path    the store, or a view of one
    out          the new view, e.g. labelled.view.json
    success      true, false, or unknown
    source       where the episodes come from
    operator     who showed them
    task         what is to be done, in words: the metadata "task"
    metadata     {key: value} to set; {key: null} removes it
    where        which episodes, all by default: where.success, where.source, where.operator,
                 where.min_steps, where.max_steps, where.metadata and where.ids, as of  imitate data filter
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData, out_path, view_of
from imitate.datasets.opening import open_store
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.making import derive
from imitate.datasets.views.operations import Relabel
from imitate.errors import ConfigError
from imitate.progress import Progress

TASK = "task"


@dataclass(frozen=True)
class DataRelabelCommand:
    """The settings of `imitate data relabel`; see the module."""

    data: EditedData
    out: str
    success: bool | str | None
    source: str | None
    operator: str | None
    task: str | None
    metadata: Mapping[str, Any] | None
    where: Criteria

    def run(self, progress: Progress) -> Outcome:
        """Write the view."""
        metadata = dict(self.metadata or {}) | ({} if self.task is None else {TASK: self.task})
        operation = Relabel(self.where, self.success, self.source, self.operator, metadata)
        if operation == Relabel(self.where):
            raise ConfigError("nothing to say of the episodes: add  success=true  or another key; see --help")
        with open_store(self.data.path) as store:
            return view_of(derive(store, [operation], out_path(self.out)), store)
