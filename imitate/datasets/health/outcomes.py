"""Whether success was judged, and judgements that the end of the episode contradicts.

What an episode shows of its outcome: how far its end is from the ends of successes, after how many steps, and
whether these are all that there were. Each label is predicted from those of the other episodes by Gaussian
process regression, whose leave-one-out predictions have a closed form (Rasmussen and Williams, Gaussian
Processes for Machine Learning, 2006, equation 5.12).
"""

import numpy as np
from scipy.spatial.distance import cdist

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group
from imitate.datasets.quality.features import standardize

CHECK = "success agrees with the end"
NEIGHBOURS = 3
FEWEST_OF_EACH = 8
MOST_WEIGHT, LEAST_SPREAD = 3.0, 0.1
"""So that no single number, a switch for instance, decides alone; of the spread of all ends."""
LAST = 3
"""Steps whose mean state is the end."""
APART = 2.0
"""Ends of failures must be so many times farther from those of successes than these are from each other."""
AT_LIMIT, FAILED = 0.1, 2 / 3
"""Share of episodes with the largest number of steps, and of failures among these, from which on it is a
limit that failures run to."""
TELLING = 0.82
"""Share of judged episodes whose label must be as predicted: else nothing here tells success."""
SURELY = 0.3
"""Predicted label, of -1 to 1, from which on the other one is contradicted."""
OFFSET, NOISE = 0.1, 0.3
"""Variances of the labels' mean and of single labels, of which some may be wrong; what is alike has 1."""
TOGETHER = 1000
"""The most episodes that are compared with each other: time grows with the third power."""


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
    ends = np.array([group.features[i][-LAST:].mean(axis=0) for i in judged])
    steps = np.array([len(group.recordings[i]) for i in judged])
    predicted, away = np.zeros(len(labels)), np.ones(len(labels))
    parts = -(-len(labels) // TOGETHER)
    for part in (np.argsort(labels, kind="stable")[k::parts] for k in range(parts)):
        if min(labels[part].sum(), (~labels[part]).sum()) < FEWEST_OF_EACH:
            return []
        away[part] = _away(_weighted(ends[part], labels[part]), labels[part])
        shown = _shown(np.log(away[part]), steps[part], labels[part])
        predicted[part] = _from_the_others(shown, labels[part])
    if ((predicted > 0) == labels).mean() < TELLING:
        return []
    usual = float(np.median(away[labels]))
    found = []
    for label in (True, False):
        chosen = np.flatnonzero((labels == label) & (predicted * np.where(labels, -1, 1) > SURELY))
        if len(chosen):
            ids = group.ids([judged[i] for i in chosen])
            found.append(_finding(ids, label, away[chosen] / usual, steps[chosen]))
    return found


def _finding(episodes: tuple[str, ...], label: bool, away: np.ndarray, steps: np.ndarray) -> Finding:
    word, other = ("success", "failures") if label else ("failure", "successes")
    what = (
        f"labelled a {word}, but {other} end so: {away.min():.2g} to {away.max():.2g} times as far from the"
    )
    what += f" ends of successes as those are from each other, after {steps.min()} to {steps.max()} steps"
    fix = "Watch the end of these episodes and correct the label."
    return Finding(CHECK, "warning", episodes, what, fix)


def _shown(away: np.ndarray, steps: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """What tells success, (J, at most 3), standardised; what tells nothing here is left out.

    away: (J,) logarithms of distances. Where success ends an episode, failures run until their time is up.
    """
    good, bad = float(np.median(away[labels])), float(np.median(away[~labels]))
    told_by_end = bad - good >= np.log(APART)
    way = np.clip((away - good) / (bad - good), -0.5, 1.5) if told_by_end else np.zeros(len(labels))
    at_limit = steps == steps.max()
    is_limit = at_limit.mean() >= AT_LIMIT and (~labels)[at_limit].mean() >= FAILED
    ran_out = at_limit if is_limit else np.zeros(len(labels))
    return standardize(np.stack([way, np.log(steps), ran_out], axis=1))


def _from_the_others(shown: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(J,) the label, -1 for failure and 1 for success, that those of the other episodes predict."""
    values = np.where(labels, 1.0, -1.0)
    squares = cdist(shown, shown, "sqeuclidean")
    apart = squares[squares > 0]
    alike = np.exp(-squares / (2 * np.median(apart))) if len(apart) else np.ones_like(squares)
    inverse = np.linalg.inv(alike + OFFSET + NOISE * np.eye(len(values)))
    return np.asarray(values - inverse @ values / np.diag(inverse))


def _away(ends: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How far each end (J, F) is from the third nearest one of another success, (J,)."""
    distances = cdist(ends, ends[labels])
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
