"""A session of a made-up arm with a camera, recorded through the real recorder without waiting."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imitate.deploy.command import Command
from imitate.deploy.recording.session import SessionRecorder
from imitate.deploy.robot import Reading, Snapshot
from imitate.spec import ArraySpec, DataSpec

RATE_HZ = 10.0
JOINTS = ("shoulder", "elbow")
SPEC = DataSpec(
    {
        "joints": ArraySpec((2,), names=JOINTS, units=("rad", "rad")),
        "tool": ArraySpec((7,), "float64", units=("m",) * 3 + ("",) * 4),
        "forces": ArraySpec((2, 3), "float64"),
        "camera": ArraySpec((12, 16, 3), "uint8"),
    },
    ArraySpec((2,), names=JOINTS, units=("rad", "rad")),
    RATE_HZ,
)
TARGET: dict[str, Any] = {
    "kind": "joint_position",
    "topic": "/commands",
    "action": list(JOINTS),
    "form": "values",
    "names": list(JOINTS),
}
HEADER: dict[str, Any] = {
    "spec": SPEC.to_json(),
    "robot": {"targets": {"arm": TARGET}},
    "max_age_s": {"observations.joints": 0.15, "observations.camera": 0.25},
    "policy_hash": "abc",
    "mode": "run",
    "imitate_version": "0",
}


def observed(step: int) -> dict[str, np.ndarray]:
    """What the arm senses at a step: the same whenever it is asked."""
    rng = np.random.default_rng(step)
    return {
        "joints": np.array([step, 0.5]),
        "tool": np.array([step, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0]),
        "forces": np.arange(6.0).reshape(2, 3) + step,
        "camera": rng.integers(0, 256, (12, 16, 3)).astype(np.uint8),
    }


def action(step: int) -> np.ndarray:
    return np.array([step + 0.25, -step], np.float32)


def snapshot(step: int, time_s: float) -> Snapshot:
    """Readings that arrived 10 ms before `time_s`."""
    came_s = time_s - 0.01
    return Snapshot(
        {key: Reading(value, came_s) for key, value in observed(step).items()},
        {"arm": Reading(np.array([step, 0.5]), came_s)},
        Reading(np.array(False), came_s),
    )


def command(step: int, time_s: float) -> Command:
    values, none = action(step)[None].astype(float), np.zeros(1)
    return Command("arm", "joint_position", JOINTS, values, none, time_s, step)


def record_steps(recorder: SessionRecorder, steps: range, start_s: float = 1000.0, **changes: Any) -> None:
    """One tick per step, the policy acting and everything sent; `changes` are arguments of `step`."""
    for step in steps:
        time_s = start_s + step / RATE_HZ
        recorder.observation(time_s, snapshot(step, time_s))
        recorder.command(time_s, command(step, time_s), changes.get("sent", True), "policy")
        recorder.step(time_s, action(step), **{"source": "policy", **changes})


def record(path: Path, write: Callable[[SessionRecorder], None], header: dict[str, Any] = HEADER) -> Path:
    """The session that `write` records."""
    recorder = SessionRecorder(path, header)
    write(recorder)
    recorder.close()
    assert (recorder.dropped, recorder.failure) == (0, "")
    return path
