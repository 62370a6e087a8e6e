"""The processes in which scripts/benchmarks/rollouts measures, each in the environment of its project."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from commands import say
from loading_others import (
    BASELINES,
    LEROBOT_PYTHON,
    ROBOMIMIC_HOME,
    ROOT,
    make_lerobot_environment,
    make_robomimic_environment,
)
from rollout_task import ANSWER, Case

OURS = Path(__file__).parent / "rollout_ours.py"
PUSHT = ("gym-pusht==0.1.8", "pymunk==6.11.1", "pygame==2.6.1", "shapely==2.2.0", "cffi", "pycparser")


class Measurer:
    """A process that measures on request and waits in between; `is_there` unless it could not start."""

    def __init__(self, name: str, command: list[str], extra: Mapping[str, str] | None = None) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **(extra or {})}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115  a pipe that nobody empties would fill up
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=environment,
        )
        assert self._process.stdin and self._process.stdout
        self._asked, self._answers = self._process.stdin, self._process.stdout
        self.is_there = bool(self._line())
        if not self.is_there:
            say(f"{name} does not run here, so there is no baseline: {self._reason()}")

    def ask(self, case: Case, **settings: Any) -> None:
        """Begin to measure."""
        print(json.dumps({"case": asdict(case), "settings": settings}), file=self._asked, flush=True)

    def answer(self) -> tuple[float, float]:
        """Steps and seconds of what was asked."""
        line = self._line()
        if not line:
            raise RuntimeError(self._reason())
        steps, seconds = json.loads(line.removeprefix(ANSWER))
        return steps, seconds

    def _reason(self) -> str:
        self._said.seek(0)
        return (self._said.read().strip() or "?").splitlines()[-1]

    def _line(self) -> str:
        """The next answer, passing over what libraries print; empty where there is none."""
        return next((line for line in self._answers if line.startswith(ANSWER)), "")

    def __enter__(self) -> "Measurer":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._asked.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._process.wait()
        self._said.close()


def ours(way: str) -> Measurer:
    """raw, imitate or gymnasium, with this Python."""
    return Measurer(way, [sys.executable, str(OURS), way])


def lerobot() -> Measurer | None:
    """LeRobot's loop; None where it cannot be installed."""
    if not with_pusht():
        return None
    return Measurer("LeRobot", [str(LEROBOT_PYTHON), str(BASELINES / "lerobot_rollouts.py")])


def with_pusht() -> bool:
    """Make LeRobot's environment where there is none, and Push-T in it; whether that worked."""
    if not LEROBOT_PYTHON.exists() and not make_lerobot_environment():
        return False
    there = [str(LEROBOT_PYTHON), "-c", "import gym_pusht"]
    if subprocess.run(there, capture_output=True, check=False).returncode == 0:
        return True
    say("adding Push-T to LeRobot's environment")
    # Without what it requires: LeRobot has OpenCV already, as a package of another name.
    command = [str(LEROBOT_PYTHON), "-m", "pip", "install", "--quiet", "--no-deps", *PUSHT]
    if subprocess.run(command, check=False).returncode == 0:
        return True
    say("Push-T cannot be installed for LeRobot, so there is no baseline")
    return False


def robomimic() -> Measurer | None:
    """robomimic's loop; None where it cannot be installed."""
    if not ROBOMIMIC_HOME.exists() and not make_robomimic_environment():
        return None
    path = os.pathsep.join([str(ROBOMIMIC_HOME), str(ROOT)])
    command = [sys.executable, str(BASELINES / "robomimic_rollouts.py")]
    return Measurer("robomimic", command, {"PYTHONPATH": path})
