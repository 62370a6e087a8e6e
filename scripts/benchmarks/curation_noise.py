"""What noise in the action and in the world costs, by number of demonstrations, and what is measured of it.

The experiments of Belkhale, Cui & Sadigh, "Data Quality in Imitation Learning" (arXiv 2306.02437), in
small: policy noise is part of the recorded action, system noise is added to what is executed.
"""

import argparse
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from commands import say
from curation_runs import Outcome, difference, row, run_folder, trained, wins
from planted import BOTH, NO_NOISE, NOISES, POLICY_NOISE, SYSTEM_NOISE, TASKS, disturb
from scipy.stats import spearmanr

from imitate.datasets.opening import open_store
from imitate.datasets.quality.coverage import coverage
from imitate.datasets.quality.divergence import action_divergence
from imitate.datasets.quality.diversity import transition_diversity
from imitate.datasets.quality.features import standardize, state_features
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex
from imitate.evaluation.statistics import mean_interval, wilson

NEIGHBOURS = 16
MEASURES = ("divergence", "diversity", "novelty")
RESAMPLES = 1000


@dataclass(frozen=True)
class Cell:
    """One number of demonstrations and one kind of noise: of each set what is played, and measured."""

    played: list[list[Outcome]]
    measured: list[dict[str, float]]

    @property
    def won(self) -> list[bool]:
        return [won for outcomes in self.played for won in wins(outcomes)]

    @property
    def by_set(self) -> list[float]:
        return [float(np.mean(wins(outcomes))) for outcomes in self.played]

    def mean(self, name: str) -> float:
        return float(np.mean([found[name] for found in self.measured]))


