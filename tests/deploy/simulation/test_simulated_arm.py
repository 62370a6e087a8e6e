"""Environments as robots, in real time: what they publish, what they obey, how episodes come and go."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from bridged_arm import AXES, Pilot, bridged_arm, robot_at, wait_until
from tiny_arm import TinyConfig

from imitate.config import compose_plain
from imitate.deploy import messages
from imitate.deploy.backends.dds_network import DdsNetwork
from imitate.deploy.backends.dds_transport import DdsTransport
from imitate.deploy.command import Command
from imitate.deploy.description import JointSource, RobotDescription, Target, VectorSource
from imitate.deploy.simulation.arm_topics import channels, messages_of, publications
from imitate.deploy.simulation.bridge_server import BridgeServer
from imitate.deploy.simulation.dds_host import DdsHost
from imitate.deploy.simulation.simulated_arm import RESET, STATUS, SimulatedArm
from imitate.deploy.transport import Topic
from imitate.envs.point_obstacle import PointObstacleConfig
from imitate.envs.tabletop.pick_place import PickPlaceConfig
from imitate.envs.tabletop.reach import ReachConfig
from imitate.errors import EnvError, RobotError
from imitate.parts import from_json
from imitate.spec import ArraySpec, DataSpec

pytestmark = pytest.mark.timeout(120)


@contextmanager
def arm_of(config: Any, seed: int = 0) -> Iterator[tuple[SimulatedArm, BridgeServer]]:
    server = BridgeServer()
    arm = SimulatedArm(config, server, seed)
    try:
        arm.start()
        server.start()
        yield arm, server
    finally:
        arm.close()
        server.close()


def test_an_episode_begins_with_the_first_command_and_rests_at_its_end_until_it_is_reset() -> None:
    with bridged_arm(config=TinyConfig(max_steps=5)) as ends:
        time.sleep(0.2)
        assert ends.arm.status()["step"] == 0
        pilot = Pilot(ends.robot)
        pilot.stream(0.4)
        status = ends.arm.status()
        assert status["over"] and status["success"] and status["step"] == 5
        pilot.stream(0.2)
        assert ends.arm.status()["step"] == 5
        ends.arm.reset(seed=9)
        status = ends.arm.status()
        assert status["seed"] == 9 and status["episode"] == 1 and status["step"] == 0 and not status["over"]
        # It still publishes, so that nothing at our end grows old.
        before = ends.robot.read().measured["arm"].arrived_s
        wait_until(lambda: ends.robot.read().measured["arm"].arrived_s > before)


def test_the_status_counts_refused_commands_and_the_age_of_obeyed_ones() -> None:
    with bridged_arm() as ends:
        Pilot(ends.robot).stream(0.3)
        wait_until(lambda: ends.arm.status()["step"] > 5)
        assert 0 < ends.arm.status()["oldest_applied_s"] <= 0.1
        refused = ends.arm.status()["refused"]
        old = messages.twist_stamped(AXES, np.zeros(4), time.time() - 0.2)
        for session in ends.bridge._sessions:
            ends.bridge.receive(session, "/arm/twist", old)
            break
        assert ends.arm.status()["refused"] == refused + 1


def test_an_environment_that_cannot_be_made_is_told_to_whom_starts_it() -> None:
    class Broken:
        def build(self) -> Any:
            raise EnvError("no such thing")

    server = BridgeServer()
    arm = SimulatedArm(Broken(), server)
    with pytest.raises(EnvError, match="no such thing"):
        arm.start()
    arm.close()
    server.close()


def test_every_observation_is_published_once_and_comes_back_exactly() -> None:
    env = PickPlaceConfig().build()
    obs, _ = env.reset(seed=0)
    topics = {topic.name: topic.type for topic in publications(env.data_spec)}
    published = list(messages_of(env.data_spec, obs, 1.0))
    env.close()
    assert {topic for topic, _ in published} == set(topics)
    values = {topic: message["data"] for topic, message in published if topics[topic] == messages.VALUES}
    assert set(values) == {f"/observations/{k}" for k in ("object", "goal", "ee_to_object", "object_to_goal")}
    np.testing.assert_array_equal(values["/observations/object"].astype(np.float32), obs["object"])
    states = [message for topic, message in published if topic == "/joint_states"]
    assert [len(state["name"]) for state in states] == [6, 1]


def test_an_environment_that_is_no_robot_is_refused() -> None:
    odd = DataSpec(
        {"x": ArraySpec((2,), units=("m", "m"))}, ArraySpec((2,), names=("a", "b"), units=("N", "N")), 10.0
    )
    with pytest.raises(EnvError, match="no robot can be made"):
        channels(odd)


def plane_description() -> RobotDescription:
    """point_obstacle in the words of a robot: two sliding joints with velocities."""
    names = ("position_x", "position_y")
    state = JointSource("/joint_states", names, unit="m", max_age_s=0.3)
    target = Target("joint_velocity", "/arm/commands", ("velocity_x", "velocity_y"), "values", names)
    goal = VectorSource("/observations/goal", ("goal_x", "goal_y"), max_age_s=0.3)
    return RobotDescription({"position": state, "goal": goal}, {"plane": state}, {"plane": target})


def test_a_point_moves_while_velocities_come_and_stops_without_them() -> None:
    with arm_of(PointObstacleConfig()) as (_, server):
        robot = robot_at(server.port, 2, plane_description())
        robot.connect(5.0)
        wait_until(lambda: "plane" in robot.read().measured)
        start = robot.read().measured["plane"].value[1]
        names, speed = ("position_x", "position_y"), np.array([[0.0, 0.3]])
        for number in range(25):
            made = time.monotonic()
            robot.send(Command("plane", "joint_velocity", names, speed, np.zeros(1), made, number))
            time.sleep(0.02)
        wait_until(lambda: robot.read().measured["plane"].value[1] > start + 0.05)
        time.sleep(1.0)
        rest = robot.read().measured["plane"].value
        time.sleep(0.3)
        np.testing.assert_allclose(robot.read().measured["plane"].value, rest, atol=1e-3)
        robot.close()


def test_joints_follow_a_trajectory_and_keep_their_place() -> None:
    with arm_of(ReachConfig(action_mode="joint_position")) as (_, server):
        names = tuple(f"joint{i}" for i in range(1, 7))
        state = JointSource("/joint_states", names, max_age_s=0.3)
        target = Target("joint_position", "/arm/joint_trajectory", names, "trajectory", names)
        robot = robot_at(server.port, 2, RobotDescription({"joints": state}, {"arm": state}, {"arm": target}))
        robot.connect(5.0)
        wait_until(lambda: "arm" in robot.read().measured)
        start = robot.read().measured["arm"].value
        goal = start + np.array([0.1, 0, 0, 0, 0, 0])
        points, times = np.stack([(start + goal) / 2, goal]), np.array([0.2, 0.4])
        assert robot.send(Command("arm", "joint_position", names, points, times, time.monotonic(), 1))
        time.sleep(1.0)
        np.testing.assert_allclose(robot.read().measured["arm"].value, goal, atol=5e-3)
        robot.close()


@pytest.mark.slow
def test_an_expert_behind_the_bridge_does_what_it_does_in_a_rollout() -> None:
    """The scripted expert of a twin of the simulated environment, one action per published observation."""
    with arm_of(PickPlaceConfig()) as (arm, server):
        settings = compose_plain("robot_check", ["robot=simulated_arm"])["robot"]
        robot = from_json({**settings, "url": f"ws://127.0.0.1:{server.port}"}).build()
        robot.connect(5.0)
        # On a busy machine an action may miss its step; one episode in which none does is enough.
        differences = [np.inf]
        for seed in range(3, 8):
            arm.reset(seed)
            differences = _fly_with_twin(robot, arm, seed)
            if max(differences) < 1e-6:
                break
        robot.close()
        status = arm.status()
    assert max(differences) < 1e-6
    assert status["success"]


def _fly_with_twin(robot: Any, arm: SimulatedArm, seed: int) -> list[float]:
    twin = PickPlaceConfig().build()
    obs, _ = twin.reset(seed=seed)
    expert = twin.expert()
    action, seen, sequence, differences = expert.act(), 0, 0, [0.0]
    while not arm.status()["over"] and max(differences) < 1e-6:
        if arm.status()["step"] > seen:
            wait_until(lambda: _is_newest(robot, arm))
            obs = twin.step(action)[0]
            seen, action = seen + 1, expert.act()
            found = robot.read().observations
            differences += [
                float(np.abs(found[key].value.astype(np.float32) - obs[key]).max()) for key in obs
            ]
        made, sequence = time.monotonic(), sequence + 1
        twist, opening = action[None, :4].astype(float) * 10, action[None, 4:].astype(float)
        robot.send(Command("arm", "twist", AXES, twist, np.zeros(1), made, sequence))
        robot.send(Command("gripper", "gripper", ("gripper",), opening, np.zeros(1), made, sequence))
        time.sleep(0.01)
    twin.close()
    return differences


def _is_newest(robot: Any, arm: SimulatedArm) -> bool:
    published_s = arm.observed[-1][0]
    return all(reading.arrived_s >= published_s for reading in robot.read().observations.values())


def test_a_reset_waits_for_the_arm_and_a_dead_one_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imitate.deploy.simulation.simulated_arm.START_TIMEOUT_S", 0.2)
    server = BridgeServer()
    arm = SimulatedArm(TinyConfig(), server)
    arm.start()
    arm.close()
    with pytest.raises(RobotError, match="does not answer"):
        arm.reset(1)
    server.close()


def test_on_dds_it_publishes_obeys_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cyclonedds")
    seen: dict[str, Any] = {}
    network = DdsNetwork(domain=79)
    host = DdsHost(network)
    arm = SimulatedArm(TinyConfig(), host)
    client = DdsTransport(network)
    try:
        arm.start()
        host.start()
        topics = [Topic(STATUS, messages.STRING)]
        client.open(topics, [Topic(RESET, messages.STRING)], lambda t, m, at: seen.update({t: m}), 10.0)
        wait_until(lambda: STATUS in seen)
        assert client.publish(RESET, {"data": json.dumps({"seed": 7})})
        wait_until(lambda: json.loads(seen[STATUS]["data"])["seed"] == 7)
    finally:
        client.close()
        arm.close()
        host.close()


def test_on_dds_parts_of_the_joints_do_not_push_each_other_out() -> None:
    pytest.importorskip("cyclonedds")
    network, joints = DdsNetwork(domain=80), Topic("/joint_states", messages.JOINT_STATE)
    host, client, seen = DdsHost(network), DdsTransport(network), list[str]()
    host.advertise(joints, "arm")
    try:
        host.start()
        client.open([joints], [], lambda topic, message, at: seen.extend(message["name"]), 10.0)
        for _ in range(40):
            for part in ("arm", "gripper", "head"):
                host.publish(joints.name, {"name": [part], "position": np.zeros(1)})
            time.sleep(0.01)
        wait_until(lambda: len(seen) == 120)
    finally:
        client.close()
        host.close()
