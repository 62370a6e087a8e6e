"""imitate data filter: keep some episodes, as a view.

    imitate collect env=tabletop/pick_place episodes=6 seed=0 out=demos.zarr
    imitate data filter data.path=demos.zarr success=true min_steps=20 out=good.view.json
    imitate data filter data.path=good.view.json ids=[demo_3,demo_7] drop=true out=better.view.json
    imitate data filter data.path=demos.zarr keep=keep.json out=kept.view.json

writes a small file that names the store and what was done; nothing is copied, and the store stays as it is.
Every command that takes data.path= takes the view, and  imitate import src=good.view.json out=good.zarr
makes a store of it. Episodes are kept that meet all that is asked.

Keys:
    data.path    the store, or a view of one
    out          the new view, e.g. good.view.json
    success      true, false, or unknown where nobody judged
    source       where the episode comes from
    operator     who showed it
    min_steps    shortest and longest, both included
    max_steps
    metadata     {key: value} of the episode's metadata, or of a list that holds the value
    ids          [id, id, …]
    keep         a keep-list: what it keeps, without the steps it cuts off at the ends
    drop         true: keep all other episodes instead
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData, out_path, texts, view_of
from imitate.datasets.opening import open_store
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.keeping import kept_by
from imitate.datasets.views.making import derive
from imitate.datasets.views.operations import Filter
from imitate.errors import ConfigError
from imitate.progress import Progress


@dataclass(frozen=True)
class DataFilterCommand:
    """The settings of `imitate data filter`; see the module."""

    data: EditedData
    out: str
    success: bool | str | None
    source: str | None
    operator: str | None
    min_steps: int | None
    max_steps: int | None
    metadata: Mapping[str, Any] | None
    ids: tuple[str | int, ...] | None
    keep: str | None
    drop: bool

    def run(self, progress: Progress) -> Outcome:
        """Write the view."""
        asked, out = self._criteria(), out_path(self.out)
        with open_store(self.data.path) as store:
            if self.keep is None:
                return view_of(derive(store, [Filter(asked, self.drop)], out), store)
            operations, notes = kept_by(Path(self.keep), store)
            more = [] if asked == Criteria() else [Filter(asked, self.drop)]
            return view_of(derive(store, [*operations, *more], out), store, notes)

    def _criteria(self) -> Criteria:
        found = Criteria(
            self.success,
            self.source,
            self.operator,
            self.min_steps,
            self.max_steps,
            self.metadata,
            texts(self.ids),
        )
        if found == Criteria() and self.keep is None:
            raise ConfigError("nothing to filter by: add  success=true  or another key; see --help")
        if found == Criteria() and self.drop:
            raise ConfigError("drop=true needs to know which episodes: add  success=false  or another key")
        return found
