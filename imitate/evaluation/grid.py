"""A grid of policies × tasks × seeds: each cell is trained and rolled out by commands of its own.

A cell is a process of its own, so that what ends one, also a crash or a full memory, ends no other. Its
folder is that of a run, with the rollout in it; one whose rollout is there is done and is not done again.
"""

import ctypes
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from imitate.checkpoint import LAST
from imitate.datasets.durable import only_one, write_durably
from imitate.errors import ConfigError
from imitate.evaluation.result import FILE_NAME, load
from imitate.evaluation.statistics import wilson

SETTINGS, LOG, LOCK = "cell.json", "cell.log", ".cell.lock"
SAVE_S = 60.0
"""How long a cell may take to save when the sweep is ended."""


@dataclass(frozen=True)
class Cell:
    """One policy, task and seed: the folder of the run, and the arguments of train and rollout."""

    policy: str
    task: str
    seed: int
    folder: str
    train: tuple[str, ...]
    rollout: tuple[str, ...]

    @property
    def result(self) -> Path:
        """Where the rollout is once the cell is done."""
        return Path(self.folder) / "rollout" / FILE_NAME

    def require_same(self) -> None:
        """Raise ConfigError where the folder was begun with other settings."""
        file = Path(self.folder) / SETTINGS
        if file.is_file() and json.loads(file.read_text()) != json.loads(self._settings()):
            raise ConfigError(
                f"{file} is of a cell with other settings: give another out, or remove that folder"
            )

    def _settings(self) -> bytes:
        return (json.dumps(asdict(self), indent=1) + "\n").encode()

    def begin(self) -> None:
        """Make the folder, and say in it what the cell is."""
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        write_durably(Path(self.folder) / SETTINGS, self._settings())


@dataclass(frozen=True)
class CellResult:
    """successes of episodes, both 0 where the cell failed; `error` then says with which last line."""

    cell: Cell
    successes: int = 0
    episodes: int = 0
    error: str = ""

    @classmethod
    def of(cls, cell: Cell) -> "CellResult":
        """Of a cell that is done; raises DataError where its result is damaged."""
        found = load(cell.result)
        return cls(cell, found.successes, len(found.episodes))


def done(cell: Cell) -> bool:
    """Whether the rollout of the cell is there."""
    return cell.result.is_file()


def play_cell(cell: Cell, within: str = ".") -> CellResult:
    """Train and roll out, or go on where that was interrupted; what goes wrong is in the result.

    within: the folder from which the paths of the cell are meant.
    """
    with chdir(within):
        cell.begin()
        # Where this process is killed its child saves before it ends, and who goes on with the cell waits.
        with only_one(Path(cell.folder) / LOCK) as held, (Path(cell.folder) / LOG).open("ab") as log:
            return _play(cell, log, held)


def _play(cell: Cell, log: BinaryIO, held: int) -> CellResult:
    if done(cell):
        return CellResult.of(cell)
    going_on = ("resume=true",) if (Path(cell.folder) / LAST).exists() else ()
    for arguments in (("train", *cell.train, *going_on), ("rollout", *cell.rollout)):
        command = [sys.executable, "-m", "imitate", *arguments]
        if code := _ended(command, log, held):
            return CellResult(cell, error=f"{arguments[0]} ended with {code}: {_last_line(cell)}")
    return CellResult.of(cell)


def _ended(command: list[str], log: BinaryIO, held: int) -> int:
    """The exit code of `command`; where the sweep is to end, it is asked to end, so that it can save."""
    # In a session of its own, or Ctrl-C would reach it twice.
    settings = {"stdout": log, "stderr": log, "stdin": subprocess.DEVNULL, "start_new_session": True}
    if sys.platform == "linux":
        settings |= {"preexec_fn": _ask_to_end_with_the_parent, "pass_fds": (held,)}
    with subprocess.Popen(command, **settings) as child:  # type: ignore[call-overload]
        try:
            return int(child.wait())
        except BaseException:
            child.terminate()
            try:
                child.wait(SAVE_S)
            except subprocess.TimeoutExpired:
                child.kill()
            raise


LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1


def _ask_to_end_with_the_parent() -> None:
    """In a child before it begins: Linux sends it SIGTERM when its parent is gone, however that came."""
    assert LIBC is not None
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _last_line(cell: Cell) -> str:
    lines = (Path(cell.folder) / LOG).read_text(errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def table(results: Sequence[CellResult]) -> list[dict[str, Any]]:
    """Rows of what every policy did in every task: per seed, and of all seeds together (seed None).

    interval: of 95 % (Wilson). Over seeds all episodes count alike, so it says how sure the mean of these
    seeds is; how far seeds lie apart is in lowest and highest.
    """
    rows = [_row(one.cell, one.cell.seed, [one]) for one in results]
    groups: dict[tuple[str, str], list[CellResult]] = {}
    for one in results:
        groups.setdefault((one.cell.policy, one.cell.task), []).append(one)
    return rows + [_row(group[0].cell, None, group) for group in groups.values()]


def _row(cell: Cell, seed: int | None, results: Sequence[CellResult]) -> dict[str, Any]:
    played = [one for one in results if one.episodes]
    successes, episodes = (sum(getattr(one, name) for one in played) for name in ("successes", "episodes"))
    rates = [one.successes / one.episodes for one in played]
    return {
        "policy": cell.policy,
        "task": cell.task,
        "seed": seed,
        "cells": len(results),
        "done": len(played),
        "success_rate": successes / episodes if episodes else None,
        "interval": list(wilson(successes, episodes)) if episodes else None,
        "lowest": min(rates, default=None),
        "highest": max(rates, default=None),
        "episodes": episodes,
        "error": next((one.error for one in results if one.error), ""),
    }
