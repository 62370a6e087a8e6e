"""`imitate collect` from the command line, killed and taken up again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imitate.cli.main import main
from imitate.datasets.store import DemoStore

REACH = ["collect", "env=tabletop/reach"]


def test_it_says_what_was_added_and_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demos.zarr"
    assert main([*REACH, "episodes=3", f"out={out}", "style=[left,right]", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["added"] == told["episodes"] == 3 and told["steps"] == DemoStore.open(out).steps
    assert main([*REACH, "episodes=2", f"out={out}", "style=left", "append=true"]) == 0
    text = capsys.readouterr().out
    assert "added    2 episodes" in text and "5 episodes" in text and str(out) in text


def test_an_existing_store_is_a_mistake_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "demos.zarr"
    out.mkdir()
    assert main([*REACH, "episodes=1", f"out={out}"]) == 2
    told = capsys.readouterr().err.strip()
    assert "append=true" in told and "\n" not in told


def is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize(("how", "workers"), [(signal.SIGKILL, 2), (signal.SIGINT, 2), (signal.SIGINT, 0)])
def test_what_was_finished_before_a_kill_is_kept_and_continued(
    tmp_path: Path, how: signal.Signals, workers: int
) -> None:
    out = tmp_path / "demos.zarr"
    settings = [*REACH, f"out={out}"]
    command = [sys.executable, "-m", "imitate", *settings, f"workers={workers}", "episodes=100000"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 200
    while not (out.exists() and len(DemoStore.open(out)) >= 5):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    # Ctrl-C reaches workers too; kill -9 only the process it is meant for.
    os.killpg(process.pid, how) if how == signal.SIGINT else process.kill()
    assert process.wait(60) == (130 if how == signal.SIGINT else -signal.SIGKILL)
    while is_alive(process.pid):
        assert time.monotonic() < deadline, "workers outlive the command"
        time.sleep(0.1)
    kept = len(DemoStore.open(out))
    assert main([*settings, f"episodes={kept + 3}", "append=true"]) == 0
    store = DemoStore.open(out)
    assert len(store) == kept + 3 and len({store.record(i).id for i in range(len(store))}) == kept + 3
    for index in range(len(store)):
        store.verify(index)
