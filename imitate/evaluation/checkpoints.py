"""Several checkpoints of a run on the same seeds, and what to say of the run.

The best of several noisy figures is too high on average, the more so the more there are; so the maximum is
named as what it is, and the checkpoint that reached it is played again on seeds that did not choose it.
Diffusion Policy (Chi et al. 2023, arXiv:2303.04137, section 5) reports both the maximum and the mean of the
last ten checkpoints.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.errors import ConfigError, DataError
from imitate.evaluation.result import RolloutResult, load
from imitate.evaluation.statistics import Interval, mean_interval
from imitate.training.run import kept_checkpoints

FIGURES, FOLDER = "checkpoints.json", "checkpoints"
LAST = 10
"""How many of the last checkpoints the mean is taken over, as in Diffusion Policy."""

DECIDES = ("checkpoint_hash", "env", "policy", "code_hash")
"""What of a result's provenance must be the same for it to count as played already."""


@dataclass(frozen=True)
class CheckpointFigures:
    """Results of several checkpoints of one run on the same seeds, in the order of their steps."""

    results: tuple[RolloutResult, ...]

    @property
    def best(self) -> RolloutResult:
        """The highest success rate, then the highest mean score, then the latest."""
        return max(self.results, key=lambda result: (result.success_rate, result.mean_score, step_of(result)))

    @property
    def best_score(self) -> RolloutResult:
        """The highest mean score, the latest of equal ones."""
        return max(self.results, key=lambda result: (result.mean_score, step_of(result)))

    @property
    def last(self) -> tuple[RolloutResult, ...]:
        """The last ten, or all where there are fewer."""
        return self.results[-LAST:]

    def mean_of_last(self, what: str) -> tuple[float, Interval]:
        """Mean of the episodes' `what` ("success" or "score") over the last ten, with its interval.

        The checkpoints share their starts, so it is the starts that are resampled: each counts with its mean
        over the checkpoints.
        """
        values = [[float(getattr(episode, what)) for episode in one.episodes] for one in self.last]
        by_start = np.mean(values, axis=0).tolist()
        return float(np.mean(by_start)), mean_interval(by_start)

    def to_json(self, again: RolloutResult) -> dict[str, Any]:
        """Plain JSON values; `again` is the best one on fresh seeds."""
        rate, rate_interval = self.mean_of_last("success")
        score, score_interval = self.mean_of_last("score")
        return {
            "max_over_checkpoints": {
                **_figures(self.best),
                "mean_score": self.best_score.mean_score,
                "score_interval": list(self.best_score.score_interval),
                "score_step": step_of(self.best_score),
                "checkpoints": len(self.results),
                "optimistic": True,
            },
            "mean_of_last": {
                "success_rate": rate,
                "interval": list(rate_interval),
                "mean_score": score,
                "score_interval": list(score_interval),
                "checkpoints": len(self.last),
            },
            "best_on_fresh_seeds": {**_figures(again), "optimistic": False},
            "seeds": _seeds(self.best),
            "checkpoints": [_figures(result) for result in self.results],
        }


def step_of(result: RolloutResult) -> int:
    """After how many training steps the checkpoint was saved."""
    return int(result.provenance["training_step"])


def chosen_checkpoints(folder: str, which: int | str) -> list[Path]:
    """The checkpoints over time of the run in `folder`: "all", or the last few.

    Raises ConfigError for another `which`, CheckpointError where there are none.
    """
    if which == "all":
        return kept_checkpoints(folder)
    if isinstance(which, str) or which < 1:
        raise ConfigError(f"checkpoints is {which!r}, expected all, or how many of the last to play")
    return kept_checkpoints(folder)[-which:]


def write_figures(file: Path, figures: Mapping[str, Any]) -> None:
    """Write checkpoints.json whole or not at all."""
    unfinished = file.with_name(f".{file.name}.unfinished")
    unfinished.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    unfinished.replace(file)


def played_before(folder: Path, origin: Mapping[str, Any], seeds: Sequence[int]) -> RolloutResult | None:
    """The result in `folder` where it is of the same checkpoint, settings and seeds; None elsewhere."""
    try:
        found = load(folder)
    except DataError:
        return None
    same_seeds = [episode.seed for episode in found.episodes] == list(seeds)
    return found if same_seeds and _deciding(found.provenance) == _deciding(origin) else None


def _deciding(origin: Mapping[str, Any]) -> Any:
    settings = origin.get("rollout", {}).items()
    rollout = {key: value for key, value in settings if key != "workers" and value is not None}
    return json.loads(json.dumps([rollout, *(origin.get(key) for key in DECIDES)]))


def _figures(result: RolloutResult) -> dict[str, Any]:
    return {
        "success_rate": result.success_rate,
        "interval": list(result.interval),
        "mean_score": result.mean_score,
        "score_interval": list(result.score_interval),
        "step": step_of(result),
        "checkpoint": result.provenance["checkpoint"],
        "checkpoint_hash": result.provenance["checkpoint_hash"],
        "episodes": len(result.episodes),
        "seeds": _seeds(result),
    }


def _seeds(result: RolloutResult) -> list[int]:
    seeds = [episode.seed for episode in result.episodes]
    return [min(seeds), max(seeds)]
