"""Which demonstrations to train on, by the report's recommendation or by one score, as a keep-list."""

from typing import Any, Literal, get_args

import numpy as np

from imitate.curation.measurement import MeasuredEpisode, Measurement
from imitate.curation.report import segments_json
from imitate.errors import ConfigError, nearest

Method = Literal[
    "recommended",
    "everything",
    "quality",
    "mutual_information",
    "divergence",
    "mode_divergence",
    "surprise",
    "novelty",
    "disagreement",
    "jerk",
    "shortest",
    "random",
]
HIGHER_IS_BETTER = ("quality", "mutual_information")
WHOLE = ("recommended", "everything")
"""Methods that say themselves how many to keep."""


def keep_list(measured: Measurement, method: str, keep: float | None, seed: int) -> list[dict[str, Any]]:
    """One entry {"id", "keep", "weight", "reasons", "segments"} per episode, in the order of the store.

    "recommended": all but those with hard facts or faults against them; excursions are cut out. Other methods
    keep the share `keep` of the episodes without hard facts, those that their score puts first; "shortest" by
    number of steps, "random" drawn by `seed`. Raises ConfigError for an unknown method, or where `keep` is
    missing, no share, or not asked for.
    """
    _require(method, keep)
    episodes = measured.episodes
    if method in WHOLE:
        return [_as_recommended(e) if method == "recommended" else _entry(e, True, []) for e in episodes]
    cost = costs(measured, method, seed)
    usable = np.flatnonzero([not episode.facts for episode in episodes])
    assert keep is not None
    order = usable[np.argsort(cost[usable], kind="stable")]
    chosen = set(order[: max(1, round(keep * len(usable)))].tolist())
    rank = {int(index): place for place, index in enumerate(order, start=1)}
    return [
        _entry(
            episode,
            i in chosen,
            episode.facts or ([] if i in chosen else [_why(method, rank[i], len(order))]),
        )
        for i, episode in enumerate(episodes)
    ]


def costs(measured: Measurement, method: str, seed: int) -> np.ndarray:
    """What `method` would rather do without, (E,): the larger, the sooner it goes; unknown goes last."""
    if method == "random":
        return np.random.default_rng(seed).permutation(len(measured.episodes)).astype(np.float64)
    if method == "quality":
        return -np.array([episode.quality for episode in measured.episodes])
    values = measured.score("steps" if method == "shortest" else method)
    values = -values if method in HIGHER_IS_BETTER else values
    return np.where(np.isfinite(values), values, -np.inf)


def _require(method: str, keep: float | None) -> None:
    known = get_args(Method)
    if method not in known:
        raise ConfigError(f"method is {method!r}{nearest(method, known)}")
    if method in WHOLE and keep is not None:
        raise ConfigError(f"keep is {keep:g}, but method={method} says itself what to keep: leave out keep=")
    if method not in WHOLE and (keep is None or not 0.0 < keep <= 1.0):
        raise ConfigError(
            f"keep is {keep}, expected a share above 0 and up to 1, e.g. keep=0.7, for method={method}"
        )


def _as_recommended(episode: MeasuredEpisode) -> dict[str, Any]:
    return {**_entry(episode, episode.keep, episode.reasons), "segments": segments_json(episode)}


def _entry(episode: MeasuredEpisode, keep: bool, reasons: list[str]) -> dict[str, Any]:
    weight = 1.0 if keep else 0.0
    return {"id": episode.record.id, "keep": keep, "weight": weight, "reasons": reasons, "segments": []}


def _why(method: str, rank: int, count: int) -> str:
    return f"rank {rank} of {count} by {method}"
