"""imitate sweep: train and roll out every policy in every task with every seed, side by side.

    imitate sweep policies=[bc,diffusion] tasks=[tabletop/reach] seeds=[0,1] data=demos.zarr out=sweeps/a

trains each cell of the grid as `imitate train` does and plays it as `imitate rollout` does, into
out/POLICY/TASK/seed_N. A cell that fails stops no other; the same command again does only the cells that are
not done, and goes on with one that was interrupted. At the end: a table, sweep.json, and for each task a page
of its runs (imitate page). Exit code 1 where a cell failed; cell.log in its folder says why.

Keys:
    policies    names of policies: see  imitate list
    tasks       names of environments
    seeds       of training
    data        the demonstrations; {task} in it stands for the task, with _ in the place of /
    train       further settings of imitate train: 'train=[train.max_steps=5000,optim.lr=3e-4]'
    rollout     further settings of imitate rollout
    episodes    of each rollout;  seed: of its first episode
    out         the folder of the sweep
    cluster     ray: cells on the workers of a Ray, each with cluster.cpus and cluster.gpus; docs/scaling.md
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from imitate.cli.command import Outcome
from imitate.cluster.config import ClusterConfig
from imitate.cluster.session import session
from imitate.cluster.tasks import results
from imitate.config import compose
from imitate.datasets.durable import write_durably
from imitate.errors import ClusterError, ConfigError, ImitateError
from imitate.evaluation.grid import Cell, CellResult, done, play_cell, table
from imitate.evaluation.page_runs import RunsPage
from imitate.evaluation.runs import read_entries
from imitate.page import percent
from imitate.progress import Progress
from imitate.training.interrupt import Interrupted, interrupts

MEGABYTES = 25.0
PATIENCE_S = 30 * 24 * 3600.0
"""A cell ends by train.max_minutes and train.max_steps, not because it keeps others waiting."""


@dataclass(frozen=True)
class SweepCommand:
    """The settings of `imitate sweep`; see the module."""

    policies: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    data: str
    out: str
    train: tuple[str, ...]
    rollout: tuple[str, ...]
    episodes: int
    seed: int
    cluster: ClusterConfig | None = None

    def __post_init__(self) -> None:
        for name in ("policies", "tasks", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) < len(values):
                raise ConfigError(f"{name} is {list(values)}, expected at least one, and each once")

    def run(self, progress: Progress) -> Outcome:
        """Do the cells that are not done, and tell of all."""
        cells = [self._cell(*one) for one in product(self.policies, self.tasks, self.seeds)]
        for cell in cells:
            self._require_sound(cell)
        found = {cell: CellResult.of(cell) for cell in cells if done(cell)}
        left = [cell for cell in cells if cell not in found]
        if found:
            progress.say(f"{len(found)} of {len(cells)} cells are done already")
        try:
            with progress.task("sweep", len(left), "cells") as bar:
                for one in self._played(left):
                    found[one.cell] = one
                    did = one.error or f"{one.successes} of {one.episodes}"
                    bar.advance(note=f"{one.cell.folder}: {did}")
        except Interrupted as stop:
            progress.say(f"stopped by {stop}; the same command goes on")
            sys.exit(128 + stop.number)
        return self._outcome([found[cell] for cell in cells], progress)

    def _cell(self, policy: str, task: str, seed: int) -> Cell:
        name = task.replace("/", "_")
        folder = str(Path(self.out) / policy.replace("/", "_") / name / f"seed_{seed}")
        data = self.data.replace("{task}", name)
        train = (
            f"policy={policy}",
            f"env={task}",
            f"data.path={data}",
            f"out={folder}",
            f"train.seed={seed}",
        )
        rollout = (f"checkpoint={folder}", f"out={folder}/rollout", f"episodes={self.episodes}")
        played = (*rollout, f"seed={self.seed}", *self.rollout)
        return Cell(policy, task, seed, folder, (*train, *self.train), played)

    def _require_sound(self, cell: Cell) -> None:
        """A mistake in the settings is told now, and not by every cell."""
        compose("train", cell.train)
        compose("rollout", cell.rollout)
        cell.require_same()

    def _played(self, cells: Sequence[Cell]) -> Iterator[CellResult]:
        if self.cluster is None:
            with interrupts() as asked, asked.at_once():
                yield from map(play_cell, cells)
            return
        config = replace(self.cluster, timeout_s=PATIENCE_S)
        with session(config) as ray, interrupts() as asked, asked.at_once():
            played = results(ray, config, play_cell, cells, str(Path.cwd()), instead=_lost)
            yield from (one for _, one in played)

    def _outcome(self, found: Sequence[CellResult], progress: Progress) -> Outcome:
        rows, pages = table(found), self._pages(found, progress)
        said = {"out": self.out, "rows": rows, "pages": pages, "cells": [asdict(one) for one in found]}
        write_durably(Path(self.out) / "sweep.json", (json.dumps(said, indent=1) + "\n").encode())
        lines = [
            *_lines(rows),
            *(f"page  {page}" for page in pages),
            f"json  {Path(self.out) / 'sweep.json'}",
        ]
        return Outcome(said, lines, exit_code=int(any(one.error for one in found)))

    def _pages(self, found: Sequence[CellResult], progress: Progress) -> list[str]:
        """A page of each task's runs: those of others are not comparable."""
        pages = []
        for task in self.tasks:
            folders = [one.cell.folder for one in found if one.cell.task == task and not one.error]
            if folders:
                out = Path(self.out) / f"{task.replace('/', '_')}.html"
                try:
                    RunsPage.of(read_entries(folders, progress), True, MEGABYTES, progress).write(out)
                    pages.append(str(out))
                except ImitateError as error:
                    progress.say(f"no page of {task}: {error}")
        return pages


def _lost(cell: Cell, error: ClusterError) -> CellResult:
    return CellResult(cell, error=str(error))


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = [f"{row['policy']}  {row['task']}" for row in rows]
    return [f"{name:<{max(map(len, names))}}  {_told(row)}" for name, row in zip(names, rows, strict=True)]


def _told(row: dict[str, Any]) -> str:
    seed = "all seeds" if row["seed"] is None else f"seed {row['seed']}"
    if row["interval"] is None:
        return f"{seed:>9}  failed: {row['error']}"
    low, high = row["interval"]
    said = f"{seed:>9}  {percent(row['success_rate'], 1):>7}  [{low:.3f}, {high:.3f}]"
    said += f"  of {row['episodes']} episodes"
    if row["seed"] is None:
        said += f", seeds from {percent(row['lowest'], 1)} to {percent(row['highest'], 1)}"
        said += f"; {row['cells'] - row['done']} failed" if row["done"] < row["cells"] else ""
    return said
