"""What is started under a watch ends with the process that started it, also where that is killed."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from imitate.cluster.watcher import MARK, watched

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found as Linux shows them")
# A child and its child, both in sessions of their own, as those of a raylet are.
PARENT = """
import subprocess, sys, time
from imitate.cluster.watcher import watched
with watched(sys.argv[1]):
    nested = "import subprocess, time; subprocess.Popen(['sleep', '600']); time.sleep(600)"
    subprocess.Popen([sys.executable, "-c", nested], start_new_session=True)
    print("started", flush=True)
    time.sleep(600)
"""


def bearing(folder: str) -> list[str]:
    needle, found = f"{MARK}={folder}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if needle in (process / "environ").read_bytes().split(b"\0"):
                found.append(process.name)
        except OSError:
            continue
    return found


def waited(what, seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    return bool(what())


def test_all_ends_with_a_process_that_is_killed() -> None:
    folder = tempfile.mkdtemp(prefix="ray-")
    other = subprocess.Popen(["sleep", "60"])
    with subprocess.Popen([sys.executable, "-c", PARENT, folder], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"started\n"
        assert waited(lambda: len(bearing(folder)) == 2), bearing(folder)
        parent.send_signal(signal.SIGKILL)
    assert waited(lambda: not bearing(folder)), bearing(folder)
    assert waited(lambda: not Path(folder).exists())
    assert other.poll() is None  # what does not belong to it lives
    other.kill()
    other.wait()


def test_what_ends_in_order_is_left_alone(tmp_path: Path) -> None:
    before = subprocess.Popen(["sleep", "60"])
    with watched(str(tmp_path)):
        started = subprocess.Popen(["sleep", "60"])
        assert waited(lambda: bearing(str(tmp_path)) == [str(started.pid)])
    time.sleep(1.0)
    for process in (before, started):
        assert process.poll() is None
        process.kill()
        process.wait()
    assert tmp_path.exists()
