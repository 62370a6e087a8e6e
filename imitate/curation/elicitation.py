"""Which demonstrations to give next, and an answer to a new one while the demonstrator still stands there.

After Gandhi et al., "Eliciting Compatible Demonstrations" (arXiv 2210.08073): a new demonstration is compared
with what the base demonstrations expect; where it opposes them, the demonstrator is shown the worst moments
and, for each, a base demonstration of the same situation.
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from scipy.ndimage import uniform_filter1d
from scipy.spatial import KDTree

from imitate.curation.compatibility import BaseModel, Compatibility, episode_features
from imitate.datasets.durable import write_durably
from imitate.datasets.quality.frames import Frames
from imitate.errors import DataError, SpecError
from imitate.types import DataSpec, Episode

AROUND = 10
"""A window is a moment with this many steps before and after it."""
WORST = 3
ACCEPTED_QUANTILE = 0.95
"""Of the base demonstrations themselves, judged by the others, this share would be accepted."""
FORMAT_VERSION = 1
METADATA_KEY = "imitate_coach"
Arrays = Mapping[str, np.ndarray]
_ARRAYS = ("states", "is_example", "lengths")


@dataclass(frozen=True)
class Window:
    """Steps `first` … `last` of a demonstration, their mean compatibility, and how it is done there.

    closest_id, closest_step: the moment of a base demonstration, itself compatible with the rest, whose state
    is nearest to that in the middle of the window.
    """

    first: int
    last: int
    score: float
    closest_id: str
    closest_step: int


@dataclass(frozen=True)
class Feedback:
    """What to tell the demonstrator. score: mean compatibility, 0 … 1; windows: the worst first, at most 3.

    A demonstration with nothing to say against it has no windows.
    """

    score: float
    is_accepted: bool
    reason: str
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class Coach:
    """Judges new demonstrations by base demonstrations, whose states it remembers.

    limit: the share of steps that may oppose the base demonstrations, which 95 % of these keep themselves.
    states (N, F) float32 standardised, all of the base; is_example (N,) bool: whether the step is known to
    go together with the other base demonstrations; lengths (E,) and ids of the episodes.
    """

    spec: DataSpec
    base: BaseModel
    limit: float
    states: np.ndarray
    is_example: np.ndarray
    lengths: np.ndarray
    ids: tuple[str, ...]

    @classmethod
    def fit(cls, episodes: Iterable[Episode], spec: DataSpec, seed: int = 0) -> "Coach":
        """Learn from base demonstrations; raises DataError where they are too few or not finite.

        Images are not looked at.
        """
        ids, states, actions = [], [], []
        for episode in episodes:
            state, action = episode_features(episode, spec)
            ids.append(episode.id)
            states.append(state)
            actions.append(action)
        if not ids:
            raise DataError("there are no base demonstrations to judge others by")
        base, own = BaseModel.fit(states, actions, seed)
        lengths = np.array([len(action) for action in actions], np.int64)
        opposed = np.add.reduceat(own.is_opposed, np.cumsum(lengths) - lengths, dtype=np.float64) / lengths
        known = base.state(np.concatenate(states))
        is_example = ~own.is_new & (own.per_frame >= np.median(own.per_frame[~own.is_new]))
        return cls(
            spec, base, float(np.quantile(opposed, ACCEPTED_QUANTILE)), known, is_example, lengths, tuple(ids)
        )

    def score(self, episode: Episode) -> Feedback:
        """Judge a new demonstration; raises SpecError where its arrays do not fit, DataError if not finite.

        Takes less than 100 ms for some hundred steps.
        """
        state, action = episode_features(episode, self.spec)
        found = self.base.score(state, action)
        opposed = float(np.mean(found.is_opposed))
        windows = self._windows(found.per_frame, self.base.state(state))
        is_accepted = opposed <= self.limit
        said = self._reason(found, opposed, is_accepted, windows)
        return Feedback(float(np.mean(found.per_frame)), is_accepted, said, windows)

    def _windows(self, per_step: np.ndarray, state: np.ndarray) -> tuple[Window, ...]:
        smooth, left = _window_means(per_step), np.ones(len(per_step), bool)
        windows: list[Window] = []
        while len(windows) < WORST and left.any():
            middle = int(np.argmin(np.where(left, smooth, np.inf)))
            if smooth[middle] > 1.0 - 1e-6:  # nothing against it, up to rounding
                break
            first, last = max(0, middle - AROUND), min(len(per_step) - 1, middle + AROUND)
            # Middles two windows apart do not share a step.
            left[max(0, middle - 2 * AROUND) : middle + 2 * AROUND + 1] = False
            windows.append(Window(first, last, float(smooth[middle]), *self._closest(state[middle])))
        return tuple(windows)

    def _closest(self, state: np.ndarray) -> tuple[str, int]:
        distance = np.sum((self.states - state) ** 2, axis=1)
        row = int(np.argmin(np.where(self.is_example, distance, np.inf)))
        episode = int(np.searchsorted(np.cumsum(self.lengths), row, "right"))
        return self.ids[episode], row - int(self.lengths[:episode].sum())

    def _reason(
        self, found: Compatibility, opposed: float, is_accepted: bool, windows: Sequence[Window]
    ) -> str:
        new = f"{np.mean(found.is_new):.0%} of its steps are in states that base demonstrations do not show"
        if is_accepted:
            return f"accepted: it goes together with the base demonstrations; {new}."
        worst = windows[0]
        return (
            f"rejected: in {opposed:.0%} of its steps it acts unlike the base demonstrations in states that "
            f"they know (at most {self.limit:.0%} is usual), most of all in steps {worst.first} to "
            f"{worst.last}; see {worst.closest_id} from step {worst.closest_step} on. {new}."
        )

    def save(self, path: Path) -> None:
        """Write to `path` (safetensors); raises DataError where that cannot be done."""
        tensors = self.base.tensors()
        tensors |= {name: torch.from_numpy(getattr(self, name)).contiguous() for name in _ARRAYS}
        document = {
            "version": FORMAT_VERSION,
            "spec": self.spec.to_json(),
            "limit": self.limit,
            "ids": self.ids,
            "crc32": _checksums(tensors),
        }
        try:
            write_durably(path, to_bytes(tensors, {METADATA_KEY: json.dumps(document)}))
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error}") from error

    @classmethod
    def load(cls, path: Path) -> "Coach":
        """Read what `save` wrote; raises DataError where the file is missing, damaged or foreign."""
        try:
            with safe_open(path, "pt") as file:
                document = json.loads((file.metadata() or {})[METADATA_KEY])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if document["version"] != FORMAT_VERSION:
                raise DataError(f"{path} has format version {document['version']}, expected {FORMAT_VERSION}")
            if document["crc32"] != _checksums(tensors):
                raise DataError(f"{path} is damaged: a checksum is wrong; make it again")
            spec, base = DataSpec.from_json(document["spec"]), BaseModel.of_tensors(tensors)
            known = {name: tensors[name].numpy() for name in _ARRAYS}
            return cls(spec, base, document["limit"], ids=tuple(document["ids"]), **known)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, SpecError) as error:
            raise DataError(f"{path} cannot be read as saved base demonstrations: {error!r}") from error


@dataclass(frozen=True)
class Suggestion:
    """One demonstration to give next, and the reason in words.

    A "moment" is to be brought about and demonstrated from there: step `step` of the only one of `episodes`.
    A "start" is to begin from; it lies half-way between the starts of the two `episodes`. state: {name of the
    observation: physical values}; a start's values that depend on each other (a rotation's) hold only nearly.
    """

    kind: Literal["moment", "start"]
    episodes: tuple[str, ...]
    step: int
    state: Mapping[str, list[float]]
    reason: str


def suggest(
    frames: Frames,
    divergence: np.ndarray,
    novelty: np.ndarray,
    obs: Arrays,
    spec: DataSpec,
    ids: Sequence[str],
    count: int = 6,
) -> list[Suggestion]:
    """At most `count` demonstrations to give next, the most useful first, moments and starts by turns.

    divergence, novelty: (N,) of each frame, larger where actions disagree and where fewer demonstrations
    pass; NaN where unknown. obs: {name: (N, …)} in physical units, images left out; ids (E,). Moments: where
    the product of the ranks of both, each averaged over ± 10 steps, is highest, far from one another. Starts:
    the middle between two starts, by its distance to the nearest start times the rank of their divergence.
    """
    unsure, rare = (_window_ranks(frames, values) for values in (divergence, novelty))
    starts = _starts(frames, unsure, obs, spec, ids, count // 2)
    moments = _moments(frames, unsure, rare, obs, ids, count - len(starts))
    turns = [one for pair in zip(moments, starts, strict=False) for one in pair]
    return turns + moments[len(starts) :] + starts[len(moments) :]


def _moments(
    frames: Frames, unsure: np.ndarray, rare: np.ndarray, obs: Arrays, ids: Sequence[str], count: int
) -> list[Suggestion]:
    need = unsure * rare
    rng = np.random.default_rng(0)
    pairs = frames.state[rng.integers(0, len(frames), (2, 1000))]
    radius = float(np.quantile(np.linalg.norm(pairs[0] - pairs[1], axis=1), 0.1))
    found: list[Suggestion] = []
    while len(found) < count and (need > 0).any():
        row = int(np.argmax(need))
        episode = int(frames.episode[row])
        need[np.linalg.norm(frames.state - frames.state[row], axis=1) <= radius] = 0.0
        need[max(0, row - 2 * AROUND) : row + 2 * AROUND + 1] = 0.0
        reason = (
            f"the demonstrations disagree here more than in {unsure[row]:.0%} of all steps, and fewer pass "
            f"here than in {rare[row]:.0%} of them"
        )
        state = {key: array[row].astype(np.float64).ravel().tolist() for key, array in obs.items()}
        found.append(Suggestion("moment", (ids[episode],), row - int(frames.starts[episode]), state, reason))
    return found


def _starts(
    frames: Frames, unsure: np.ndarray, obs: Arrays, spec: DataSpec, ids: Sequence[str], count: int
) -> list[Suggestion]:
    # Some hundred starts show the gaps; all pairs of thousands would cost more than they tell.
    chosen = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), 200)).round().astype(int))
    first = frames.starts[chosen]
    points = frames.state[first].astype(np.float64)
    a, b = np.triu_indices(len(chosen), 1)
    middles = (points[a] + points[b]) / 2
    gap = KDTree(points).query(middles)[0]
    found: list[Suggestion] = []
    while len(found) < count and (gap > 0).any():
        best = int(np.argmax(gap * (unsure[first[a]] + unsure[first[b]])))
        names = ids[chosen[a[best]]], ids[chosen[b[best]]]
        size = gap[best] / max(1, points.shape[1]) ** 0.5
        reason = f"nobody starts here: the nearest start is {size:.2g} standard deviations away"
        state = _middle(obs, spec, first[a[best]], first[b[best]])
        found.append(Suggestion("start", names, 0, state, reason))
        gap = np.minimum(gap, np.linalg.norm(middles - middles[best], axis=1))
    return found


def _middle(obs: Arrays, spec: DataSpec, a: int, b: int) -> dict[str, list[float]]:
    """Half-way between rows a and b; angles go the shorter way round."""
    state = {}
    for key, array in obs.items():
        low, high = (array[row].astype(np.float64).ravel() for row in (a, b))
        way = high - low
        turning = list(spec.obs[key].circular)
        way[turning] = np.remainder(way[turning] + np.pi, 2 * np.pi) - np.pi
        state[key] = (low + way / 2).tolist()
    return state


def _window_ranks(frames: Frames, values: np.ndarray) -> np.ndarray:
    """The share of known values (N,) that are smaller, of equal ones half; 0 where unknown; window means."""
    known = np.isfinite(values)
    ordered = np.sort(values[known])
    rank = np.zeros(len(values))
    rank[known] = sum(np.searchsorted(ordered, values[known], side) for side in ("left", "right"))
    rank /= max(1, 2 * len(ordered))
    return np.concatenate([_window_means(rank[frames.rows(i)]) for i in range(len(frames.lengths))])


def _window_means(values: np.ndarray) -> np.ndarray:
    """The mean of values (T,) over AROUND steps before and after each step; the ends are continued."""
    return np.asarray(uniform_filter1d(values.astype(np.float64), 2 * AROUND + 1, mode="nearest"))


def _checksums(tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    flat = {name: value.flatten() for name, value in tensors.items()}
    return {name: zlib.crc32(value.view(torch.uint8).numpy().data) for name, value in flat.items()}
