"""Recording a session from the control loop, which never waits for the disk."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from imitate.datasets.session_format import (
    COMMAND,
    COMMAND_LOG,
    EVENT,
    EVENTS,
    INVALID,
    MEASURED,
    OBSERVATIONS,
    SENT,
    STEP,
    STEPS,
    STOP,
    TAKEOVER,
    WITHHELD,
)
from imitate.deploy.command import Command
from imitate.deploy.recording.messages import POSE_UNITS, command_message, value_message
from imitate.deploy.recording.session_file import SessionFile
from imitate.deploy.robot import Reading, Snapshot
from imitate.errors import ImitateError
from imitate.spec import ArraySpec, DataSpec

FLUSH_S = 0.5
# Some seconds of a loop at 100 Hz with a handful of calls per tick.
QUEUE_LIMIT = 2000
CLOSE_S = 30.0

Source = Literal["policy", "person", "hold"]


class SessionRecorder:
    """Writes a session to `path` in the format of imitate.datasets.session_format.

    header: JSON values; "spec" (DataSpec.to_json()) is needed, as it names what is recorded, "robot" (with
    "targets", each as a mapping) names the joints of groups, "max_age_s" (Robot.max_age_s) is what import
    goes by; "policy_hash", "bundle_hash", "mode" and "imitate_version" say where the session came from.

    Times are local monotonic s. Every method returns at once and may be called from any thread; arrays must
    not change afterwards. What does not fit the queue is lost and counted in `dropped`; what the disk refuses
    ends the recording, and `failure` says why. After a kill the file holds all but the last half second.
    """

    def __init__(self, path: str | Path, header: Mapping[str, Any]) -> None:
        """Begin the file; RobotError where it exists or cannot be written, SpecError without a spec."""
        self._wall_ns = time.time_ns() - time.monotonic_ns()
        now_ns = time.monotonic_ns()
        clock = {"monotonic_ns": now_ns, "wall_ns": now_ns + self._wall_ns}
        self._streams = _Streams(header)
        self._file = SessionFile(Path(path), {**header, "clock": clock})
        self._last: dict[str, Reading] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.dropped = 0
        """How many calls were lost because the disk was too slow."""
        self.failure = ""
        """Why nothing is recorded any more; empty while all is well."""
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue(QUEUE_LIMIT)
        self._thread = threading.Thread(target=self._write_all, name="session recorder", daemon=True)
        self._thread.start()

    def observation(self, time_s: float, snapshot: Snapshot) -> None:
        """What the robot knew of itself at `time_s`; only what is new is written."""
        self._put(lambda: self._write_snapshot(time_s, snapshot))

    def command(self, time_s: float, command: Command, sent: bool, source: Source) -> None:
        """A command that left at `time_s`, or did not: `sent`."""
        self._put(lambda: self._write_command(time_s, command, sent, source))

    def step(
        self, time_s: float, action: np.ndarray, source: Literal["policy", "person"], sent: bool = True
    ) -> None:
        """The action (Da,) of one control step, in the policy's units and order, after the gate.

        Call it once per control period of the policy, with the time `time_s` of the observation at that
        step (not the one that a chunk was predicted from), whoever acts; while holding, not at all. These
        become the demonstration.
        """
        values = {"time_s": time_s, "action": np.array(action), "source": source, "sent": sent}
        self._put(lambda: self._file.add_json(STEPS, STEP, values, self._ns(time_s)))

    def event(self, time_s: float, name: str, values: Mapping[str, Any]) -> None:
        """Anything else that happened: JSON values, arrays among them."""
        event = {"time_s": time_s, "name": name, "values": dict(values)}
        self._put(lambda: self._file.add_json(EVENTS, EVENT, event, self._ns(time_s)))

    def close(self) -> None:
        """Write what is waiting, then the index; later calls are ignored."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None, timeout=CLOSE_S)
        self._thread.join(CLOSE_S)

    def _put(self, write: Callable[[], None]) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                self._queue.put_nowait(write)
            except queue.Full:
                self.dropped += 1

    def _write_all(self) -> None:
        """The writer's thread, until `close`."""
        flush_s, told = time.monotonic() + FLUSH_S, 0
        while True:
            try:
                write = self._queue.get(timeout=max(0.0, flush_s - time.monotonic()))
            except queue.Empty:
                write = _nothing
            if write is None:
                break
            self._try(write)
            if time.monotonic() < flush_s:
                continue
            if self.dropped > told:
                told = self.dropped
                self._try(lambda: self._write_event("recording_overflow", {"dropped": self.dropped}))
            self._try(self._file.flush)
            flush_s = time.monotonic() + FLUSH_S
        self._try(self._file.close)

    def _try(self, write: Callable[[], None]) -> None:
        if self.failure:
            return
        try:
            write()
        except OSError as error:
            self.failure = f"the session is no longer recorded: {error}"
        except (ImitateError, ValueError, TypeError) as error:
            # One message that cannot be written must not cost the rest.
            self._write_event("not_recorded", {"why": str(error)})

    def _write_event(self, name: str, values: Mapping[str, Any]) -> None:
        now_s = time.monotonic()
        event = {"time_s": now_s, "name": name, "values": values}
        self._file.add_json(EVENTS, EVENT, event, self._ns(now_s))

    def _write_snapshot(self, time_s: float, snapshot: Snapshot) -> None:
        for topic, reading in self._streams.readings(snapshot):
            if _same(self._last.get(topic), reading):
                continue
            self._last[topic] = reading
            if reading.valid:
                self._write_reading(topic, time_s, reading)
            else:
                event = {"time_s": time_s, "name": INVALID, "values": {"stream": topic}}
                self._file.add_json(EVENTS, EVENT, event, self._ns(time_s))

    def _write_reading(self, topic: str, time_s: float, reading: Reading) -> None:
        seen_ns, came_ns = self._ns(time_s), self._ns(reading.arrived_s)
        if topic == STOP:
            stop = {"data": bool(np.any(reading.value))}
            self._file.add_message(topic, "std_msgs/msg/Bool", stop, seen_ns, came_ns)
            return
        described = value_message(reading.value, self._streams.spec(topic), reading.stamp_s)
        self._file.add_message(topic, *described, seen_ns, came_ns)

    def _write_command(self, time_s: float, command: Command, sent: bool, source: Source) -> None:
        topic = (SENT if sent else WITHHELD) + command.group
        made_ns, sent_ns = self._ns(command.made_s), self._ns(time_s)
        self._file.add_message(topic, *command_message(command), sent_ns, made_ns, command.sequence)
        entry = {
            "time_s": time_s,
            "group": command.group,
            "kind": command.kind,
            "source": source,
            "sent": sent,
            "sequence": command.sequence,
            "made_s": command.made_s,
            "points": len(command.values),
        }
        self._file.add_json(COMMAND_LOG, COMMAND, entry, sent_ns)

    def _ns(self, time_s: float) -> int:
        return max(0, round(time_s * 1e9) + self._wall_ns)


