"""How episodes failed: failures that ended alike make a group.

What was seen last, each dimension in parts of its spread over all episodes, is cut in two by k-means, and
each part again. Every cloud of points can be cut in two, so a cut counts only if its silhouette (Rousseeuw
1987) is larger than all that are found in clouds without groups: from a normal distribution of the same
covariance (as SigClust: Liu, Hayes, Nobel & Marron 2008), and from a uniform one over the same ranges (as the
gap statistic: Tibshirani, Walther & Hastie 2001).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.spatial.distance import cdist

from imitate.datasets.quality.features import CONSTANT
from imitate.rollout import EpisodeResult
from imitate.types import TWO_PI, DataSpec

FEWEST = 6
"""Below this many failures there is nothing to group."""
MOST_GROUPS = 6
RESTARTS = 4
ITERATIONS = 10
WEIGHINGS = 4
CLOUDS = 19
"""How many clouds without groups of either kind are searched; the failures have to beat every one."""
SAMPLE = 400
"""Silhouettes are taken of at most so many failures."""


@dataclass(frozen=True)
class Difference:
    """Where the episodes of a group ended in one dimension, and where those that succeeded did.

    failed and compared are means in `unit`; spreads is their difference in standard deviations over all
    episodes.
    """

    name: str
    unit: str
    failed: float
    compared: float
    spreads: float


@dataclass(frozen=True)
class Group:
    """Failures that ended alike: their places in the list of episodes, the most typical first."""

    members: tuple[int, ...]
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Failures:
    """The failures among a list of episodes, in groups, the largest first.

    by: what was compared, "final observations" or "length and score". against: what the differences are
    measured from, "successes" or "other failures". silhouette: of the best grouping, and `without_groups` the
    largest in clouds that have none; None where there are too few failures to ask.
    """

    groups: tuple[Group, ...]
    by: str
    against: str
    silhouette: float | None = None
    without_groups: float | None = None


@dataclass(frozen=True)
class _Table:
    """Columns (N, D) of numbers about N episodes, with a name and a unit each."""

    values: np.ndarray
    names: list[str]
    units: list[str]


def group_failures(episodes: Sequence[EpisodeResult], spec: DataSpec | None) -> Failures:
    """Group the failures among `episodes` of one environment; `spec` gives names and units where known.

    Episodes without final observations, or with other ones than the first, are compared by length and score
    instead, all of them.
    """
    table = _final(episodes, spec)
    by = "length and score" if table is None else "final observations"
    table = table or _length_and_score(episodes)
    failed = np.array([not episode.success for episode in episodes])
    finite = np.isfinite(table.values).all(axis=1)
    against = "successes" if (finite & ~failed).any() else "other failures"
    chosen = np.flatnonzero(failed & finite)
    points = _comparable(table.values, finite)
    found, score, limit = clusters(points[chosen])
    parts = [chosen[found == label] for label in np.unique(found)]
    groups = [_group(part, table, points, failed, finite) for part in parts]
    if strange := np.flatnonzero(failed & ~finite).tolist():
        groups.append(Group(tuple(strange), ()))
    return Failures(tuple(sorted(groups, key=lambda g: -len(g.members))), by, against, score, limit)


def clusters(points: np.ndarray) -> tuple[np.ndarray, float | None, float | None]:
    """The group of each of N points (N, D), the silhouette of the first split, and the one it has to beat."""
    random = np.random.default_rng(0)
    found, waiting, first = np.zeros(len(points), np.int64), [0], None
    while waiting and found.max(initial=0) + 1 < MOST_GROUPS:
        # The largest group is asked first.
        label = max(waiting, key=lambda one: int((found == one).sum()))
        waiting.remove(label)
        part = np.flatnonzero(found == label)
        if len(part) < FEWEST or not np.ptp(points[part], axis=0).any():
            continue
        second, score = _split(points[part], random)
        limit = max(_split(cloud, random)[1] for cloud in _clouds(points[part], random))
        first = first or (score, limit)
        if score > limit:
            found[part[second]] = found.max() + 1
            waiting += [label, int(found.max())]
    return found, *(first or (None, None))


def _split(points: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, float]:
    """Which of the points are in the second of two groups, and how large the silhouette is.

    Each dimension is weighed by the share of its variance that lies between the groups, again and again, so
    that those which have nothing to do with the split do not hide it (Witten & Tibshirani 2010 go further).
    """
    weights = np.ones(points.shape[1])
    for _ in range(WEIGHINGS):
        found = _k_means(points * weights, 2, random)
        weights = _explained(points, found)
    sample = random.permutation(len(points))[:SAMPLE]
    weighed = points[sample] * weights
    return found == 1, silhouette(cdist(weighed, weighed), found[sample])


def _explained(points: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The share of the variance of each dimension (D,) that lies between groups 0 and 1."""
    whole = points.var(axis=0)
    share = float((found == 1).mean())
    if share in (0.0, 1.0):
        return np.ones_like(whole)
    apart = points[found == 1].mean(axis=0) - points[found == 0].mean(axis=0)
    return np.where(whole > 0, share * (1 - share) * apart**2 / np.where(whole > 0, whole, 1.0), 0.0)


