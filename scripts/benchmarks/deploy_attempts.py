"""Attempts of a policy on the simulated arm: in simulated time, directly, and over a transport."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from imitate.deploy import messages
from imitate.deploy.backends.dds import DdsConfig
from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.backends.dds_transport import DdsTransport
from imitate.deploy.backends.rosbridge import RosbridgeConfig
from imitate.deploy.backends.rosbridge_client import RosbridgeTransport
from imitate.deploy.backends.simulated import SimulatedConfig, SimulatedRobot
from imitate.deploy.clock import RealClock, VirtualClock
from imitate.deploy.control import ControlConfig
from imitate.deploy.description import VectorSource
from imitate.deploy.journal import NoJournal
from imitate.deploy.predictor import Loaded
from imitate.deploy.robot import Snapshot
from imitate.deploy.safety.state_machine import State
from imitate.deploy.session import Session, SessionConfig
from imitate.deploy.simulation.simulated_arm import RESET, STATUS
from imitate.deploy.strategy import Name, StrategyConfig
from imitate.deploy.transport import Topic
from imitate.history import ObservationHistory
from imitate.parts import from_json
from imitate.spec import ArraySpec

HERE = Path(__file__).resolve().parent
ROBOTS = HERE.parents[1] / "imitate/configs/robot"
LONGEST_S = 60.0
PATH_STEPS = 20
ARM = ("joints", "gripper", "ee_pos", "ee_yaw")
DOMAIN = 77
"""Of DDS: no robot's."""


@dataclass
class Played:
    """Outcomes of some attempts, and where the tool was at every tick that it moved: by attempt (n, 3) m."""

    success: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    paths: list[np.ndarray] = field(default_factory=list)
    oldest_s: float = 0.0

    @property
    def count(self) -> int:
        return len(self.success)

    @property
    def successes(self) -> int:
        return sum(self.success)

    @property
    def rate(self) -> float:
        return self.successes / self.count

    @property
    def steps(self) -> float:
        """Mean control steps of the attempts that succeeded."""
        done = [n for n, success in zip(self.lengths, self.success, strict=True) if success]
        return float(np.mean(done)) if done else float("nan")


class _Path(NoJournal):
    """Remembers where the tool was, once per control step, from its first move on."""

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []

    def observation(self, time_s: float, snapshot: Snapshot) -> None:
        self.points.append(snapshot.measured["arm"].value[:3].copy())

    def path(self) -> np.ndarray:
        points = np.array(self.points)
        moving = np.linalg.norm(points - points[0], axis=1) > 1e-3
        return points[int(np.argmax(moving)) :] if moving.any() else points


def path_error_m(played: Played, prompt: Played) -> float:
    """Root mean square distance over the first PATH_STEPS steps of all attempts of both."""
    errors = []
    for a, b in zip(played.paths, prompt.paths, strict=True):
        steps = min(len(a), len(b), PATH_STEPS)
        errors.append(np.square(a[:steps] - b[:steps]).sum(axis=1))
    return float(np.sqrt(np.concatenate(errors).mean()))


def play_virtually(loaded: Loaded, strategy: Name, delay_s: float, seeds: Sequence[int]) -> Played:
    """Attempts on robot=sim in simulated time."""
    clock = VirtualClock()
    robot, played = simulated_robot(loaded, clock), Played()
    control = ControlConfig(strategy=StrategyConfig(name=strategy))
    for seed in seeds:
        config = SessionConfig(control=control, added_delay_s=delay_s, seed=seed, resume_after_s=0.3)
        path = _Path()
        session = Session(loaded, robot, robot_config().limits, "run", config, path, clock)
        session.arm("benchmark")
        robot.begin(seed)
        session.attempt(lambda: robot.progress.is_over, LONGEST_S)
        played.success.append(robot.progress.success)
        played.lengths.append(robot.progress.steps)
        played.paths.append(path.path())
    return played


def play_directly(loaded: Loaded, seeds: Sequence[int]) -> Played:
    """The environment stepped by the policy, chunk after chunk, without any of imitate.deploy between."""
    env, policy, played = from_json(loaded.env, "env").build(), loaded.predictor, Played()
    for seed in seeds:
        rng, history = np.random.default_rng(seed), ObservationHistory(policy.obs_steps)
        obs, info = env.reset(seed=seed)
        history.reset(obs)
        steps, is_over = 0, False
        while not is_over:
            for action in policy.predict({key: history.stacked()[key] for key in policy.spec.obs}, rng):
                obs, _, terminated, truncated, info = env.step(action)
                history.add(obs)
                steps, is_over = steps + 1, terminated or truncated
                if is_over:
                    break
        played.success.append(bool(info["success"]))
        played.lengths.append(steps)
    return played


