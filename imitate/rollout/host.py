"""The side of a rollout that holds environments: it plays queues of episodes and reports what it sees.

A slot is one environment and the queue of seeds it plays, one after the other. It lives in this process or
in a worker; what it does is the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from imitate.env import Env, EnvConfig, Obs
from imitate.errors import EnvError, ImitateError
from imitate.history import ObservationHistory
from imitate.rollout.steps import Steps, steps_file
from imitate.types import DataSpec, require_match


@dataclass(frozen=True)
class EpisodeResult:
    """What one episode came to.

    score is the best of the episode in the environment's own measure; length and steps_to_success count
    control steps (None: never succeeded).
    """

    seed: int
    success: bool
    score: float
    length: int
    total_reward: float
    steps_to_success: int | None


class FrameWriter(Protocol):
    """Takes the frames of one episode."""

    def add(self, frame: np.ndarray) -> None:
        """Append an RGB image (H, W, 3) uint8."""

    def close(self) -> None:
        """Finish; nothing is added afterwards."""


class Recorder(Protocol):
    """Opens a writer per recorded episode, in the process where the environment lives; must pickle."""

    def open(self, seed: int, rate_hz: float | None) -> FrameWriter:
        """A writer for the episode of `seed`, whose frames are 1 / rate_hz seconds apart."""


@dataclass(frozen=True)
class EnvFacts:
    """What is true of every episode of an environment."""

    spec: DataSpec
    max_steps: int
    success_definition: str
    score_name: str


@dataclass(frozen=True)
class HostOrder:
    """All that a host needs to know: which episodes to play in which slots, for which policy.

    steps_folder: where to write the steps of every finished episode; None for nowhere.
    """

    env_config: EnvConfig
    queues: Mapping[int, Sequence[int]]
    policy_spec: DataSpec
    obs_steps: int
    recorder: Recorder | None = None
    recorded_seeds: frozenset[int] = frozenset()
    steps_folder: Path | None = None


@dataclass(frozen=True)
class SlotReport:
    """A slot after its turn: the episode that just ended, if one did, and the episode that wants actions.

    seed and obs {name: (To, …)} are None where the queue is empty.
    """

    finished: EpisodeResult | None
    seed: int | None
    obs: Obs | None


class Slot:
    """One environment and the episodes it still has to play."""

    def __init__(self, env: Env, order: HostOrder, seeds: Sequence[int]) -> None:
        self._env = env
        self._order = order
        self._waiting = list(reversed(seeds))
        self._history = ObservationHistory(order.obs_steps)
        self._writer: FrameWriter | None = None
        self._steps: Steps | None = None
        self.seed: int | None = None

    def start(self) -> SlotReport:
        """Reset to the first episode of the queue."""
        with self._failing_clearly():
            return self._next(None)

    def advance(self, actions: np.ndarray) -> SlotReport:
        """Execute actions (n, Da), fewer where the episode ends; then the next episode is begun."""
        with self._failing_clearly():
            for action in actions:
                if self._step(action):
                    return self._next(self._finish())
            return SlotReport(None, self.seed, self._history.stacked())

    def close(self) -> None:
        """Close the environment and a video that was being written."""
        self._close_writer()
        self._env.close()

    def _next(self, finished: EpisodeResult | None) -> SlotReport:
        if not self._waiting:
            self.seed = None
            return SlotReport(finished, None, None)
        self.seed = self._waiting.pop()
        obs, info = self._env.reset(seed=self.seed)
        self._length, self._total_reward = 0, 0.0
        self._success, self._score = bool(info["success"]), float(info["score"])
        self._steps_to_success = 0 if self._success else None
        self._history.reset(self._seen(obs))
        if self._order.steps_folder is not None:
            self._steps = Steps(self._env.data_spec)
            self._steps.see(obs)
        if self._order.recorder and self.seed in self._order.recorded_seeds:
            self._writer = self._order.recorder.open(self.seed, self._env.data_spec.rate_hz)
        self._record()
        return SlotReport(finished, self.seed, self._history.stacked())

    def _step(self, action: np.ndarray) -> bool:
        if self._steps is not None:
            self._steps.act(action)
        obs, reward, terminated, truncated, info = self._env.step(action)
        self._length += 1
        self._total_reward += float(reward)
        self._success, self._score = bool(info["success"]), float(info["score"])
        if self._success and self._steps_to_success is None:
            self._steps_to_success = self._length
        self._history.add(self._seen(obs))
        if self._steps is not None:
            self._steps.see(obs)
        self._record()
        done = bool(terminated or truncated)
        if not done and self._length >= self._env.max_steps:
            raise EnvError(f"no end after max_steps={self._env.max_steps} steps")
        return done

    def _finish(self) -> EpisodeResult:
        self._close_writer()
        assert self.seed is not None
        if self._steps is not None and self._order.steps_folder is not None:
            self._steps.save(steps_file(self._order.steps_folder, self.seed))
        return EpisodeResult(
            self.seed, self._success, self._score, self._length, self._total_reward, self._steps_to_success
        )

    def _seen(self, obs: Obs) -> Obs:
        return {key: np.asarray(obs[key], spec.dtype) for key, spec in self._order.policy_spec.obs.items()}

    def _record(self) -> None:
        if self._writer is None:
            return
        frame = self._env.render()
        if not isinstance(frame, np.ndarray):
            raise EnvError(f"render() gave {type(frame).__name__}, expected an RGB image (H, W, 3) uint8")
        self._writer.add(frame)

    def _close_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @contextmanager
    def _failing_clearly(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            what = str(error) if isinstance(error, ImitateError) else f"{type(error).__name__}: {error}"
            name = type(self._env.unwrapped).__name__
            raise EnvError(f"{name} failed in the episode of seed {self.seed}: {what}") from error


class EnvHost:
    """The slots of one process. Raises SpecError at once where the environment does not fit the policy."""

    def __init__(self, order: HostOrder) -> None:
        self._slots: dict[int, Slot] = {}
        try:
            for slot, seeds in order.queues.items():
                env = order.env_config.build()
                self._slots[slot] = Slot(env, order, seeds)
                if len(self._slots) == 1:
                    self.facts = EnvFacts(
                        env.data_spec, env.max_steps, env.success_definition, env.score_name
                    )
                    require_match(env.data_spec, order.policy_spec, type(env).__name__)
        except BaseException:
            self.close()
            raise

    def start(self) -> dict[int, SlotReport]:
        """Begin the first episode of every slot."""
        return {number: slot.start() for number, slot in self._slots.items()}

    def advance(self, actions: Mapping[int, np.ndarray]) -> dict[int, SlotReport]:
        """Execute {slot: (n, Da)}."""
        return {number: self._slots[number].advance(values) for number, values in actions.items()}

    def close(self) -> None:
        """Close all environments."""
        for slot in self._slots.values():
            slot.close()