def _k_means(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The groups of N points: the best of several runs of Lloyd's algorithm, begun as in k-means++."""
    tries = []
    for _ in range(RESTARTS):
        with warnings.catch_warnings():
            # Of points that repeat there may be fewer than groups: then one stays empty.
            warnings.simplefilter("ignore")
            centres, found = kmeans2(points, count, iter=ITERATIONS, minit="++", seed=random)
        tries.append((float(np.square(points - centres[found]).sum()), found))
    return min(tries, key=lambda pair: pair[0])[1]


def silhouette(distances: np.ndarray, found: np.ndarray) -> float:
    """The mean silhouette (Rousseeuw 1987) of groups `found` (N,) with `distances` (N, N); 0 for one group.

    Of each point, how much nearer its own group is than the next one, from -1 to 1; 0 for one that is alone.
    """
    labels, place = np.unique(found, return_inverse=True)
    if len(labels) < 2:
        return 0.0
    members = np.equal.outer(place, np.arange(len(labels)))
    sizes, rows = members.sum(axis=0), np.arange(len(found))
    sums = distances @ members
    own = sums[rows, place] / np.maximum(sizes[place] - 1, 1)
    other = np.where(members, np.inf, sums / sizes).min(axis=1)
    score = (other - own) / np.maximum(np.maximum(own, other), np.finfo(float).tiny)
    return float(np.where(sizes[place] > 1, score, 0.0).mean())


def _clouds(points: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    """Clouds without groups, as wide as `points` (N, D) in every dimension, of at most SAMPLE points."""
    centred, low, high = points - points.mean(axis=0), points.min(axis=0), points.max(axis=0)
    count = min(len(points), SAMPLE)
    # A random mixture of the points has their covariance.
    mixtures = [random.standard_normal((count, len(points))) @ centred for _ in range(CLOUDS)]
    return [mixture / np.sqrt(len(points)) for mixture in mixtures] + [
        random.uniform(low, high, (count, points.shape[1])) for _ in range(CLOUDS)
    ]


def _comparable(values: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Columns (N, D) in parts of their spread over the `finite` episodes."""
    if not finite.any():
        return np.zeros_like(values)
    with np.errstate(invalid="ignore"):
        return (values - values[finite].mean(axis=0)) / _spread(values[finite])


def _spread(values: np.ndarray) -> np.ndarray:
    """Standard deviations of columns (N, D), infinite for constant ones: they count nothing."""
    spread = values.std(axis=0)
    still = spread <= CONSTANT * np.maximum(1.0, np.abs(values.mean(axis=0)))
    return np.where(still, np.inf, spread)


def _group(
    part: np.ndarray, table: _Table, points: np.ndarray, failed: np.ndarray, finite: np.ndarray
) -> Group:
    """The group of the rows `part`, and how it differs from the successes, else from the other failures."""
    far = ((points[part] - points[part].mean(axis=0)) ** 2).sum(axis=1)
    members = tuple(part[np.argsort(far, kind="stable")].tolist())
    other = finite & ~failed
    if not other.any():
        other = finite.copy()
        other[part] = False
    if not other.any():
        return Group(members, ())
    here, there = table.values[part].mean(axis=0), table.values[other].mean(axis=0)
    shift = (here - there) / _spread(table.values[finite])
    order = [i for i in np.argsort(-np.abs(shift), kind="stable") if shift[i]]
    known = zip(order, here[order], there[order], shift[order], strict=True)
    told = tuple(Difference(table.names[i], table.units[i], *map(float, means)) for i, *means in known)
    return Group(members, told)


def _final(episodes: Sequence[EpisodeResult], spec: DataSpec | None) -> _Table | None:
    """What was seen last; None where not all episodes say the same kind of thing."""
    shapes = [{key: len(values) for key, values in episode.final_obs.items()} for episode in episodes]
    if not any(shapes[0].values()) or any(shape != shapes[0] for shape in shapes):
        return None
    rows = [np.concatenate([episode.final_obs[key] for key in shapes[0]]) for episode in episodes]
    values = np.array(rows, np.float64)
    places = [(key, i, size) for key, size in shapes[0].items() for i in range(size)]
    for column, (key, i, _) in enumerate(places):
        if spec and key in spec.obs and i in spec.obs[key].circular:
            values[:, column] = _unwound(values[:, column])
    named = [_named(key, i, size, spec) for key, i, size in places]
    return _Table(values, [name for name, _ in named], [unit for _, unit in named])


def _unwound(angles: np.ndarray) -> np.ndarray:
    """Angles (N,) within half a turn of their circular mean, so that those that are alike are near."""
    known = angles[np.isfinite(angles)]
    middle = np.arctan2(np.sin(known).mean(), np.cos(known).mean()) if len(known) else 0.0
    return (angles - middle + np.pi) % TWO_PI - np.pi + middle


def _named(key: str, i: int, size: int, spec: DataSpec | None) -> tuple[str, str]:
    """The name and the unit of element `i` of the observation `key`."""
    known = spec.obs.get(key) if spec else None
    if known is None or known.size != size:
        return (f"{key}[{i}]" if size > 1 else key), ""
    name = known.names[i] if known.names else (f"{key}[{i}]" if size > 1 else key)
    return (name if key in name else f"{key} {name}"), (known.units[i] if known.units else "")


def _length_and_score(episodes: Sequence[EpisodeResult]) -> _Table:
    values = np.array([[episode.length, episode.score] for episode in episodes], np.float64)
    return _Table(values, ["length", "score"], ["steps", ""])


def counts(members: Sequence[int], owners: Sequence[str]) -> Mapping[str, int]:
    """How many of `members` belong to each of `owners` (one per episode), in their order."""
    found = dict.fromkeys(owners, 0)
    for member in members:
        found[owners[member]] += 1
    return found
