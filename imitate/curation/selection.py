"""Which demonstrations to train on, by the report's recommendation or by one score, as a keep-list."""

from typing import Any, Literal, get_args

import numpy as np

from imitate.curation.by_rollouts import Worth
from imitate.curation.compatibility import compatibility
from imitate.curation.measurement import MeasuredEpisode, Measurement
from imitate.curation.report import segments_json
from imitate.errors import ConfigError, DataError, nearest

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
    "compatibility",
    "shortest",
    "random",
    "policy_divergence",
    "demo_score",
    "influence",
]
HIGHER_IS_BETTER = ("quality", "mutual_information")
WHOLE = ("recommended", "everything")
"""Methods that say themselves how many to keep."""
OWN_BOUND = ("demo_score",)
"""Methods that rank, and say themselves how many to keep where nobody else does."""


def keep_list(
    measured: Measurement, method: str, keep: float | None, seed: int, worth: Worth | None = None
) -> list[dict[str, Any]]:
    """One entry {"id", "keep", "weight", "reasons", "segments"} per episode, in the order of the store.

    "recommended": all but those with hard facts or faults against them; excursions are cut out. Other methods
    keep the share `keep` of the episodes without hard facts, those that their score puts first; "shortest" by
    number of steps, "random" drawn by `seed`. The methods of imitate.curation.by_rollouts come with the
    `worth` that they find; "demo_score" without `keep` keeps what lies within its own bound.

    Raises ConfigError for an unknown method, or where `keep` is missing, no share, or not asked for;
    DataError where the data does not tell what the method asks, or nothing would be kept.
    """
    require_method(method, keep)
    episodes = measured.episodes
    if method in WHOLE:
        return [_as_recommended(e) if method == "recommended" else _entry(e, True, []) for e in episodes]
    if worth is not None and keep is None:
        return _within(measured, worth)
    cost = costs(measured, method, seed) if worth is None else _unknown_last(worth.cost)
    usable = usable_episodes(measured)
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
    if method == "compatibility":
        return _unknown_last(-_compatibility(measured, seed))
    values = measured.score("steps" if method == "shortest" else method)
    if not np.isfinite(values).any():
        # Surprise needs networks, and these at least JUDGED_EPISODES; the others need states that vary.
        raise DataError(f"method={method} cannot be told of any episode of this data: choose another method")
    return _unknown_last(-values if method in HIGHER_IS_BETTER else values)


def usable_episodes(measured: Measurement) -> np.ndarray:
    """Indices of the episodes that no hard fact speaks against."""
    return np.flatnonzero([not episode.facts for episode in measured.episodes])


def _unknown_last(cost: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(cost), cost, -np.inf)


def _compatibility(measured: Measurement, seed: int) -> np.ndarray:
    """How each episode agrees with the other half of the episodes, (E,), NaN where it was not compared."""
    frames = measured.frames
    found = None if frames is None else compatibility(frames, seed)
    if frames is None or found is None:
        raise DataError("method=compatibility has too little to compare: at least three episodes with states")
    scores = np.full(len(measured.episodes), np.nan)
    scores[measured.compared] = frames.episode_means(found.per_frame)
    return scores


def _within(measured: Measurement, worth: Worth) -> list[dict[str, Any]]:
    """All episodes without hard facts whose cost is not beyond the method's own bound."""
    assert worth.bound is not None
    keep = ~(worth.cost > worth.bound)
    if not keep[usable_episodes(measured)].any():
        raise DataError(f"every demonstration is {worth.beyond}: say with keep= which share to keep")
    return [
        _entry(episode, bool(kept) and not episode.facts, episode.facts or ([] if kept else [worth.beyond]))
        for episode, kept in zip(measured.episodes, keep, strict=True)
    ]


def require_method(method: str, keep: float | None) -> None:
    """Raise ConfigError for an unknown method, or where `keep` is missing, no share, or not asked for."""
    known = get_args(Method)
    if method not in known:
        raise ConfigError(f"method is {method!r}{nearest(method, known)}")
    if method in WHOLE and keep is not None:
        raise ConfigError(f"keep is {keep:g}, but method={method} says itself what to keep: leave out keep=")
    if method in OWN_BOUND and keep is None:
        return
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
