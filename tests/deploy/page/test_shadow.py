"""A policy beside somebody who drives: known answers, and sessions in which a scripted expert drives."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reaching
import yaml
from recorded_session import HEADER, JOINTS, RATE_HZ

from imitate.deploy.backends.simulated import SimulatedConfig, SimulatedRobot
from imitate.deploy.clock import VirtualClock
from imitate.deploy.page.recording import read_recording
from imitate.deploy.page.session_page import write_session_page
from imitate.deploy.page.shadow import Quantity, compared
from imitate.deploy.page.shadow_section import sentence
from imitate.deploy.predictor import Loaded
from imitate.deploy.recording.session import SessionRecorder
from imitate.deploy.robot import Reading, Snapshot
from imitate.deploy.session import Session, SessionConfig
from imitate.parts import from_json

ROBOT = Path(__file__).resolve().parents[3] / "imitate/configs/robot/sim.yaml"
STEPS = 40
Path_ = Callable[[float], np.ndarray]


def shadowed(folder: Path, target: dict[str, Any], moves: Path_, wants: Path_) -> list[Quantity]:
    """A session in which the robot is at `moves(t)` while the policy wants the action `wants(t)`."""
    header = {**HEADER, "mode": "shadow", "robot": {"targets": {"arm": target}}}
    recorder = SessionRecorder(folder / "session.mcap", header)
    for step in range(STEPS):
        time_s = step / RATE_HZ
        recorder.observation(50 + time_s, Snapshot(measured={"arm": Reading(moves(time_s), 50 + time_s)}))
        recorder.step(50 + time_s, wants(time_s), "policy", sent=False)
    recorder.close()
    return compared(read_recording(folder))


def joints(meaning: str, kind: str = "joint_position") -> dict[str, Any]:
    return {"kind": kind, "names": list(JOINTS), "action": list(JOINTS), "meaning": meaning, "scale": 1.0}


def at(time_s: float) -> np.ndarray:
    return np.array([0.3 * time_s, -0.4 * time_s])


@pytest.mark.parametrize(
    ("target", "right"),
    [
        (joints("absolute"), lambda t: at(t + 1 / RATE_HZ)),
        (joints("delta"), lambda t: at(1 / RATE_HZ)),
        (joints("rate", "joint_velocity"), lambda t: at(1.0)),
        (joints("absolute", "joint_velocity"), lambda t: at(1.0)),
    ],
)
def test_what_a_perfect_policy_wants_is_what_happens(
    tmp_path: Path, target: dict[str, Any], right: Path_
) -> None:
    (found,) = shadowed(tmp_path / "s", target, at, right)
    assert len(found.error) == STEPS - 1, "the last step has no measurement after it"
    assert found.error.max() < 1e-9 and found.ratio < 1e-6
    assert np.allclose(found.moved, 0.05) and np.allclose(found.still, 0.05)
    assert found.agreement() == (1.0, STEPS - 1)


def test_an_error_is_the_distance_in_the_units_of_the_action(tmp_path: Path) -> None:
    off = np.array([0.03, 0.04])
    (found,) = shadowed(tmp_path / "s", joints("absolute"), at, lambda t: at(t + 0.1) + off)
    assert np.allclose(found.error, 0.05) and found.ratio == pytest.approx(1.0)


def test_the_opposite_way_agrees_nowhere(tmp_path: Path) -> None:
    (found,) = shadowed(tmp_path / "s", joints("delta"), at, lambda t: -at(0.1))
    assert found.agreement() == (0.0, STEPS - 1) and found.ratio == pytest.approx(2.0)
    assert found.pace == pytest.approx(1.0) and "no closer" in sentence(found)


def test_of_a_pose_places_and_turns_are_apart(tmp_path: Path) -> None:
    axes = ["x", "y", "yaw"]
    target = {"kind": "twist", "names": axes, "action": axes, "meaning": "delta", "scale": 1.0}
    spec = {**HEADER["spec"], "action": {**HEADER["spec"]["action"]}}
    spec["action"].update(shape=[3], names=axes, units=["m", "m", "rad"])

    def pose(t: float) -> np.ndarray:
        half = 0.1 * t  # Turning by 0.2 rad/s about z.
        return np.array([0.1 * t, 0.0, 0.5, 0.0, 0.0, np.sin(half), np.cos(half)])

    header = {**HEADER, "spec": spec, "mode": "shadow", "robot": {"targets": {"arm": target}}}
    recorder = SessionRecorder(tmp_path / "s" / "session.mcap", header)
    for step in range(STEPS):
        seen = Snapshot(measured={"arm": Reading(pose(step / 10), 50 + step / 10)})
        recorder.observation(50 + step / 10, seen)
        recorder.step(50 + step / 10, np.array([0.01, 0.002, 0.05]), "policy", sent=False)
    recorder.close()
    place, turn = compared(read_recording(tmp_path / "s"))
    assert (place.name, place.unit, turn.name, turn.unit) == ("position", "m", "turn", "rad")
    assert np.allclose(place.error, 0.002) and np.allclose(place.moved, 0.01)
    assert np.allclose(turn.error, 0.03, atol=1e-6) and np.allclose(turn.moved, 0.02, atol=1e-6)


def test_where_nothing_moved_there_is_nothing_to_compare(tmp_path: Path) -> None:
    shadowed(tmp_path / "s", joints("delta"), lambda t: np.zeros(2), lambda t: at(0.1))
    page = write_session_page(tmp_path / "s").read_text()
    assert "The robot did not move in this session" in page


class Driven:
    """An environment in which a scripted expert acts, whatever it is told: the person of a shadow session."""

    def __init__(self, env: Any) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def reset(self, **about: Any) -> Any:
        found = self._env.reset(**about)
        self._expert = self._env.expert()
        return found

    def step(self, action: np.ndarray) -> Any:
        return self._env.step(self._expert.act())


class Contrary(reaching.Reaching):
    """Wants the opposite of what it should."""

    def predict(self, obs: Any, rng: np.random.Generator) -> np.ndarray:
        chunk = super().predict(obs, rng)
        chunk[:, :4] *= -1
        return chunk


def drive(folder: Path, loaded: Loaded) -> Path:
    config = from_json(yaml.safe_load(ROBOT.read_text()), "robot")
    assert isinstance(config, SimulatedConfig)
    clock = VirtualClock()
    env: Any = Driven(reaching.config().build())
    robot = SimulatedRobot(env, config.targets, config.measured, clock)
    targets = {
        name: {"kind": t.kind, "names": t.names, "action": t.action, "meaning": t.meaning, "scale": t.scale}
        for name, t in robot.targets.items()
    }
    header = {"spec": loaded.predictor.spec.to_json(), "robot": {"targets": targets}, "mode": "shadow"}
    journal = SessionRecorder(folder / "session.mcap", header)
    session = Session(loaded, robot, config.limits, "shadow", SessionConfig(), journal, clock)
    try:
        for seed in range(4):
            robot.begin(seed)
            session.arm("tester")
            session.attempt(lambda: robot.progress.is_over, 6.0)
            assert robot.progress.success, "the expert drives, not the policy"
    finally:
        session.close()
    return folder


def test_a_good_policy_agrees_with_the_expert_who_drives(tmp_path: Path) -> None:
    folder = drive(tmp_path / "s", reaching.loaded())
    place = compared(read_recording(folder))[0]
    agreement = place.agreement()
    assert agreement is not None and agreement[0] > 0.8 and agreement[1] > 20
    page = write_session_page(folder).read_text()
    assert "What the policy would have done" in page and sentence(place) in page
    worst_s = place.times_s[np.argmax(place.error)] - read_recording(folder).start_s
    assert f'href="#t={worst_s:.3f}"' in page


def test_a_contrary_policy_does_not(tmp_path: Path) -> None:
    good = reaching.loaded()
    bad = replace(good, predictor=Contrary(reaching.config().build().data_spec))
    place = compared(read_recording(drive(tmp_path / "s", bad)))[0]
    agreement = place.agreement()
    assert agreement is not None and agreement[0] < 0.1 and place.ratio > 1
