"""A simulated arm behind a bridge in a process of its own, and commands that are streamed to it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bridged_arm import Pilot, robot_at, wait_until

from imitate.deploy.robot import Robot

TINY_ARM = Path(__file__).with_name("tiny_arm.py")
LONGEST_AGE_S = 0.1


class ArmProcess:
    """A simulated arm behind a bridge in a process of its own, which notes what it obeys."""

    def __init__(self, folder: Path, inside: Sequence[str] = (), host: str = "127.0.0.1") -> None:
        self._inside, self._host = list(inside), host
        self.log = folder / "obeyed.jsonl"
        self.log.touch()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(TINY_ARM.parent), *sys.path])
        process = subprocess.Popen(
            [*self._inside, sys.executable, str(TINY_ARM), str(self.port), str(self.log), self._host],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(self.port)
        return process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self._start()

    def freeze(self, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def obeyed(self) -> list[dict[str, Any]]:
        """Obeyed commands in order; `age` is the time since they were sent."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]


@contextmanager
def arm_process(folder: Path) -> Iterator[tuple[ArmProcess, Robot]]:
    arm = ArmProcess(folder)
    robot = robot_at(arm.port)
    try:
        robot.connect(10.0)
        yield arm, robot
    finally:
        robot.close()
        arm.kill()


@contextmanager
def streaming(robot: Robot) -> Iterator[list[tuple[float, bool]]]:
    """Commands at 50 Hz from a thread: when, and whether they left."""
    sent: list[tuple[float, bool]] = []
    done = threading.Event()
    pilot = Pilot(robot)

    def fly() -> None:
        while not done.wait(0.02):
            sent.append((time.monotonic(), pilot.send()))

    thread = threading.Thread(target=fly)
    thread.start()
    try:
        yield sent
    finally:
        done.set()
        thread.join()


def require_fresh(arm: ArmProcess, at_least: int) -> None:
    wait_until(lambda: len(arm.obeyed()) >= at_least)
    ages = [entry["age"] for entry in arm.obeyed()]
    assert max(ages) < LONGEST_AGE_S, f"obeyed a command {max(ages):.3f} s old"