def keep_looping(loaded: Loaded, seconds: float) -> dict[str, Any]:
    """Attempts in real time until `seconds` have passed, asking for a chunk in every step; the timings."""
    robot = simulated_robot(loaded, RealClock())
    control = ControlConfig(strategy=StrategyConfig(name="ensemble"))
    config = SessionConfig(control=control, resume_after_s=0.3)
    robot.begin(0)
    session = Session(loaded, robot, robot_config().limits, "run", config, NoJournal())
    ends_s, seed = time.monotonic() + seconds, 0
    try:
        while time.monotonic() < ends_s:
            session.arm("benchmark")
            robot.begin(seed := seed + 1)
            session.attempt(lambda: robot.progress.is_over or time.monotonic() >= ends_s, LONGEST_S)
    finally:
        session.close()
    return session.timings.to_json()


def play_over(transport: str, loaded: Loaded, seeds: Sequence[int]) -> Played:
    """Attempts on the simulated arm in a process of its own."""
    with arm_process(transport, loaded) as port, handle(transport, port) as arm:
        config = bridged_config(transport, port, loaded)
        robot = config.build()
        settings = SessionConfig(resume_after_s=0.3)
        played = Played()
        try:
            robot.connect(10.0)
            session = Session(loaded, robot, config.limits, "run", settings, NoJournal())
            for seed in seeds:
                arm.reset(seed)
                session.arm("benchmark")
                session.attempt(lambda: bool(arm.status.get("over")), LONGEST_S)
                if session.supervisor.state is not State.IDLE:
                    raise SystemExit(f"{transport}: {session.supervisor.events[-1].why}")
                status = arm.status
                played.success.append(bool(status["success"]))
                played.lengths.append(int(status["step"]))
                played.oldest_s = max(played.oldest_s, float(status["oldest_applied_s"]))
                print(f"  {transport}: {played.successes} of {played.count}", file=sys.stderr, flush=True)
            session.close()
        finally:
            robot.close()
    return played


class Handle:
    """Resets the simulated arm and hears how it stands, beside the connection that drives it."""

    def __init__(self, transport: str, port: int) -> None:
        self.status: dict[str, Any] = {}
        self._is_dds = transport == "dds"
        self._link: Any = (
            DdsTransport(DdsNetwork(DOMAIN))
            if self._is_dds
            else RosbridgeTransport(f"ws://127.0.0.1:{port}", 2)
        )

    def open(self) -> None:
        publications = [Topic(RESET, messages.STRING)] if self._is_dds else []
        self._link.open([Topic(STATUS, messages.STRING)], publications, self._hear, 20.0)

    def close(self) -> None:
        self._link.close()

    def reset(self, seed: int) -> None:
        """Begin the episode of `seed`, and wait until the arm says so."""
        if self._is_dds:
            self._link.publish(RESET, {"data": json.dumps({"seed": seed})})
        else:
            self._link.call(RESET, "", {"seed": seed}, 20.0)
        given_up_s = time.monotonic() + 20.0
        while self.status.get("seed") != seed or self.status.get("over"):
            if time.monotonic() > given_up_s:
                raise SystemExit("the simulated arm did not begin anew")
            time.sleep(0.02)
        # The next observation is the first of the new episode for sure.
        time.sleep(0.25)

    def _hear(self, topic: str, message: Any, arrived_s: float) -> None:
        self.status = json.loads(message["data"])


@contextmanager
def handle(transport: str, port: int) -> Iterator[Handle]:
    found = Handle(transport, port)
    try:
        found.open()
        yield found
    finally:
        found.close()


@contextmanager
def arm_process(transport: str, loaded: Loaded) -> Iterator[int]:
    """The simulated arm in another process; its port (0 for DDS)."""
    command = [sys.executable, str(HERE / "deploy_arm.py"), transport, json.dumps(loaded.env)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def bridged_config(transport: str, port: int, loaded: Loaded) -> Any:
    """configs/robot/simulated_arm.yaml with what this policy sees, over `transport`."""
    config = from_json(yaml.safe_load((ROBOTS / "simulated_arm.yaml").read_text()), "robot")
    assert isinstance(config, RosbridgeConfig)
    known, wanted = config.description.observations, loaded.predictor.spec.obs
    # The file is for one task; what other tasks observe is published under the same scheme.
    seen = {key: known[key] if key in ARM else published(key, array) for key, array in wanted.items()}
    description = replace(config.description, observations=seen)
    if transport == "dds":
        return DdsConfig(description, DOMAIN, limits=config.limits)
    return replace(config, description=description, url=f"ws://127.0.0.1:{port}")


def published(key: str, array: ArraySpec) -> VectorSource:
    """Where the simulated arm publishes a vector that the task observes."""
    return VectorSource(f"/observations/{key}", array.names, array.units, max_age_s=0.3)


def robot_config() -> SimulatedConfig:
    config = from_json(yaml.safe_load((ROBOTS / "sim.yaml").read_text()), "robot")
    assert isinstance(config, SimulatedConfig)
    return config


def simulated_robot(loaded: Loaded, clock: Any) -> SimulatedRobot:
    return replace(robot_config(), env=from_json(loaded.env, "env")).build(clock)
