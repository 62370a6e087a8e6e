"""Figures over several runs of several tasks, with their uncertainty from the runs.

Agarwal, Schwarzer, Castro, Courville & Bellemare, "Deep Reinforcement Learning at the Edge of the Statistical
Precipice" (NeurIPS 2021, arXiv:2108.13264), section 4: with few runs the interquartile mean is steadier than
the median and less moved by single runs than the mean, and its interval comes from resampling the runs of
each task. A group of runs is given as one sequence of values, one per run, for each task.
"""

from collections.abc import Callable, Sequence

import numpy as np

from imitate.evaluation.statistics import RESAMPLES, Interval

Runs = Sequence[Sequence[float]]
"""One value per run, for each task."""

Figure = Callable[[Sequence[np.ndarray]], np.ndarray]
"""From the runs of each task, (resamples, runs), to the figure of each resample, (resamples,)."""

CUT = 0.25


def interquartile_mean(tasks: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of the middle half of all values, without the floor(n / 4) lowest and highest."""
    values = np.sort(np.concatenate(tasks, axis=-1), axis=-1)
    count = values.shape[-1]
    cut = int(CUT * count)
    return np.asarray(values[..., cut : count - cut].mean(axis=-1))


def mean(tasks: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of all values."""
    return np.asarray(np.concatenate(tasks, axis=-1).mean(axis=-1))


def improvement(tasks: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> np.ndarray:
    """How likely a run of `tasks` is to be better than one of `others` on a task drawn at random.

    Mann and Whitney's U of each task by the number of its pairs, where a tie counts half; mean over tasks.
    """
    by_task = []
    for runs, other in zip(tasks, others, strict=True):
        difference = runs[..., :, None] - other[..., None, :]
        by_task.append(((difference > 0) + 0.5 * (difference == 0)).mean(axis=(-2, -1)))
    return np.mean(by_task, axis=0)


def value_of(figure: Figure, runs: Runs) -> float:
    """`figure` of the runs as they are."""
    return float(figure([np.asarray(task, np.float64) for task in runs]))


def interval_of(figure: Figure, runs: Runs) -> Interval | None:
    """Its 95 % percentile interval over resampled runs, each task by itself; the same for the same values.

    None where every task has one run: nothing is then known of how runs differ.
    """
    random = np.random.default_rng(0)
    return _interval(figure(_resampled(runs, random))) if _repeated(runs) else None


def improvement_interval(runs: Runs, others: Runs) -> Interval | None:
    """The 95 % interval of `improvement`; both groups are resampled. None as for `interval_of`."""
    random = np.random.default_rng(0)
    if not _repeated(runs) and not _repeated(others):
        return None
    return _interval(improvement(_resampled(runs, random), _resampled(others, random)))


def _resampled(runs: Runs, random: np.random.Generator) -> list[np.ndarray]:
    tasks = [np.asarray(task, np.float64) for task in runs]
    return [task[random.integers(0, len(task), size=(RESAMPLES, len(task)))] for task in tasks]


def _repeated(runs: Runs) -> bool:
    return any(len(task) > 1 for task in runs)


def _interval(values: np.ndarray) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
