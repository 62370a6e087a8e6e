"""An answer to a new demonstration while the demonstrator still stands there.

After Gandhi et al., "Eliciting Compatible Demonstrations" (arXiv 2210.08073): a new demonstration is compared
with what the base demonstrations expect; where it opposes them, the demonstrator is shown the worst moments
and, for each, a base demonstration of the same situation.
"""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from imitate.curation.compatibility import BaseModel, Compatibility, episode_features
from imitate.curation.suggestions import AROUND, window_means
from imitate.datasets.durable import write_durably
from imitate.datasets.episode_store import ACTION, arrays_digest
from imitate.errors import DataError, SpecError
from imitate.types import DataSpec, Episode

WORST = 3
ACCEPTED_QUANTILE = 0.95
"""Of the base demonstrations themselves, judged by the others, this share would be accepted."""
FORMAT_VERSION = 1
METADATA_KEY = "imitate_coach"
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

        Those that failed and exact copies of another are left out. States and actions count, not images.
        """
        ids, states, actions = [], [], []
        for episode in _good(episodes):
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
        smooth, left = window_means(per_step), np.ones(len(per_step), bool)
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


def _good(episodes: Iterable[Episode]) -> Iterator[Episode]:
    """Those that did not fail, each recording once: a copy would agree with itself."""
    seen = set()
    for episode in episodes:
        digest = arrays_digest({**episode.obs, ACTION: episode.action})
        if episode.success is not False and digest not in seen:
            seen.add(digest)
            yield episode


def _checksums(tensors: Mapping[str, torch.Tensor]) -> dict[str, int]:
    flat = {name: value.flatten() for name, value in tensors.items()}
    return {name: zlib.crc32(value.view(torch.uint8).numpy().data) for name, value in flat.items()}
