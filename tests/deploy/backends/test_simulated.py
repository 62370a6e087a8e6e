"""An environment as a robot: whoever drives never waits for its physics."""

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reaching
import yaml

from imitate.deploy.backends.simulated import SimulatedConfig, SimulatedRobot
from imitate.deploy.clock import VirtualClock
from imitate.errors import RobotError
from imitate.parts import from_json

ROBOT = Path(__file__).parents[3] / "imitate/configs/robot/sim.yaml"


def config() -> SimulatedConfig:
    found = from_json(yaml.safe_load(ROBOT.read_text()), "robot")
    assert isinstance(found, SimulatedConfig)
    return found


def test_whoever_measures_does_not_wait_for_the_physics() -> None:
    env, clock = reaching.config().build(), VirtualClock()
    robot = SimulatedRobot(env, config().targets, config().measured, clock)
    robot.begin(0)
    at_work, go_on, step = threading.Event(), threading.Event(), env.step

    def slow(action: np.ndarray) -> Any:
        at_work.set()
        assert go_on.wait(10.0)
        return step(action)

    env.step = slow  # type: ignore[method-assign]
    clock.move_to(robot.period_s)
    stepping = threading.Thread(target=robot.advance)
    stepping.start()
    try:
        assert at_work.wait(10.0)
        begun = time.monotonic()
        before = robot.read().observations["gripper"].arrived_s
        assert time.monotonic() - begun < 1.0
    finally:
        go_on.set()
        stepping.join(10.0)
    assert robot.read().observations["gripper"].arrived_s == pytest.approx(before + robot.period_s)
    robot.close()


def test_the_policy_brings_its_environment_unless_another_is_named() -> None:
    loaded = reaching.loaded(max_steps=7)
    assert config().for_policy(loaded.env).env == reaching.config(max_steps=7)
    named = replace(config(), env=reaching.config(max_steps=9))
    assert named.for_policy(loaded.env).env == reaching.config(max_steps=9)
    with pytest.raises(RobotError, match="none is known: name a policy"):
        config().for_policy(None).build()
