"""imitate data trim: cut steps off the start and end of episodes, as a view.

    imitate collect env=tabletop/pick_place episodes=3 seed=0 out=demos.zarr
    imitate data trim data.path=demos.zarr start=2 end=1 out=shorter.view.json
    imitate data trim data.path=demos.zarr idle=true out=moving.view.json
    imitate data trim data.path=demos.zarr 'ranges={demo_3: [10, 80]}' out=cut.view.json

Nothing is copied, and the store stays as it is. What is left of an episode is told in its metadata
(trimmed: [first step, step behind the last]).

Keys:
    data.path    the store, or a view of one
    out          the new view, e.g. shorter.view.json
    start        steps to cut off at the start of every episode, or of those in ids
    end          and at the end
    ids          null for all episodes, or [id, id, …]
    idle         true: cut off the steps before the first and behind the last motion instead, as
                 imitate report  measures them
    ranges       {id: [first step, step behind the last]} to keep, instead of start and end
"""

from collections.abc import Mapping
from dataclasses import dataclass

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData, out_path, texts, view_of
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.opening import open_store
from imitate.datasets.views.criteria import Criteria
from imitate.datasets.views.idle import moving_ranges
from imitate.datasets.views.making import derive
from imitate.datasets.views.operations import Trim
from imitate.errors import ConfigError, DataError
from imitate.progress import Progress


@dataclass(frozen=True)
class DataTrimCommand:
    """The settings of `imitate data trim`; see the module."""

    data: EditedData
    out: str
    start: int
    end: int
    ids: tuple[str | int, ...] | None
    idle: bool
    ranges: Mapping[str, tuple[int, int]] | None

    def __post_init__(self) -> None:
        if self.idle and (self.start or self.end or self.ranges):
            raise ConfigError("idle=true finds out what to cut: leave out start, end and ranges")

    def run(self, progress: Progress) -> Outcome:
        """Write the view."""
        if not (self.idle or self.start or self.end or self.ranges):
            raise ConfigError("nothing to cut: add  start=…, end=…, idle=true  or ranges; see --help")
        out, where = out_path(self.out), Criteria(ids=texts(self.ids))
        with open_store(self.data.path) as store:
            if self.idle:
                return view_of(derive(store, [_without_idle_ends(store, where)], out), store)
            return view_of(derive(store, [Trim(self.start, self.end, where, self.ranges or {})], out), store)


def _without_idle_ends(store: EpisodeStore, where: Criteria) -> Trim:
    records = [store.record(index) for index in range(len(store))]
    meant = where.select(records, "trim")
    ranges = moving_ranges(store, [index for index, is_meant in enumerate(meant) if is_meant])
    if not ranges:
        raise DataError(f"{store.path}: no episode begins or ends idle, so there is nothing to cut")
    return Trim(ranges=ranges, because="idle ends")
