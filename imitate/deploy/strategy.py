"""Which planned action is due in which control step, when chunks come late and overlap.

Control steps are numbered; a chunk made from the observation of step k holds the actions of steps k, k+1, …
It arrives while a later step may already be due: what is in the past by then is dropped, never caught up.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from imitate.errors import ConfigError, nearest

Name = Literal["receding", "ensemble", "realtime"]


class Strategy(ABC):
    """The plan of one episode: chunks in, one action per control step out."""

    @abstractmethod
    def wants(self, step: int, lead: int) -> bool:
        """Whether to infer from the observation of `step`, if an answer takes `lead` steps to come."""

    @abstractmethod
    def take(self, made_at: int, now: int, chunk: np.ndarray) -> None:
        """A chunk (Ta, Da) from the observation of step `made_at` is to be followed from step `now` on.

        The step before `now` may still be in force, as it was planned.
        """

    @abstractmethod
    def action(self, step: int) -> np.ndarray | None:
        """The action (Da,) of `step`; None where nothing is planned for it."""


class Receding(Strategy):
    """Executes `steps` actions of each chunk; asks for the next one so early that it comes in time.

    If it comes late all the same, what is left of the old chunk is executed meanwhile.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._plan: dict[int, np.ndarray] = {}
        self._end = 0

    def wants(self, step: int, lead: int) -> bool:
        """See Strategy."""
        return step + lead >= self._end

    def take(self, made_at: int, now: int, chunk: np.ndarray) -> None:
        """See Strategy."""
        planned = {made_at + i: action for i, action in enumerate(chunk) if made_at + i >= now}
        current = {step: action for step, action in self._plan.items() if step == now - 1}
        self._plan = {**current, **self._joined(now, planned)}
        self._end = made_at + self._steps

    def action(self, step: int) -> np.ndarray | None:
        """See Strategy."""
        return self._plan.get(step)

    def _joined(self, now: int, planned: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        return planned


class RealTime(Receding):
    """Receding, but the new chunk grows out of the old one over the first `blend` steps where they overlap.

    After "Real-Time Execution of Action Chunking Flow Policies" (Black et al., arXiv 2506.07339), with two
    differences: chunks are joined after sampling, not by guiding it, so that it works for every policy and
    for exported graphs; and weights fall linearly from the old plan to the new one.
    """

    def __init__(self, steps: int, blend: int) -> None:
        super().__init__(steps)
        self._blend = blend

    def _joined(self, now: int, planned: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
        for i in range(self._blend):
            old, new = self._plan.get(now + i), planned.get(now + i)
            if old is not None and new is not None:
                share = (i + 1) / (self._blend + 1)
                planned[now + i] = ((1 - share) * old + share * new).astype(new.dtype)
        return planned


class Ensemble(Strategy):
    """Asks in every step, and executes the weighted mean of all predictions that reach the step.

    ACT (Zhao et al., arXiv 2304.13705, section IV-B): weights exp(-decay i), i = 0 for the oldest.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._chunks: dict[int, np.ndarray] = {}

    def wants(self, step: int, lead: int) -> bool:
        """See Strategy."""
        return True

    def take(self, made_at: int, now: int, chunk: np.ndarray) -> None:
        """See Strategy."""
        reaching = {at: c for at, c in self._chunks.items() if at + len(c) >= now}
        self._chunks = dict(sorted({**reaching, made_at: chunk}.items()))

    def action(self, step: int) -> np.ndarray | None:
        """See Strategy."""
        reaching = [c[step - at] for at, c in self._chunks.items() if 0 <= step - at < len(c)]
        if not reaching:
            return None
        weights = np.exp(-self._decay * np.arange(len(reaching)))
        mean = (weights / weights.sum()) @ np.array(reaching)
        return mean.astype(reaching[0].dtype)


@dataclass(frozen=True)
class StrategyConfig:
    """How chunks become actions.

    name: "receding", "ensemble" or "realtime". action_steps: how many actions of a chunk to execute before
    the next one; None for all of them ("realtime": half of them). ensemble_decay: m of ACT's weights
    exp(-m i). blend_steps: over how many steps "realtime" goes from the old chunk to the new one.
    """

    name: Name = "receding"
    action_steps: int | None = None
    ensemble_decay: float = 0.01
    blend_steps: int = 2

    def __post_init__(self) -> None:
        if self.name not in get_args(Name):
            raise ConfigError(f"strategy.name is {self.name!r}{nearest(self.name, get_args(Name))}")
        if self.action_steps is not None and self.action_steps < 1:
            raise ConfigError(f"strategy.action_steps is {self.action_steps}, expected at least 1 or null")
        if self.ensemble_decay < 0 or self.blend_steps < 0:
            raise ConfigError("strategy.ensemble_decay and strategy.blend_steps are to be 0 or more")

    def build(self, chunk_steps: int) -> Strategy:
        """The plan of an episode for chunks of `chunk_steps`; raises ConfigError for more steps than that."""
        if self.action_steps is not None and self.action_steps > chunk_steps:
            raise ConfigError(
                f"strategy.action_steps is {self.action_steps}, but a chunk of the policy has {chunk_steps}"
            )
        if self.name == "ensemble":
            return Ensemble(self.ensemble_decay)
        if self.name == "realtime":
            return RealTime(self.action_steps or max(1, chunk_steps // 2), self.blend_steps)
        return Receding(self.action_steps or chunk_steps)
