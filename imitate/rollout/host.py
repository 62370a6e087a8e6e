"""The side of a rollout that holds environments: it plays queues of episodes and reports what it sees.

A slot is one environment, which plays seeds of its row's queue one after the other. It lives in this process
or in a worker; what it does is the same.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from imitate.env import Env, EnvConfig, Obs
from imitate.errors import EnvError, ImitateError
from imitate.rollout.conduct import Conduct
from imitate.rollout.listening import Listener
from imitate.rollout.shared import SharedObs
from imitate.rollout.steps import Steps, steps_file
from imitate.types import DataSpec, require_match


@dataclass(frozen=True)
class EpisodeResult:
    """What one episode came to.

    score is the best of the episode in the environment's own measure; length and steps_to_success count
    control steps (None: never succeeded).

    smoothness: spectral arc length (SPARC, see imitate.datasets.quality.smoothness) of how fast the executed
    actions change, each in parts of its range where that is known; negative, nearer to 0 where smoother;
    None for fewer than five actions and where they never change. violations: control steps in which the
    policy's action left the range of the DataSpec and was clipped; None where there is no range.
    collisions: control steps in which info["collision"] was true; None where the environment does not say.
    final_obs: what was seen last, images left out, {name: elements in physical units}.
    """

    seed: int
    success: bool
    score: float
    length: int
    total_reward: float
    steps_to_success: int | None
    smoothness: float | None = None
    violations: int | None = None
    collisions: int | None = None
    final_obs: Mapping[str, tuple[float, ...]] = field(default_factory=dict, hash=False)


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


LANES = (0, 1)
"""While the policy thinks for the slots of one lane, those of the other execute what it thought before."""


@dataclass(frozen=True)
class HostOrder:
    """All that a host needs to know: which episodes to play in which rows, for which policy.

    A row of the policy's input has one slot in each lane, number lane * batch + row, and the queue {row:
    seeds} is for both: whichever is free takes the next. seen: where the slots show the last `obs_steps`
    observations. instruction: what the policy is told in every episode, if it listens; empty for what the
    environment says. steps_folder: where to write the steps of every finished episode; None for nowhere.
    """

    env_config: EnvConfig
    queues: Mapping[int, Sequence[int]]
    batch: int
    policy_spec: DataSpec
    obs_steps: int
    seen: SharedObs
    instruction: str = ""
    recorder: Recorder | None = None
    recorded_seeds: frozenset[int] = frozenset()
    steps_folder: Path | None = None


@dataclass(frozen=True)
class SlotReport:
    """A slot after its turn: the episode that just ended, if one did, and the seed that wants actions.

    The latter's observations are where HostOrder.seen says; seed is None where the queue is empty.
    """

    finished: EpisodeResult | None
    seed: int | None


Reports = dict[int, SlotReport]
"""{slot: its report}"""


class Slot:
    """One environment, the queue it takes seeds from, and where {name: (To, …)} it shows what it sees."""

    def __init__(self, env: Env, order: HostOrder, waiting: deque[int], shown: Obs) -> None:
        self._env = env
        self._order = order
        self._waiting = waiting
        self._shown = shown
        self._listens = Listener(env, order.policy_spec, order.instruction)
        self._shows_images = any(array.is_image for array in order.policy_spec.obs.values())
        self._writer: FrameWriter | None = None
        self._steps: Steps | None = None
        self.seed: int | None = None

    @property
    def name(self) -> str:
        """What messages call the environment."""
        return type(self._env.unwrapped).__name__

    @property
    def facts(self) -> EnvFacts:
        """What is true of every episode here."""
        env = self._env
        return EnvFacts(self._listens.spec, env.max_steps, env.success_definition, env.score_name)

    def start(self) -> SlotReport:
        """Reset to the first episode of the queue."""
        with self._failing_clearly():
            return self._next(None)

    def advance(self, actions: np.ndarray) -> SlotReport:
        """Execute actions (n, Da), fewer where the episode ends; then the next episode is begun."""
        with self._failing_clearly():
            # The policy sees the last To observations; those before are not even drawn.
            unseen = len(actions) - self._order.obs_steps
            for index, action in enumerate(actions):
                if self._step(action, index >= unseen):
                    return self._next(self._finish())
            return SlotReport(None, self.seed)

    def close(self) -> None:
        """Close the environment and a video that was being written."""
        self._close_writer()
        self._env.close()

    def _next(self, finished: EpisodeResult | None) -> SlotReport:
        self.seed = self._waiting.popleft() if self._waiting else None
        if self.seed is None:
            return SlotReport(finished, None)
        is_recorded = self._order.steps_folder is not None
        self._env.shows_images = is_recorded or self._shows_images
        obs, info = self._env.reset(seed=self.seed)
        obs = self._listens.begin(obs)
        self._length, self._total_reward = 0, 0.0
        self._success, self._score = bool(info["success"]), float(info["score"])
        self._steps_to_success = 0 if self._success else None
        self._conduct = Conduct(self._env.data_spec)
        self._conduct.see(obs, info)
        self._show_first(obs)
        if is_recorded:
            self._steps = Steps(self._listens.spec, self._listens.text)
            self._steps.see(obs)
        if self._order.recorder and self.seed in self._order.recorded_seeds:
            self._writer = self._order.recorder.open(self.seed, self._env.data_spec.rate_hz)
        self._record()
        return SlotReport(finished, self.seed)

    def _show_first(self, obs: Obs) -> None:
        """Show an episode's first observation, repeated until To steps have passed."""
        for key, shown in self._shown.items():
            if np.shape(obs[key]) != shown.shape[1:]:
                raise EnvError(
                    f"observation {key!r} has shape {np.shape(obs[key])}, expected {shown.shape[1:]}"
                )
            shown[:] = obs[key]

    def _show(self, obs: Obs) -> None:
        for key, shown in self._shown.items():
            shown[:-1], shown[-1] = shown[1:], obs[key]

    def _step(self, action: np.ndarray, is_seen: bool) -> bool:
        self._conduct.act(action)
        if self._steps is None:
            self._env.shows_images = is_seen and self._shows_images
        else:
            self._steps.act(action)
        obs, reward, terminated, truncated, info = self._env.step(action)
        obs = self._listens.to(obs)
        self._length += 1
        self._total_reward += float(reward)
        self._success, self._score = bool(info["success"]), float(info["score"])
        if self._success and self._steps_to_success is None:
            self._steps_to_success = self._length
        self._conduct.see(obs, info)
        if is_seen:
            self._show(obs)
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
            self.seed,
            self._success,
            self._score,
            self._length,
            self._total_reward,
            self._steps_to_success,
            self._conduct.smoothness,
            self._conduct.violations,
            self._conduct.collisions,
            self._conduct.final_obs,
        )

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
            raise EnvError(f"{self.name} failed in the episode of seed {self.seed}: {what}") from error


