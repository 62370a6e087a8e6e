"""Whether success was judged, and judgements that the end of the episode contradicts."""

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group

CHECK = "success agrees with the end"
NEIGHBOURS = 3
UNKNOWN = -1
FEWEST_OF_EACH = 8
MOST_WEIGHT, LEAST_SPREAD = 3.0, 0.1
"""So that no single number, a switch for instance, decides alone; of the spread of all ends."""
LAST = 3
"""Steps whose mean state is the end."""
TELLING = 0.82
"""Share of judged episodes whose end must agree with their label: else ends do not tell success."""
HALF_WAY, SURELY = 0.5, 0.75
"""Of the way from its own ends to those of the other label that an episode must lie: where the number of
steps contradicts the label too, and where it tells nothing."""
APART = 2.0
"""Ends of failures must be so many times farther from those of successes than these are from each other."""


def check(group: Group) -> list[Finding]:
    """No judgement, no success, and labels that those of the most similar ends contradict."""
    judged = [i for i, one in enumerate(group.recordings) if one.success is not None]
    labels = np.array([bool(group.recordings[i].success) for i in judged])
    if not judged:
        fix = "Judge it while recording, or fill it in: evaluation and curation use it."
        return [Finding(CHECK, "notice", (), "nobody judged whether the episodes succeeded", fix)]
    if not labels.any():
        what = f"none of the {len(judged)} judged episodes succeeded"
        fix = "Look at the definition of success: is it reached in the last recorded steps?"
        return [Finding(CHECK, "warning", (), what, fix)]
    return _contradicted(group, judged, labels)


def _contradicted(group: Group, judged: list[int], labels: np.ndarray) -> list[Finding]:
    if min(labels.sum(), (~labels).sum()) < FEWEST_OF_EACH:
        return []
    ends = np.array([group.features[i][-LAST:].mean(axis=0) for i in judged])
    away = np.log(_away(_weighted(ends, labels), labels))
    good, bad = float(np.median(away[labels])), float(np.median(away[~labels]))
    told = _told_by_length(np.array([len(group.recordings[i]) for i in judged]), labels)
    agrees = ((away < (good + bad) / 2) == labels) | (told == labels)
    if bad - good < np.log(APART) or agrees.mean() < TELLING:
        return []
    found = []
    for label, own, other in ((True, good, bad), (False, bad, good)):
        wanted = np.where(told == UNKNOWN, SURELY, np.where(told == label, np.inf, HALF_WAY))
        chosen = np.flatnonzero((labels == label) & ((away - own) / (other - own) > wanted))
        if len(chosen):
            found.append(_finding(group.ids([judged[i] for i in chosen]), label, np.exp(away[chosen] - good)))
    return found


def _told_by_length(steps: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(J,) what the number of steps (J,) tells of success: True, False, or UNKNOWN.

    Where success ends an episode, failures run until their time is up, and what did so failed, however near
    to success it ended.
    """
    at_limit = steps == steps.max()
    if at_limit[~labels].mean() < TELLING or at_limit[labels].mean() > 1 - TELLING:
        return np.full(len(steps), UNKNOWN)
    return np.where(at_limit, 0, 1)


def _finding(episodes: tuple[str, ...], label: bool, away: np.ndarray) -> Finding:
    word = "success" if label else "failure"
    what = (
        f"labelled a {word}, but the end is {away.min():.2g} to {away.max():.2g} times as far from the ends"
    )
    what += " of successes as those are from each other"
    fix = "Watch the end of these episodes and correct the label."
    return Finding(CHECK, "warning", episodes, what, fix)


def _away(ends: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How far each end (J, F) is from the third nearest one of another success, (J,)."""
    distances = np.sqrt(((ends[:, None] - ends[labels]) ** 2).sum(axis=2))
    distances[np.flatnonzero(labels), np.arange(labels.sum())] = np.inf
    return np.asarray(np.sort(distances, axis=1)[:, NEIGHBOURS - 1].clip(1e-9))


def _weighted(ends: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Ends (J, F) in spreads of the successes, numbers by how much farther off the failures end.

    In what does not tell success, failures end within the same spread, and the weight is 0.
    """
    centre = np.median(ends[labels], axis=0)
    good, bad = (np.median(np.abs(ends[chosen] - centre), axis=0) for chosen in (labels, ~labels))
    good = np.maximum(good, LEAST_SPREAD * ends.std(axis=0).clip(1e-9))
    return np.asarray((ends - centre) / good * np.clip(bad / good - 1.0, 0.0, MOST_WEIGHT))
