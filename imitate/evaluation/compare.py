"""Two policies on the same episodes: how much better one is, and how sure that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.errors import DataError
from imitate.evaluation.result import RolloutResult
from imitate.evaluation.statistics import Interval, PairedRates, mean_interval


@dataclass(frozen=True)
class Comparison:
    """What changes from a to b, over the seeds that both played."""

    rates: PairedRates
    score_difference: float
    score_interval: Interval
    left_out_a: int
    left_out_b: int
    env_differences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; all differences are b minus a."""
        pairs = self.rates.pairs
        return {
            "difference": self.rates.difference,
            "interval": list(self.rates.interval()),
            "p_value": self.rates.p_value(),
            "success_rate_a": (self.rates.both + self.rates.only_a) / pairs,
            "success_rate_b": (self.rates.both + self.rates.only_b) / pairs,
            "pairs": pairs,
            "both": self.rates.both,
            "only_a": self.rates.only_a,
            "only_b": self.rates.only_b,
            "neither": self.rates.neither,
            "score_difference": self.score_difference,
            "score_interval": list(self.score_interval),
            "left_out_a": self.left_out_a,
            "left_out_b": self.left_out_b,
            "env_differences": list(self.env_differences),
        }


def compare(a: RolloutResult, b: RolloutResult, *, same_env: bool = True) -> Comparison:
    """Pair the episodes of a and b by seed; the same seed is the same start in the same environment.

    Raises DataError where no seed is common to both, and, with `same_env`, where the environments differ.
    """
    differences = tuple(_differences(a.provenance.get("env"), b.provenance.get("env"), "env"))
    if differences and same_env:
        raise DataError(
            f"a and b were played in different environments: {differences[0]}; "
            "add  same_env=false  if that is meant (say, they differ only in what is observed)"
        )
    by_seed_a = {episode.seed: episode for episode in a.episodes}
    by_seed_b = {episode.seed: episode for episode in b.episodes}
    common = sorted(by_seed_a.keys() & by_seed_b.keys())
    if not common:
        raise DataError(
            f"a and b have no seed in common (a: {_range(by_seed_a)}, b: {_range(by_seed_b)}): "
            "roll both out with the same  seed=  and  episodes="
        )
    pairs = [(by_seed_a[seed], by_seed_b[seed]) for seed in common]
    gains = [second.score - first.score for first, second in pairs]
    return Comparison(
        PairedRates.count([first.success for first, _ in pairs], [second.success for _, second in pairs]),
        float(np.mean(gains)),
        mean_interval(gains),
        len(a.episodes) - len(common),
        len(b.episodes) - len(common),
        differences,
    )


def _differences(a: Any, b: Any, where: str) -> list[str]:
    """Where two parts in JSON form differ, key by key."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = sorted({*a, *b})
        return [line for key in keys for line in _differences(a.get(key), b.get(key), f"{where}.{key}")]
    return [] if a == b else [f"{where} is {a!r} in a and {b!r} in b"]


def _range(by_seed: Mapping[int, Any]) -> str:
    return f"{min(by_seed)} to {max(by_seed)}"