class EnvHost:
    """The slots of one process. Raises SpecError at once where the environment does not fit the policy."""

    def __init__(self, order: HostOrder) -> None:
        self._order = order
        self._queues = {row: deque(seeds) for row, seeds in order.queues.items()}
        self._shown = order.seen.open()
        self._slots: dict[int, Slot] = {}
        try:
            first = self._slot(min(order.queues))
            self.facts = first.facts
            require_match(self.facts.spec, order.policy_spec, first.name)
        except BaseException:
            self.close()
            raise

    def start(self, lane: int) -> Reports:
        """Begin the first episodes of a lane, as far as any are left for it."""
        numbers = [lane * self._order.batch + row for row, waiting in self._queues.items() if waiting]
        return {number: self._slot(number).start() for number in numbers}

    def advance(self, actions: Mapping[int, np.ndarray]) -> Reports:
        """Execute {slot: (n, Da)}."""
        return {number: self._slots[number].advance(values) for number, values in actions.items()}

    def close(self) -> None:
        """Close all environments."""
        for slot in self._slots.values():
            slot.close()

    def _slot(self, number: int) -> Slot:
        """The slot `number`, made when it is first needed."""
        if number not in self._slots:
            env, waiting = self._order.env_config.build(), self._queues[number % self._order.batch]
            shown = {key: array[number] for key, array in self._shown.items()}
            self._slots[number] = Slot(env, self._order, waiting, shown)
        return self._slots[number]
