"""A short recorded session of the made-up arm with things in it that a page must show, and when."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from recorded_session import HEADER, RATE_HZ, record_steps

from imitate.deploy.recording.session import SessionRecorder

START_S = 1000.0
STEPS = 30
INTERVENED_S = 0.7
PROPOSED = 9.5
TARGET = {"kind": "joint_position", "names": ["shoulder", "elbow"], "action": ["shoulder", "elbow"]}
SETTINGS = {"session": {"control": {"command_rate_hz": 100.0}}}
LATE_MS = [0.1, 0.2, 31.25]
TIMES = {"p50": 0.321, "p99": 23.456, "max": 31.25}
STATES = [
    (0.0, "disconnected", "idle", "connected"),
    (0.0, "idle", "armed", "armed by tester"),
    (0.0, "armed", "running", "started"),
    (1.5, "running", "hold", "stale: observations.camera"),
    (1.8, "hold", "running", "resumed by tester"),
    (2.9, "running", "hold", "the attempt is over"),
    (2.9, "hold", "idle", "the attempt is over"),
]


def plant(
    folder: Path,
    mode: str = "run",
    rule: str = "velocity",
    why: str = "4 rad/s, the limit is 1",
    is_finished: bool = True,
    policy: str = "policy.imitate",
) -> Path:
    """Record the session in `folder`, which must not exist; `is_finished` gives it its session.json."""
    header = {
        **HEADER,
        "mode": mode,
        "policy": {"file": policy, "kind": "bundle"},
        "robot": {"targets": {"arm": TARGET}},
        "settings": SETTINGS,
    }
    recorder = SessionRecorder(folder / "session.mcap", header)
    recorder.event(START_S, "episode", {})
    record_steps(recorder, range(STEPS), START_S, sent=mode == "run")
    for at_s in (INTERVENED_S, INTERVENED_S + 0.01, 2.2):
        values = {"group": "arm", "rule": rule, "detail": why, "proposed": np.array([[PROPOSED, 0.0]])}
        recorder.event(START_S + at_s, "intervention", values)
    for time_s, before, after, reason in STATES:
        recorder.event(START_S + time_s, "state", {"before": before, "after": after, "why": reason})
    recorder.event(START_S + 1.0, "unfamiliar", {"distance": 7.5, "threshold": 2.0, "action": "warn"})
    told = {"late_ms": LATE_MS, "busy_ms": [0.5], "latency_ms": [12.0, 14.0], "age_ms": [3.0]}
    recorder.event(START_S + 1.0, "timings", told)
    recorder.close()
    assert (recorder.dropped, recorder.failure) == (0, "")
    if is_finished:
        (folder / "session.json").write_text(json.dumps(result(mode, rule)))
    return folder


def result(mode: str, rule: str) -> dict[str, Any]:
    """What session.json says of it."""
    states = [
        {"time_s": START_S + at_s, "before": before, "after": after, "why": why}
        for at_s, before, after, why in STATES
    ]
    return {
        "mode": mode,
        "attempts": [{"seed": 7, "success": True, "score": 1.0, "steps": STEPS}],
        "interventions": {rule: 3},
        "states": states,
        "timings": {
            "late_ms": TIMES,
            "busy_ms": {"p50": 0.5, "p99": 0.5, "max": 0.5},
            "latency_ms": {"p50": 13.0, "p99": 14.0, "max": 14.0},
            "counts": {"ticks": 300, "missed ticks": 6, "commands sent": STEPS},
        },
        "imitate": "0",
    }


PERIOD_S = 1.0 / RATE_HZ
