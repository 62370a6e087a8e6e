"""What a recording holds, and that it never stands in the way of the control loop."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import make_reader
from recorded_session import HEADER, JOINTS, SPEC, action, command, observed, record, record_steps, snapshot

from imitate.datasets.session_file import SessionFile
from imitate.deploy.command import Command
from imitate.deploy.recording.session import QUEUE_LIMIT, SessionRecorder
from imitate.deploy.recording.session_file import SessionFile as WrittenFile
from imitate.deploy.robot import Reading, Snapshot
from imitate.deploy.ros_types import decode
from imitate.errors import RobotError, SpecError

SENT, LOG = "/imitate/commands/arm", "/imitate/command_log"


def json_of(path: Path, topic: str) -> list[dict[str, Any]]:
    return [record.json() for record in SessionFile(path).records({topic})]


def test_foreign_readers_find_schemas_index_and_header(tmp_path: Path) -> None:
    path = record(tmp_path / "new" / "s.mcap", lambda recorder: record_steps(recorder, range(5)))
    with path.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None and summary.chunk_indexes
        kinds = {
            channel.topic: (channel.message_encoding, summary.schemas[channel.schema_id].name)
            for channel in summary.channels.values()
        }
        (metadata,) = reader.iter_metadata()
        counted = sum(1 for _ in reader.iter_messages())
    assert kinds["/imitate/observations/joints"] == ("cdr", "sensor_msgs/msg/JointState")
    assert kinds["/imitate/observations/tool"] == ("cdr", "geometry_msgs/msg/PoseStamped")
    assert kinds["/imitate/observations/forces"] == ("cdr", "std_msgs/msg/Float64MultiArray")
    assert kinds["/imitate/observations/camera"] == ("cdr", "sensor_msgs/msg/CompressedImage")
    assert kinds["/imitate/measured/arm"] == ("cdr", "sensor_msgs/msg/JointState")
    assert kinds["/imitate/stop"] == ("cdr", "std_msgs/msg/Bool")
    assert kinds[SENT] == ("cdr", "trajectory_msgs/msg/JointTrajectory")
    assert kinds[LOG] == ("json", "imitate.command_log")
    assert metadata.metadata["mode"] == '"run"'
    # Readings: four observations, the measured state and the stop; then command, its log, and the step.
    assert counted == 5 * (4 + 1 + 1 + 1 + 1 + 1)


def test_commands_as_sent_and_as_withheld(tmp_path: Path) -> None:
    chunk = Command(
        group="arm",
        kind="joint_position",
        names=JOINTS,
        values=np.array([[0.1, 0.2], [0.3, 0.4]]),
        times_s=np.array([0.0, 1.25]),
        made_s=5.0,
        sequence=7,
        velocities=np.array([[1.0, 2.0], [3.0, 4.0]]),
    )
    speed = Command("arm", "joint_velocity", JOINTS, np.array([[0.5, 0.6]]), np.zeros(1), 6.0, 8)
    twist = Command("tool", "twist", ("z", "yaw"), np.array([[0.5, 0.6]]), np.zeros(1), 6.0, 9)

    def write(recorder: SessionRecorder) -> None:
        recorder.command(5.01, chunk, True, "policy")
        recorder.command(6.01, speed, False, "hold")
        recorder.command(6.02, twist, True, "person")

    path = record(tmp_path / "s.mcap", write)
    logged = json_of(path, LOG)
    assert [(x["sequence"], x["sent"], x["source"], x["points"]) for x in logged] == [
        (7, True, "policy", 2),
        (8, False, "hold", 1),
        (9, True, "person", 1),
    ]
    by_topic = {x.topic: x for x in SessionFile(path).records()}
    sent = decode(by_topic[SENT].data, by_topic[SENT].type)
    assert sent["joint_names"] == list(JOINTS)
    np.testing.assert_array_equal([point["positions"] for point in sent["points"]], chunk.values)
    np.testing.assert_array_equal([point["velocities"] for point in sent["points"]], chunk.velocities)
    assert sent["points"][1]["time_from_start"] == {"sec": 1, "nanosec": 250_000_000}
    assert (by_topic[SENT].sequence, round(by_topic[SENT].came_s, 6)) == (7, 5.0)
    withheld = by_topic["/imitate/withheld/arm"]
    (point,) = decode(withheld.data, withheld.type)["points"]
    assert (point["velocities"].tolist(), point["positions"].tolist()) == ([0.5, 0.6], [])
    moved = decode(by_topic["/imitate/commands/tool"].data, "geometry_msgs/msg/TwistStamped")["twist"]
    assert (moved["linear"]["z"], moved["angular"]["z"], moved["linear"]["x"]) == (0.5, 0.6, 0.0)


def test_only_what_is_new_is_written(tmp_path: Path) -> None:
    old = Reading(np.array([1.0, 2.0]), 10.0)
    half_new = Reading(np.array([1.0, 3.0]), 10.0)

    def write(recorder: SessionRecorder) -> None:
        for time_s, reading in ((10.1, old), (10.2, old), (10.3, half_new), (10.4, half_new)):
            recorder.observation(time_s, Snapshot({"joints": reading}))

    path = record(tmp_path / "s.mcap", write)
    found = [(round(x.time_s, 6), x.array().tolist()) for x in SessionFile(path).records()]
    assert found == [(10.1, [1.0, 2.0]), (10.3, [1.0, 3.0])]


def test_large_images_are_jpeg_and_said_to_be(tmp_path: Path) -> None:
    image = np.full((480, 640, 3), (200, 30, 30), np.uint8)

    def write(recorder: SessionRecorder) -> None:
        recorder.observation(1.0, Snapshot({"unknown": Reading(image, 1.0)}))

    (found,) = SessionFile(record(tmp_path / "s.mcap", write)).records()
    assert decode(found.data, found.type)["format"] == "jpeg"
    assert np.abs(found.array().astype(int) - image).max() <= 3


def test_events_keep_what_json_cannot_say(tmp_path: Path) -> None:
    values = {"worst": np.float32("nan"), "limits": np.array([1, 2]), "group": "arm", "inside": {"x": np.inf}}

    def write(recorder: SessionRecorder) -> None:
        recorder.event(3.5, "gate", values)

    assert json_of(record(tmp_path / "s.mcap", write), "/imitate/events") == [
        {
            "time_s": 3.5,
            "name": "gate",
            "values": {"worst": "nan", "limits": [1, 2], "group": "arm", "inside": {"x": "inf"}},
        }
    ]


def test_a_message_that_cannot_be_written_costs_only_itself(tmp_path: Path) -> None:
    def write(recorder: SessionRecorder) -> None:
        recorder.observation(1.0, Snapshot({"joints": Reading(np.array(["a"]), 1.0)}))
        record_steps(recorder, range(1))

    path = record(tmp_path / "s.mcap", write)
    (event,) = json_of(path, "/imitate/events")
    assert event["name"] == "not_recorded"
    assert len(json_of(path, "/imitate/steps")) == 1


def test_a_slow_disk_costs_messages_not_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_goes_on = threading.Event()
    add_json = WrittenFile.add_json

    def slow(*arguments: Any) -> None:
        disk_goes_on.wait(20)
        add_json(*arguments)

    monkeypatch.setattr(WrittenFile, "add_json", slow)
    recorder = SessionRecorder(tmp_path / "s.mcap", HEADER)
    began = time.monotonic()
    for step in range(QUEUE_LIMIT + 100):
        recorder.event(float(step), "tick", {})
    took = time.monotonic() - began
    disk_goes_on.set()
    time.sleep(0.6)
    recorder.event(0.0, "late", {})
    recorder.close()
    assert took < 5.0
    # The writer may have taken one off the queue before it was full.
    assert recorder.dropped in (99, 100)
    events = json_of(tmp_path / "s.mcap", "/imitate/events")
    assert [e["values"]["dropped"] for e in events if e["name"] == "recording_overflow"] == [recorder.dropped]


def test_a_full_disk_ends_the_recording_not_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(WrittenFile, "add_json", full)
    recorder = SessionRecorder(tmp_path / "s.mcap", HEADER)
    record_steps(recorder, range(3))
    recorder.close()
    assert "No space left" in recorder.failure


def test_what_it_refuses(tmp_path: Path) -> None:
    path = record(tmp_path / "s.mcap", lambda recorder: None)
    with pytest.raises(RobotError, match="cannot be recorded"):
        SessionRecorder(path, HEADER)
    with pytest.raises(SpecError):
        SessionRecorder(tmp_path / "t.mcap", {"mode": "run"})


def test_no_thread_is_left_and_later_calls_are_ignored(tmp_path: Path) -> None:
    recorder = SessionRecorder(tmp_path / "s.mcap", HEADER)
    recorder.close()
    recorder.close()
    recorder.event(1.0, "late", {})
    recorder.command(1.0, command(0, 1.0), True, "policy")
    recorder.observation(1.0, snapshot(0, 1.0))
    assert not [thread for thread in threading.enumerate() if thread.name == "session recorder"]
    assert list(SessionFile(tmp_path / "s.mcap").records()) == []


@pytest.mark.timeout(60)
def test_a_killed_process_loses_less_than_a_second(tmp_path: Path) -> None:
    path = tmp_path / "s.mcap"
    script = Path(__file__).with_name("record_until_killed.py")
    child = subprocess.Popen([sys.executable, script, path], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    try:
        first, last = float("inf"), 0.0
        said = 0
        while last - first < 2.0:
            number, at = child.stdout.readline().split()
            first, last, said = min(first, float(at)), float(at), int(number)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait(10)
    file = SessionFile(path)
    steps = [x.json() for x in file.records({"/imitate/steps"})]
    assert file.truncated
    assert [x["action"] for x in steps] == [action(step).tolist() for step in range(len(steps))]
    # Steps are about 10 ms apart; half a second is the most that may be missing, a busy machine aside.
    assert len(steps) > said * 0.5
    cameras = [x.array() for x in file.records({"/imitate/observations/camera"})]
    np.testing.assert_array_equal(cameras[-1], observed(len(cameras) - 1)["camera"])
    assert file.header["spec"]["rate_hz"] == SPEC.rate_hz
