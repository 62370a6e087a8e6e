"""robot=sim: an environment of this process as a robot, in real time or as fast as it goes."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from imitate.deploy.clock import Clock, RealClock
from imitate.deploy.command import Command
from imitate.deploy.description import Target
from imitate.deploy.fit import action_names
from imitate.deploy.robot import Finding, Reading, Snapshot
from imitate.deploy.safety.limits import Limits
from imitate.errors import ConfigError, EnvError, RobotError
from imitate.parts import from_json
from imitate.spec import DataSpec

if TYPE_CHECKING:
    from imitate.env import Env

MAX_COMMAND_AGE_S = 0.1
"""Older commands are not obeyed, as a robot-side watchdog would do it."""


@dataclass(frozen=True)
class Progress:
    """How the episode stands: control steps taken, success so far, the best score, and whether it is over."""

    steps: int
    success: bool
    score: float
    is_over: bool


class SimulatedRobot:
    """The environment's control steps are the robot's: in each it obeys the newest command that came since.

    A group that got none holds: rates and deltas are zero, positions and openings stay as last commanded.
    `advance` takes the control steps that are due; with a RealClock a thread does so. rebuild: makes the same
    environment once more, to look at what was played without disturbing it.
    """

    def __init__(
        self,
        env: "Env",
        targets: Mapping[str, Target],
        measured: Mapping[str, Sequence[str]],
        clock: Clock | None = None,
        rebuild: "Callable[[], Env] | None" = None,
    ) -> None:
        self._env, self._targets = env, dict(targets)
        self._rebuild = rebuild
        self._clock = clock or RealClock()
        self._names = action_names(env.data_spec.action)
        self._measured = {group: self._elements(group, names) for group, names in measured.items()}
        if not env.data_spec.rate_hz:
            raise ConfigError("robot.env: the environment has no control rate")
        self.period_s = 1.0 / env.data_spec.rate_hz
        self._stepping = threading.Lock()
        """Held while the environment is at work; nobody who drives waits for that."""
        self._lock = threading.Lock()
        """Held for moments, to hand over what was observed and what is commanded."""
        self._obs: dict[str, np.ndarray] = {}
        self._newest: dict[str, Command] = {}
        self._kept = np.zeros(len(self._names))
        self._arrived_s = self._next_s = 0.0
        self.progress = Progress(0, False, 0.0, True)
        self.played: list[tuple[int, list[np.ndarray]]] = []
        """Of every episode the seed and the actions (Da,) taken: enough to play it again."""
        self._thread: threading.Thread | None = None
        self._is_closed = threading.Event()

    @property
    def spec(self) -> DataSpec:
        """See Robot."""
        return self._env.data_spec

    @property
    def targets(self) -> Mapping[str, Target]:
        """See Robot."""
        return self._targets

    @property
    def max_age_s(self) -> Mapping[str, float]:
        """Three control steps: it observes at the end of each."""
        names = [f"observations.{name}" for name in self.spec.obs]
        return dict.fromkeys([*names, *(f"measured.{group}" for group in self._targets)], 3 * self.period_s)

    @property
    def stop(self) -> None:
        """It has none: interrupt the command."""
        return None

    def connect(self, timeout_s: float) -> None:
        """See Robot; an episode is begun with `begin`."""

    def begin(self, seed: int) -> None:
        """Start the episode of `seed`; the first control step is due one period from now."""
        with self._stepping:
            obs, info = self._env.reset(seed=seed)
            self.played.append((seed, []))
            with self._lock:
                self._obs, self._arrived_s = obs, self._clock.now()
                self._newest.clear()
            self._kept[:] = self._resting()
            self._next_s = self._arrived_s + self.period_s
            self.progress = Progress(0, bool(info["success"]), float(info["score"]), False)
        if isinstance(self._clock, RealClock) and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="simulated robot", daemon=True)
            self._thread.start()

    def is_connected(self) -> bool:
        """See Robot."""
        return bool(self._obs) and not self._is_closed.is_set()

    def read(self) -> Snapshot:
        """See Robot."""
        obs, at = self._seen()
        readings = {key: Reading(value, at) for key, value in obs.items()}
        return replace(self.measure(), observations=readings)

    def measure(self) -> Snapshot:
        """See Robot."""
        obs, at = self._seen()
        return Snapshot(
            measured={group: Reading(self._measure(group, obs), at) for group in self._measured if obs}
        )

    def send(self, command: Command) -> bool:
        """See Robot."""
        with self._lock:
            self._newest[command.group] = command
        return self.is_connected()

    def prepare(self) -> None:
        """Nothing has to be switched."""

    def alarm(self) -> None:
        """Nobody else has to be told."""

    def findings(self) -> Sequence[Finding]:
        """See Robot."""
        return [Finding("ok", f"simulation of {type(self._env).__name__}, {1 / self.period_s:g} Hz")]

    def close(self) -> None:
        """See Robot."""
        self._is_closed.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)
        self._env.close()

    def advance(self) -> None:
        """Take every control step that is due by now."""
        while not self.progress.is_over and self._clock.now() >= self._next_s - 1e-9:
            with self._stepping:
                self._step()

    def play_again(self, seed: int, actions: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """A picture (H, W, 3) uint8 of the scene before and after each action of an episode of `played`.

        Raises EnvError where nothing can be drawn.
        """
        if self._rebuild is None:
            raise EnvError("this simulation cannot be built a second time")
        env = self._rebuild()
        try:
            env.reset(seed=seed)
            yield np.asarray(env.render())
            for action in actions:
                env.step(action)
                yield np.asarray(env.render())
        finally:
            env.close()

    def _seen(self) -> tuple[Mapping[str, np.ndarray], float]:
        with self._lock:
            return self._obs, self._arrived_s

    def _run(self) -> None:
        while not self._is_closed.is_set():
            self.advance()
            self._is_closed.wait(max(0.0005, min(0.005, self._next_s - self._clock.now())))

    def _step(self) -> None:
        action = self._action()
        self.played[-1][1].append(action)
        obs, _, terminated, truncated, info = self._env.step(action)
        with self._lock:
            self._obs, self._arrived_s = obs, self._next_s
        self._next_s += self.period_s
        is_over = terminated or truncated
        self.progress = Progress(
            self.progress.steps + 1, bool(info["success"]), float(info["score"]), is_over
        )

    def _action(self) -> np.ndarray:
        """What the newest commands make of the control step that is due."""
        action = self._kept.copy()
        for group, target in self._targets.items():
            columns = [self._names.index(name) for name in target.action]
            with self._lock:
                value = self._due(group)
            if value is not None:
                action[columns] = self._as_action(target, value)
                if target.meaning == "absolute" and target.kind not in ("twist", "joint_velocity"):
                    self._kept[columns] = action[columns]
        return action

    def _due(self, group: str) -> np.ndarray | None:
        """What `group` is to do until the next control step ends; None without a command in force."""
        command = self._newest.get(group)
        if command is None:
            return None
        if len(command.times_s) > 1:
            at = self._next_s + self.period_s - command.made_s
            columns = [np.interp(at, command.times_s, column) for column in command.values.T]
            return np.array(columns)
        del self._newest[group]
        return command.values[-1] if self._next_s - command.made_s <= MAX_COMMAND_AGE_S + 1e-9 else None

    def _as_action(self, target: Target, value: np.ndarray) -> np.ndarray:
        is_delta = target.meaning == "delta" and target.kind in ("twist", "joint_velocity")
        return value * (self.period_s if is_delta else 1.0) / target.scale

    def _resting(self) -> np.ndarray:
        """The action that leaves everything as it is."""
        action = np.zeros(len(self._names))
        for group, target in self._targets.items():
            if target.meaning == "absolute" and target.kind in ("joint_position", "gripper"):
                columns = [self._names.index(name) for name in target.action]
                action[columns] = self._measure(group, self._obs) / target.scale
        return action

    def _elements(self, group: str, names: Sequence[str]) -> list[tuple[str, int]]:
        """Where the observed elements `names` stand."""
        known = {
            name: (key, i)
            for key, array in self._env.data_spec.obs.items()
            for i, name in enumerate(array.names)
        }
        missing = [name for name in names if name not in known]
        if missing:
            raise ConfigError(
                f"robot.measured.{group}: the environment observes no {missing}; it observes {sorted(known)}"
            )
        return [known[name] for name in names]

    def _measure(self, group: str, obs: Mapping[str, np.ndarray]) -> np.ndarray:
        values = np.array([obs[key].reshape(-1)[i] for key, i in self._measured[group]], np.float64)
        if self._targets[group].kind not in ("twist", "pose"):
            return values
        half = values[3] / 2
        return np.array([*values[:3], 0.0, 0.0, np.sin(half), np.cos(half)])


@dataclass(frozen=True)
class SimulatedConfig:
    """An environment as a robot.

    targets: groups of commands by name. measured: by group, the observed elements that it moves (of a twist:
    x, y, z and yaw). limits: what the safety gate keeps. env: an EnvConfig, None for the one that the policy
    was trained for. realtime: whether it takes the time that it would take a robot.
    """

    targets: Mapping[str, Target]
    measured: Mapping[str, tuple[str, ...]]
    limits: Limits
    env: Any = None
    realtime: bool = False

    def for_policy(self, env: Mapping[str, Any] | None) -> "SimulatedConfig":
        """With the environment that the policy was trained for, in JSON, where no other is named."""
        return self if self.env is not None or env is None else replace(self, env=from_json(env, "env"))

    def build(self, clock: Clock | None = None) -> SimulatedRobot:
        """The robot; raises RobotError where no environment is known."""
        if self.env is None:
            raise RobotError("robot=sim plays the environment of a policy, and none is known: name a policy")
        return SimulatedRobot(self.env.build(), self.targets, self.measured, clock, self.env.build)