class _Streams:
    """The topics of a snapshot's readings, and what is known of their values."""

    def __init__(self, header: Mapping[str, Any]) -> None:
        spec = DataSpec.from_json(header.get("spec") or {})
        self._specs = {OBSERVATIONS + name: array for name, array in spec.obs.items()}
        for group, target in (header.get("robot") or {}).get("targets", {}).items():
            names, in_space = tuple(target.get("names") or ()), target.get("kind") in ("twist", "pose")
            joints = ArraySpec((len(names),), "float64", names=names)
            self._specs[MEASURED + group] = ArraySpec((7,), units=POSE_UNITS) if in_space else joints
            self._specs[TAKEOVER + group] = joints

    def readings(self, snapshot: Snapshot) -> list[tuple[str, Reading]]:
        """(topic, reading) of all that is there."""
        found = [(OBSERVATIONS + name, reading) for name, reading in snapshot.observations.items()]
        found += [(MEASURED + group, reading) for group, reading in snapshot.measured.items()]
        found += [(TAKEOVER + group, reading) for group, reading in snapshot.takeover.items()]
        return found + ([(STOP, snapshot.stop)] if snapshot.stop else [])

    def spec(self, topic: str) -> ArraySpec:
        """What is known of the values of `topic`."""
        return self._specs.get(topic, ArraySpec(()))


def _same(last: Reading | None, reading: Reading) -> bool:
    """Whether nothing came since; a value of several messages may change while its oldest part does not."""
    if last is None or last.arrived_s != reading.arrived_s or last.valid != reading.valid:
        return False
    return last.value is reading.value or np.array_equal(last.value, reading.value, equal_nan=True)


def _nothing() -> None:
    """Nothing came before it was time to flush."""