def noise(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Success after demonstrations with each kind of noise, and three questions to it."""
    rows = []
    for task in [task for task in chosen.tasks.split(",") if task in TASKS]:
        cells: dict[tuple[int, str], Cell] = {}
        for count in chosen.counts:
            cells |= {(count, kind): cell for kind, cell in _cells(chosen, task, count).items()}
        rows += _successes(task, cells)
        rows += [*_costs(task, chosen.counts, cells), *_correlations(task, chosen.counts, cells)]
    return rows


def _cells(chosen: argparse.Namespace, task: str, count: int) -> dict[str, Cell]:
    """Of each kind of noise what is played after training, and what is measured."""
    played: dict[str, list[list[Outcome]]] = {kind: [] for kind in NOISES}
    paths = []
    for kind, seed in itertools.product(NOISES, range(chosen.seeds)):
        path = chosen.out / task.replace("/", "_") / f"{kind} {count} seed {seed}.zarr".replace(" ", "-")
        path.parent.mkdir(parents=True, exist_ok=True)
        disturb(task, kind, count, seed, path)
        outcomes = trained(chosen, TASKS[task].env, seed, path, None, run_folder(chosen, path))
        say(f"{task}, {count} demonstrations, {kind}, seed {seed}: {np.mean(wins(outcomes)):.2f}")
        played[kind].append(outcomes)
        paths.append(path)
    measured = iter(_measures(paths))
    return {kind: Cell(some, list(itertools.islice(measured, len(some)))) for kind, some in played.items()}


def _measures(paths: list[Path]) -> list[dict[str, float]]:
    """Means over all steps of each set, standardised together so that sets can be compared.

    divergence: squared difference from the mean action of 16 neighbours; diversity: spread of the next state
    after similar transitions; novelty: distance to the fifth nearest other episode, the state diversity.
    """
    sets = []
    for path in paths:
        with open_store(str(path)) as store:
            sets.append([(state_features(e.obs, store.spec.obs), e.action) for e in store.episodes()])
    state, action = (standardize(np.concatenate([e[i] for s in sets for e in s])) for i in (0, 1))
    lengths = [np.array([len(one[1]) for one in episodes]) for episodes in sets]
    ends = np.cumsum([each.sum() for each in lengths])[:-1]
    parts = zip(np.split(state, ends), np.split(action, ends), lengths, strict=True)
    return [_measured(Frames(s.astype(np.float32), a.astype(np.float32), each)) for s, a, each in parts]


def _measured(frames: Frames) -> dict[str, float]:
    near = NeighbourIndex.of(frames).neighbours(NEIGHBOURS)
    alike = NeighbourIndex.of_transitions(frames).neighbours(NEIGHBOURS)
    divergence = action_divergence(frames, near)
    steps = {
        "divergence": divergence.plain * divergence.baseline,
        "diversity": transition_diversity(frames, alike).spread,
        "novelty": coverage(near).novelty,
    }
    return {name: float(np.nanmean(steps[name])) for name in MEASURES}


def _successes(task: str, cells: dict[tuple[int, str], Cell]) -> list[dict[str, Any]]:
    print("\n| task | demonstrations | noise | success | by set | " + " | ".join(MEASURES) + " |")
    print("|---" * (5 + len(MEASURES)) + "|")
    rows = []
    for (count, kind), cell in cells.items():
        _show(task, count, kind, cell)
        name = f"{task}, {count} demonstrations, {kind}: success"
        rows.append(row(name, float(np.mean(cell.won)), "share", 0.0))
    return rows


def _show(task: str, count: int, kind: str, cell: Cell) -> None:
    low, high = wilson(sum(cell.won), len(cell.won))
    figures = " | ".join(f"{cell.mean(name):.3f}" for name in MEASURES)
    print(
        f"| {task} | {count} | {kind} | {np.mean(cell.won):.3f} [{low:.3f}, {high:.3f}] | "
        f"{' '.join(f'{rate:.2f}' for rate in cell.by_set)} | {figures} |",
        flush=True,
    )


def _costs(task: str, counts: list[int], cells: dict[tuple[int, str], Cell]) -> list[dict[str, Any]]:
    """Success with policy noise minus that with system noise, and how far the two noises do not add up."""
    print("\n| task | demonstrations | policy minus system noise | both minus the sum of each alone |")
    print("|---|---|---|---|")
    rows = []
    for count in counts:
        won = {kind: cells[count, kind].won for kind in NOISES}
        apart = difference(won[POLICY_NOISE], won[SYSTEM_NOISE])
        none, policy, system, both = (
            np.array(won[kind], float) for kind in (NO_NOISE, POLICY_NOISE, SYSTEM_NOISE, BOTH)
        )
        # On the same episodes: what both do together beyond what each does alone.
        joint = both - policy - system + none
        low, high = mean_interval(joint.tolist())
        print(f"| {task} | {count} | {apart} | {joint.mean():+.3f} [{low:+.3f}, {high:+.3f}] |")
        rows.append(
            row(f"{task}, {count}: policy minus system", float(np.mean(policy - system)), "share", 0.0)
        )
        rows.append(row(f"{task}, {count}: interaction of both", float(joint.mean()), "share", 0.0))
    return rows


def _correlations(task: str, counts: list[int], cells: dict[tuple[int, str], Cell]) -> list[dict[str, Any]]:
    """Rank correlation of each measure of a set with success, over all sets of one size."""
    print("\n| task | demonstrations | sets | " + " | ".join(MEASURES) + " |\n|---" + "|---" * 5 + "|")
    rows = []
    for count in counts:
        mine = [cells[count, kind] for kind in NOISES]
        success = np.array([rate for cell in mine for rate in cell.by_set])
        said = []
        for name in MEASURES:
            values = np.array([found[name] for cell in mine for found in cell.measured])
            found, (low, high) = _rank_correlation(values, success)
            said.append(f"{found:+.2f} [{low:+.2f}, {high:+.2f}]")
            rows.append(row(f"{task}, {count}: rank correlation of {name} with success", found, "", 0.0))
        print(f"| {task} | {count} | {len(success)} | " + " | ".join(said) + " |")
    return rows


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Spearman's, with the percentile bootstrap interval over sets; NaN where one of them does not vary."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(a), (RESAMPLES, len(a)))
    resampled = [_spearman(a[one], b[one]) for one in drawn]
    low, high = np.nanquantile(resampled, (0.025, 0.975)) if np.isfinite(resampled).any() else (np.nan,) * 2
    return _spearman(a, b), (float(low), float(high))


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)
