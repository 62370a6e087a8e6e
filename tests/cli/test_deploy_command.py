"""imitate deploy on simulated robots, as a user runs it."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import untrained

from imitate.cli.main import main
from imitate.deploy.session import Session
from imitate.errors import RobotError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained.checkpoint(tmp_path_factory.mktemp("run"))


def run(*arguments: object) -> int:
    return main(["deploy", *map(str, arguments)])


def test_a_dry_run_is_the_default_and_is_recorded(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "session"
    assert run(f"policy={checkpoint}", f"out={out}", "attempts=2", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((out / "session.json").read_text())
    assert result["mode"] == "dry-run"
    assert [a["seed"] for a in result["attempts"]] == [100000, 100001]
    assert result["timings"]["counts"].get("commands sent", 0) == 0
    assert result["timings"]["counts"]["commands not sent"] > 100
    assert (out / "session.mcap").stat().st_size > 1000


def test_a_recorded_session_becomes_demonstrations(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "session"
    assert run(f"policy={checkpoint}", f"out={out}", "mode=run", "arm=tester", "attempts=2") == 0
    assert main(["import", f"src={out / 'session.mcap'}", f"out={tmp_path / 'demos.zarr'}"]) == 0
    assert main(["inspect", f"data.path={tmp_path / 'demos.zarr'}"]) == 0


def test_a_session_that_fails_while_it_drives_keeps_recording_and_page(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    attempt, out = Session.attempt, tmp_path / "session"

    def lost(*given: Any) -> None:
        attempt(*given)
        raise RobotError("the robot is gone")

    monkeypatch.setattr(Session, "attempt", lost)
    assert run(f"policy={checkpoint}", f"out={out}") == 2
    assert "the robot is gone" in capsys.readouterr().err
    assert (out / "session.mcap").stat().st_size > 1000
    assert "dry-run" in (out / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mode=run"], "mode=run moves the robot, which a person must allow: add arm=YOUR_NAME"),
        (["mode=walk"], "mode is 'walk', expected one of dry-run, shadow, run"),
        (["attempts=0"], "attempts is 0, expected at least 1"),
        (["robot=simm"], "robot=simm: there is no such robot (did you mean 'sim'?)"),
        (["env=point_obstacle"], "robot"),
        (["robot.limits.tools=null"], "robot.limits.tools"),
        (["session.urdf=/no/such/file"], "/no/such/file"),
    ],
)
def test_mistakes_end_in_one_line_and_leave_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    out = tmp_path / "session"
    assert run(f"policy={checkpoint}", f"out={out}", *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("imitate: ")
    assert message in error
    assert not out.exists()


def test_a_session_is_never_overwritten(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(f"policy={checkpoint}", f"out={tmp_path}") == 2
    assert "is there already" in capsys.readouterr().err


def command(checkpoint: Path, out: Path, *more: str) -> list[str]:
    settings = [f"policy={checkpoint}", f"out={out}", "robot.realtime=true", "mode=run", "arm=tester", *more]
    return [sys.executable, "-m", "imitate", "deploy", *settings]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_told_to_end_it_comes_to_rest_and_keeps_the_result(
    checkpoint: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "session"
    with subprocess.Popen(
        command(checkpoint, out, "attempts=100"), stderr=subprocess.PIPE, text=True
    ) as process:
        _wait_for(out / "session.mcap")
        time.sleep(1.0)
        process.send_signal(number)
        _, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    result = json.loads((out / "session.json").read_text())
    assert result["states"][-1]["after"] == "idle"
    assert result["states"][-1]["why"] == "the attempt is over"


@pytest.mark.slow
def test_the_space_bar_stops_and_g_goes_on(checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "session"
    ours, theirs = pty.openpty()
    long = "attempts=100"
    with subprocess.Popen(command(checkpoint, out, long), stdin=theirs, stderr=subprocess.PIPE) as process:
        _wait_for(out / "session.mcap")
        time.sleep(0.7)
        os.write(ours, b" ")
        time.sleep(0.5)
        os.write(ours, b"g")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=120)
    states = json.loads((out / "session.json").read_text())["states"]
    reasons = [state["why"] for state in states]
    stopped = reasons.index("stopped at the keyboard")
    assert reasons[stopped + 1 : stopped + 3] == ["armed by tester", "started"]


def _wait_for(file: Path) -> None:
    given_up = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < given_up, f"{file} did not appear"
        time.sleep(0.05)
