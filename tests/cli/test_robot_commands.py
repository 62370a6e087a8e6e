"""imitate robot check and imitate robot simulate, from their command lines."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import untrained
from bridged_arm import bridged_arm
from tiny_arm import SPEC

from imitate.cli.main import main
from imitate.deploy.simulation.bridge_server import BridgeServer
from imitate.deploy.simulation.simulated_arm import SimulatedArm
from imitate.envs.tabletop.pick_place import PickPlaceConfig
from imitate.spec import DataSpec

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def port():  # type: ignore[no-untyped-def]
    server = BridgeServer()
    arm = SimulatedArm(PickPlaceConfig(), server)
    arm.start()
    server.start()
    yield server.port
    arm.close()
    server.close()


def check(port: int, *more: str) -> int:
    return main(["robot", "check", "robot=simulated_arm", f"robot.url=ws://127.0.0.1:{port}", *more])


def test_a_robot_that_is_as_described_is_well(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(port) == 0
    out = capsys.readouterr().out
    assert "observation joints: /joint_states" in out
    assert "limits: complete for arm, gripper" in out
    assert "ERROR" not in out


def test_findings_can_be_had_as_json(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(port, "--json") == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    # On a busy machine the simulated arm may be slow, which is a warning.
    assert "ok" in {finding["level"] for finding in found} <= {"ok", "warning"}


def test_what_is_wrong_is_an_error_and_exit_code_2(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(port, "robot.description.observations.joints.joints=[joint1,elbow]") == 2
    err = capsys.readouterr().err
    assert "ERROR    observation joints: joints ['elbow'] do not come on /joint_states" in err
    assert "observation gripper: /joint_states" in err


def test_a_policy_that_sees_something_else_does_not_fit(
    port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    env = PickPlaceConfig().build()
    known = env.data_spec
    env.close()
    policies = {
        "fits": known,
        "odd": DataSpec({**SPEC.obs, "gripper": known.obs["gripper"]}, known.action, 10.0),
        "more": DataSpec(known.obs, SPEC.action, None),
    }
    monkeypatch.setattr(
        "imitate.cli.robot_check.load_predictor",
        lambda path, *rest: SimpleNamespace(predictor=SimpleNamespace(spec=policies[path])),
    )
    assert check(port, "policy=fits") == 0
    assert check(port, "policy=odd") == 2
    err = capsys.readouterr().err
    assert "observation 'joints': shape is (6,), expected (2,)" in err
    assert check(port, "policy=more") == 2
    assert "the policy does not say at which rate it acts" in capsys.readouterr().err


def test_the_simulation_is_that_of_the_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["robot", "check", "robot=sim", f"policy={untrained.checkpoint(tmp_path)}"]) == 0
    assert "policy: action fits" in capsys.readouterr().out
    assert main(["robot", "check", "robot=sim"]) == 2
    assert "none is known: name a policy" in capsys.readouterr().err


def test_nothing_moves_while_a_robot_is_checked() -> None:
    with bridged_arm() as ends:
        check(ends.bridge.port)
        assert len(ends.arm.applied) == 0 and ends.arm.status()["refused"] == 0


def test_a_robot_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(9, "connect_s=0.3") == 2
    assert re.search(r"rosbridge at ws://127\.0\.0\.1:9 cannot be reached", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["robot"], "did you mean 'robot check'"),
        (["robot", "chek"], "did you mean 'robot check'"),
        (["robot", "check", "robot=nobody"], "there is no such robot"),
        (["robot", "simulate", "env=kitchen"], "there is no such env"),
        (["robot", "simulate", "env=point_obstacle", "port=99999"], "port is 99999"),
        (["robot", "check", "robot=simulated_arm", "robot.ros=3"], "robot.ros is 3"),
    ],
)
def test_mistakes_are_told_in_one_line(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    err = capsys.readouterr().err
    assert expected in err and err.count("\n") == 1


def test_both_words_have_help(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("check", "simulate"):
        assert main(["robot", word, "--help"]) == 0
        assert f"imitate robot {word}" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "  robot check " in capsys.readouterr().out


@pytest.mark.slow
def test_a_simulated_robot_serves_until_ctrl_c() -> None:
    command = [
        sys.executable,
        "-m",
        "imitate",
        "robot",
        "simulate",
        "env=point_obstacle",
        "port=0",
        "seed=4",
        "--json",
    ]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert re.search(r"ws://127\.0\.0\.1:\d+ \(ROS 2\)", line)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert json.loads(out)["seed"] == 4
