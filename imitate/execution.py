"""Which predicted actions of one episode a rollout executes.

An object serves one episode; the next one gets a new object.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from imitate.errors import ConfigError
from imitate.types import Modes

STRATEGIES = ("receding", "ensemble", "continuous")


@dataclass(frozen=True)
class Alternatives:
    """One row of imitate.types.Modes: values (n, T, Da), score (n,), scale (Da,)."""

    values: np.ndarray
    score: np.ndarray
    scale: np.ndarray

    @classmethod
    def rows(cls, modes: Modes | None, count: int) -> "list[Alternatives | None]":
        """One for each of `count` rows; None where the policy names no modes."""
        if modes is None:
            return [None] * count
        values, score, scale = (x.float().cpu().numpy() for x in (modes.values, modes.score, modes.scale))
        return [cls(values[row], score[row], scale) for row in range(count)]


class ChunkExecution(Protocol):
    """Turns the chunks of one episode, one after the other, into the actions to execute."""

    def plan(self, chunk: np.ndarray, alternatives: Alternatives | None = None) -> np.ndarray:
        """The actions (n, Da) to execute before asking again, given a new chunk (Ta, Da) that starts now.

        `alternatives` are what the policy could have given instead.
        """


@dataclass(frozen=True)
class RecedingHorizon:
    """Executes the first `steps` actions of each chunk (all where None), then asks again."""

    steps: int | None = None

    def plan(self, chunk: np.ndarray, alternatives: Alternatives | None = None) -> np.ndarray:
        """See ChunkExecution."""
        return chunk[: self.steps]


class TemporalEnsemble:
    """Asks every step and executes the weighted mean of all predictions for that step.

    ACT (Zhao et al. 2023, arXiv:2304.13705, section IV-B): weights exp(-decay * i), where i = 0 is the
    OLDEST prediction that still reaches this step, so a larger decay trusts old predictions more.
    """

    def __init__(self, decay: float = 0.01) -> None:
        self._decay = decay
        self._reaching: list[np.ndarray] = []

    def plan(self, chunk: np.ndarray, alternatives: Alternatives | None = None) -> np.ndarray:
        """See ChunkExecution; gives one action, (1, Da)."""
        self._reaching.append(chunk)
        predictions = np.stack([reaching[0] for reaching in self._reaching])
        self._reaching = [reaching[1:] for reaching in self._reaching if len(reaching) > 1]
        weights = np.exp(-self._decay * np.arange(len(predictions)))
        action = (weights[:, None] * predictions).sum(axis=0, keepdims=True) / weights.sum()
        return action.astype(chunk.dtype)


class ContinuousChoice:
    """Among a policy's modes takes the one that best goes on with what was planned and not yet executed.

    That is the one with the highest score - weight * distance: the score is the logarithm of its probability,
    the distance the root mean square between the two plans over the steps that both reach, in normalised
    units. The first chunk of an episode is the most likely one. Driving, where choosing among anchored modes
    comes from (DiffusionDrive, arXiv 2411.15139), plans anew from nothing; a robot that passes an obstacle
    must not change its mind half way.
    """

    def __init__(self, weight: float, steps: int | None = None) -> None:
        self._weight, self._steps = weight, steps
        self._planned: np.ndarray | None = None

    def plan(self, chunk: np.ndarray, alternatives: Alternatives | None = None) -> np.ndarray:
        """See ChunkExecution; raises ConfigError where there are no alternatives."""
        if alternatives is None:
            raise ConfigError(
                "execution.strategy is 'continuous', which chooses among the modes of a policy, but this "
                "policy names none: use 'receding' or 'ensemble'"
            )
        values = alternatives.values
        chosen = values[np.argmax(alternatives.score - self._weight * self._distance(alternatives))]
        steps = len(chunk[: self._steps])
        self._planned = chosen[steps:]
        return chosen[:steps]

    def _distance(self, alternatives: Alternatives) -> np.ndarray:
        """From each alternative to the plan, (n,)."""
        values, moving = alternatives.values, alternatives.scale > 0
        overlap = 0 if self._planned is None else min(len(self._planned), values.shape[1])
        if self._planned is None or overlap == 0 or not moving.any():
            return np.zeros(len(values))
        difference = (values[:, :overlap] - self._planned[:overlap])[..., moving] / alternatives.scale[moving]
        return np.sqrt(np.square(difference).mean(axis=(1, 2)))


@dataclass(frozen=True)
class ExecutionConfig:
    """How chunks are executed.

    strategy: "receding" executes action_steps of a chunk and asks again; "ensemble" asks every step and
    averages; "continuous" is "receding" with, among the modes that a policy names, the one that goes on with
    the last plan. action_steps: None for all that the policy returns; of no influence on "ensemble".
    ensemble_decay: m of ACT's weights exp(-m i). continuity: weight of a normalised distance of 1 from the
    last plan against the logarithm of a mode's probability.
    """

    strategy: Literal["receding", "ensemble", "continuous"] = "receding"
    action_steps: int | None = None
    ensemble_decay: float = 0.01
    continuity: float = 10.0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ConfigError(
                f"execution.strategy is {self.strategy!r}, expected one of {', '.join(STRATEGIES)}"
            )
        if self.action_steps is not None and self.action_steps < 1:
            raise ConfigError(f"execution.action_steps is {self.action_steps}, expected at least 1 or null")
        if self.ensemble_decay < 0:
            raise ConfigError(f"execution.ensemble_decay is {self.ensemble_decay}, expected 0 or more")
        if self.continuity < 0:
            raise ConfigError(f"execution.continuity is {self.continuity}, expected 0 or more")

    def build(self) -> ChunkExecution:
        """The execution of one episode."""
        if self.strategy == "ensemble":
            return TemporalEnsemble(self.ensemble_decay)
        if self.strategy == "continuous":
            return ContinuousChoice(self.continuity, self.action_steps)
        return RecedingHorizon(self.action_steps)


def require_rest(execution: ExecutionConfig, plan_steps: int) -> None:
    """Raise ConfigError where a policy that goes on with the rest of its last chunk would never find one.

    `plan_steps` are those of imitate.policy.Policy.
    """
    executed = 1 if execution.strategy == "ensemble" else execution.action_steps or plan_steps
    if plan_steps and executed >= plan_steps:
        raise ConfigError(
            f"policy.warm_start goes on with what is left of the last chunk, but all {plan_steps} steps of "
            "policy.horizons.action_steps are executed: raise that (at most pred_steps - obs_steps + 1), and "
            "set execution.action_steps to how many to execute, such as the half"
        )
