"""Whether a demonstration goes together with the others: new places are welcome, known ones need agreement.

Gandhi et al., "Eliciting Compatible Demonstrations for Multi-Human Imitation Learning" (arXiv 2210.08073):
M(s, a) = 1 - min(error / λ, 1) where novelty < η, and 1 elsewhere; a demonstration's score is the mean over
its steps. λ and η depend on the task, so both are quantiles of what held-out demonstrations show.

Error is squared error against one predicted action: where the data holds two good ways to act, each of them
looks surprising. λ grows with it, so that such data is judged leniently rather than wrongly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from imitate.curation.ensemble import Ensemble, cross_fit
from imitate.datasets.quality.features import CONSTANT, state_features, vector_features
from imitate.datasets.quality.frames import Frames
from imitate.errors import DataError, SpecError
from imitate.types import DataSpec, Episode

QUANTILE = 0.95
"""λ and η leave out one held-out frame in twenty, which the best of demonstrations also has."""


@dataclass(frozen=True)
class Thresholds:
    """error λ: as surprising as a compatible action gets; novelty η: above it a state counts as new."""

    error: float
    novelty: float

    @classmethod
    def of(cls, error: np.ndarray, novelty: np.ndarray) -> "Thresholds":
        """From the errors and novelties (N,) of held-out frames."""
        return cls(float(np.quantile(error, QUANTILE)), float(np.quantile(novelty, QUANTILE)))

    def judge(self, error: np.ndarray, novelty: np.ndarray) -> "Compatibility":
        """The compatibility of frames with these errors and novelties (N,)."""
        surprise = np.minimum(error / max(self.error, np.finfo(np.float32).tiny), 1.0)
        per_frame = np.where(novelty < self.novelty, 1.0 - surprise, 1.0)
        return Compatibility(per_frame.astype(np.float32), error, novelty, self)


@dataclass(frozen=True)
class Compatibility:
    """per_frame (N,) float32: M of each frame, 0 (contradicts) to 1 (agrees, or is new).

    error and novelty (N,) float32 in standardised actions: what it was made of.
    """

    per_frame: np.ndarray
    error: np.ndarray
    novelty: np.ndarray
    thresholds: Thresholds

    @property
    def is_new(self) -> np.ndarray:
        """(N,) bool: states that the base demonstrations do not show."""
        return self.novelty >= self.thresholds.novelty

    @property
    def is_opposed(self) -> np.ndarray:
        """(N,) bool: known states, but errors above λ: bad samples, as the paper has it."""
        return ~self.is_new & (self.error > self.thresholds.error)


def compatibility(frames: Frames, seed: int = 0) -> Compatibility | None:
    """How each frame of a data set goes together with the other half of its episodes.

    None where it cannot be told: fewer than two episodes, or states or actions that never change.
    """
    judged = cross_fit(frames, seed) if frames.state.shape[1] and frames.action.shape[1] else None
    if judged is None:
        return None
    return Thresholds.of(judged.error, judged.novelty).judge(judged.error, judged.novelty)


@dataclass(frozen=True)
class Scaling:
    """Standardisation that is kept, to bring later values to the scale of the first.

    columns (F',) int64 that change, of the columns that were given; mean and std (F',) float64 of these.
    """

    columns: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Scaling":
        """Fitted on values (N, F)."""
        mean, std = values.mean(axis=0, dtype=np.float64), values.std(axis=0, dtype=np.float64)
        columns = np.flatnonzero(std > CONSTANT * np.maximum(1.0, np.abs(mean)))
        return cls(columns, mean[columns], std[columns])

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(N, F) -> (N, F') float32."""
        return ((values[:, self.columns] - self.mean) / self.std).astype(np.float32)


@dataclass(frozen=True)
class BaseModel:
    """What a set of base demonstrations expects, to judge demonstrations that come later.

    The networks are those of the cross-fitting that set the thresholds: a new frame is judged by both groups,
    and the mean of the two counts.
    """

    state: Scaling
    action: Scaling
    ensemble: Ensemble
    thresholds: Thresholds

    @classmethod
    def fit(
        cls, states: Sequence[np.ndarray], actions: Sequence[np.ndarray], seed: int = 0
    ) -> tuple["BaseModel", Compatibility]:
        """Fit on features (T, F) and actions (T, Da) of each base episode; also how these agree themselves.

        Raises DataError where there are fewer than two episodes, or states or actions never change.
        """
        state, action = (Scaling.of(np.concatenate(parts)) for parts in (states, actions))
        lengths = np.array([len(one) for one in actions], np.int64)
        frames = Frames(state(np.concatenate(states)), action(np.concatenate(actions)), lengths)
        judged = cross_fit(frames, seed) if len(state.columns) and len(action.columns) else None
        if judged is None:
            raise DataError(
                f"{len(lengths)} demonstrations with {len(state.columns)} changing state values and "
                f"{len(action.columns)} changing action values are too little to judge others by"
            )
        thresholds = Thresholds.of(judged.error, judged.novelty)
        own = thresholds.judge(judged.error, judged.novelty)
        return cls(state, action, judged.ensemble, thresholds), own

    def score(self, state: np.ndarray, action: np.ndarray) -> Compatibility:
        """The compatibility of a new demonstration: features (T, F) and actions (T, Da), as at fitting."""
        error, novelty = self.ensemble.judge(self.state(state), self.action(action))
        return self.thresholds.judge(error.mean(axis=0), novelty.mean(axis=0))

    def tensors(self) -> dict[str, Tensor]:
        """All of it by name, to be saved; `of_tensors` is the inverse."""
        arrays = {
            **{f"state/{name}": value for name, value in vars(self.state).items()},
            **{f"action/{name}": value for name, value in vars(self.action).items()},
            **{f"thresholds/{name}": np.array(value) for name, value in asdict(self.thresholds).items()},
        }
        networks = {f"ensemble/{name}": value for name, value in self.ensemble.weights.items()}
        return {name: torch.from_numpy(value) for name, value in arrays.items()} | networks

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> "BaseModel":
        """From what `tensors` gave, among others; raises KeyError or TypeError where something is missing."""

        def part(name: str) -> dict[str, Tensor]:
            return {
                key.removeprefix(f"{name}/"): value
                for key, value in tensors.items()
                if key.startswith(f"{name}/")
            }

        state, action = (
            Scaling(**{key: value.numpy() for key, value in part(name).items()})
            for name in ("state", "action")
        )
        thresholds = Thresholds(**{key: float(value) for key, value in part("thresholds").items()})
        return cls(state, action, Ensemble(part("ensemble")), thresholds)


def episode_features(episode: Episode, spec: DataSpec) -> tuple[np.ndarray, np.ndarray]:
    """Features (T, F) of the states and (T, A) of the actions, images left out.

    Raises SpecError where an array is missing or of another shape than in `spec`, DataError where not finite.
    """
    where = f"episode {episode.id!r}"
    states = {key: one for key, one in spec.obs.items() if not one.is_image}
    for key, one in states.items():
        if key not in episode.obs or episode.obs[key].shape[1:] != one.shape:
            raise SpecError(f"{where}: observation {key!r} of shape {one.shape} is not there")
    if episode.action.shape[1:] != spec.action.shape:
        raise SpecError(f"{where}: action has shape {episode.action.shape[1:]}, expected {spec.action.shape}")
    state, action = state_features(episode.obs, states), vector_features(episode.action, spec.action)
    if not (np.isfinite(state).all() and np.isfinite(action).all()):
        raise DataError(f"{where} holds values that are not finite")
    return state, action
