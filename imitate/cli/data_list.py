"""imitate data list: a table of the episodes, and what was done to them.

    imitate collect env=tabletop/pick_place episodes=3 seed=0 out=demos.zarr
    imitate data filter data.path=demos.zarr min_steps=2 out=some.view.json
    imitate data list data.path=some.view.json

shows of each episode its id, steps, success, source, operator, rate and task; of a view also the stores that
it reads and its history, of a mixture the share of each store. "-" stands where nothing is known.

Keys:
    data.path    a store, a replay buffer, a view or a mixture
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imitate.cli.command import Outcome
from imitate.cli.data_source import EditedData
from imitate.datasets.episode_store import EpisodeRecord, EpisodeStore
from imitate.datasets.mixture import shares_of
from imitate.datasets.opening import open_store
from imitate.datasets.views.view import View
from imitate.datasets.views.view_file import described
from imitate.progress import Progress

COLUMNS = ("id", "steps", "success", "source", "operator", "rate", "task")


@dataclass(frozen=True)
class DataListCommand:
    """The settings of `imitate data list`; see the module."""

    data: EditedData

    def run(self, progress: Progress) -> Outcome:
        """Open the store and list what it holds."""
        with open_store(self.data.path, progress) as store:
            records = [store.record(index) for index in range(len(store))]
            said: dict[str, Any] = {
                "path": store.address,
                "steps": store.steps,
                "hash": store.content_hash(),
                "episodes": [_facts(record, store) for record in records],
                "shares": shares_of(store),
                "history": _history_json(store),
            }
            rows = [COLUMNS, *(_row(episode) for episode in said["episodes"])]
            lines = [*_table(rows), f"{len(store)} episodes, {store.steps} steps", *_origin(store, "")]
        return Outcome(said, lines)


def _facts(record: EpisodeRecord, store: EpisodeStore) -> dict[str, Any]:
    return {
        "id": record.id,
        "steps": record.steps,
        "success": record.success,
        "source": record.source,
        "operator": record.operator,
        "rate_hz": record.rate_hz or store.spec.rate_hz,
        "task": record.metadata.get("task"),
    }


def _row(episode: dict[str, Any]) -> tuple[str, ...]:
    judged = {True: "yes", False: "no", None: "-"}[episode["success"]]
    rate = f"{episode['rate_hz']:g} Hz" if episode["rate_hz"] else "-"
    known = [str(episode[key]) if episode[key] not in (None, "") else "-" for key in ("source", "operator")]
    task = "-" if episode["task"] is None else str(episode["task"])
    return (episode["id"], str(episode["steps"]), judged, *known, rate, task)


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if name in ("steps", "rate") else cell.ljust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _origin(store: EpisodeStore, indent: str) -> Iterator[str]:
    """Where the episodes come from, and what was done to them."""
    for path, share in shares_of(store).items():
        yield f"{indent}share    {share:.1%} of the windows from {path}"
    if not isinstance(store, View):
        return
    for source in store.sources:
        yield f"{indent}source   {source.path}"
        yield from _origin(source, f"{indent}  ")
    for number, entry in enumerate(store.file.history, start=1):
        yield f"{indent}history  {number}. {entry.date}  {described(entry)}"


def _history_json(store: EpisodeStore) -> list[dict[str, Any]]:
    if not isinstance(store, View):
        return []
    return [{"operation": e.operation, "date": e.date, **e.arguments()} for e in store.file.history]
