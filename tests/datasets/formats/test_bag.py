"""Recorded robot logs become demonstrations: what was seen and done at each step, by a topics file."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import get_types_from_msg
from written_bags import (
    BEGAN_NS,
    BOOL,
    GRIPPER,
    JOINTS,
    KINDS,
    NS,
    PART_TEXT,
    REACH_TOPICS,
    TRAJECTORY,
    Said,
    bag_sample,
    compressed_image,
    header,
    joints,
    mcap_file,
    raw_image,
    reach,
    text,
    typestore,
    values,
    write_bag,
)

from imitate.datasets.formats import ReadOptions, format_of
from imitate.datasets.formats.bag import FORMAT, BagDemos, read_bag
from imitate.datasets.importing import import_file
from imitate.datasets.store import DemoStore
from imitate.datasets.timing import KEY
from imitate.errors import ConfigError, DataError
from imitate.types import Episode


def read(bag: Path, topics: str) -> BagDemos:
    file = bag.parent / "told.yaml"
    file.write_text(topics)
    return read_bag(bag, ReadOptions(file))


def episodes(bag: Path, topics: str) -> list[Episode]:
    return list(read(bag, topics).episodes())


def ramp(count: int = 20, rate_hz: float = 10.0, start_s: float = 0.0) -> list[Said]:
    """Joints whose position is their time, elbow first; commands a tenth of a period later."""
    times = start_s + np.arange(count) / rate_hz
    said = [joints(t, ["elbow", "shoulder"], [-t, t], number) for number, t in enumerate(times, 1)]
    return said + [values("/commands", t + 0.1 / rate_hz, [10 * t]) for t in times]


RAMP = """rate_hz: 10
observations:
  state: {topic: /joint_states, names: [shoulder, elbow]}
action: {topic: /commands}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_log_gives_the_same_steps(kind: str, tmp_path: Path) -> None:
    (found,) = episodes(write_bag(tmp_path / f"log{'.bag' if kind == 'ros1' else ''}", ramp(), kind), RAMP)
    assert (found.id, found.success, found.rate_hz) == ("log_0", None, 10.0)
    assert len(found) == 20
    times = np.arange(20) / 10
    np.testing.assert_allclose(found.obs["state"], np.stack([times, -times], 1), atol=1e-12)
    np.testing.assert_allclose(found.action, 10 * times[:, None], atol=1e-12)
    assert found.metadata["start_ns"] == BEGAN_NS
    assert found.metadata[KEY]["jitter_s"] < 1e-6


PACKED = {"ros1": ("bz2", "lz4"), "sqlite3": ("file", "message"), "mcap": ("storage", "message", "file")}


@pytest.mark.parametrize(("kind", "packed"), [(kind, packed) for kind in KINDS for packed in PACKED[kind]])
def test_compressed_logs_are_the_same_logs(kind: str, packed: str, tmp_path: Path) -> None:
    plain, small = (
        episodes(write_bag(tmp_path / f"log_{how or 'plain'}.bag", reach(), kind, how), REACH_TOPICS)[0]
        for how in ("", packed)
    )
    for name, array in plain.obs.items():
        np.testing.assert_array_equal(array, small.obs[name])


def test_a_folder_of_logs_is_imported_whole(tmp_path: Path) -> None:
    logs = bag_sample(tmp_path)
    report = import_file(logs, tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert [store.record(index).id for index in range(3)] == ["first_0", "second_0", "third_0"]
    assert [store.record(index).success for index in range(3)] == [True] * 3
    for index in range(3):
        wanted = [item for item in reach(seed=index + 1) if item.type == JOINTS]
        found = store.episode(index)
        shoulders = [item.fields["position"][1] for item in wanted]
        np.testing.assert_array_equal(found.obs["joints"][: len(shoulders), 0], shoulders[: len(found)])
        np.testing.assert_array_equal(found.obs["camera"][:, 0, 0, 0], np.arange(len(found)) * 20 % 256)
    assert store.spec.obs["joints"].names == ("shoulder", "elbow")
    assert store.spec.obs["place"].units == ("m", "m", "m", "", "", "", "")
    assert set(store.metadata["rate_audit"]["logs"]) == {"first", "second", "third"}
    assert any("/joint_states" in line for line in report.notes)


def test_joints_are_found_by_name_and_partial_messages_are_joined(tmp_path: Path) -> None:
    said = []
    for step in range(10):
        t = step / 10
        said.append(
            joints(
                t,
                ["shoulder", "elbow"] if step % 2 else ["elbow", "shoulder"],
                [1, 2] if step % 2 else [2, 1],
            )
        )
        said.append(joints(t + 0.02, ["gripper"], [t]))
        said.append(joints(t + 0.03, ["wheel"], [99.0]))
        said.append(values("/commands", t + 0.05, [t]))
    topics = RAMP.replace("[shoulder, elbow]", "[gripper, elbow, shoulder]")
    (found,) = episodes(write_bag(tmp_path / "log.bag", said), topics)
    np.testing.assert_array_equal(found.obs["state"][:, 1:], np.tile([2.0, 1.0], (len(found), 1)))
    assert (found.obs["state"][:, 0] == np.arange(len(found)) / 10).all()


def test_holes_end_an_episode_and_are_told(tmp_path: Path) -> None:
    said = [item for item in ramp(40) if not 1.05 < item.received_s < 2.0]
    demos = read(write_bag(tmp_path / "log.bag", said), RAMP.replace("elbow]", "elbow], max_age_s: 0.15"))
    first, second = demos.episodes()
    assert first.obs["state"][-1, 0] == pytest.approx(1.1, abs=0.11)
    assert second.obs["state"][0, 0] == pytest.approx(2.0, abs=0.11)
    assert any("s in which an entry has no value, most of all" in item for item in demos.left_out)
    facts = demos.metadata["rate_audit"]["topics"]["/joint_states"]
    assert facts["drops_by"] == "header.seq" and facts["drops"] == 9
    assert facts["gap_count"] == 1 and facts["longest_gap_s"] == pytest.approx(1.0)
    assert facts["delay_s"] == pytest.approx(0.001, abs=1e-6)


def test_a_camera_that_stops_ends_the_episode_and_is_named(tmp_path: Path) -> None:
    said = ramp(40) + [
        compressed_image("/png", step / 10, np.zeros((2, 2, 3), np.uint8)) for step in range(20)
    ]
    demos = read(write_bag(tmp_path / "log.bag", said), RAMP.replace("action:", "  png: /png\naction:"))
    (found,) = demos.episodes()
    assert len(found) == 20 + 3, "until its last picture is older than three periods"
    (told,) = demos.left_out
    assert told.endswith("has no value, most of all observations.png (max_age_s 0.3)")


def test_numbers_that_are_not_finite_are_holes(tmp_path: Path) -> None:
    said = ramp(20)
    said[10] = joints(1.0, ["elbow", "shoulder"], [np.nan, 1.0])
    demos = read(write_bag(tmp_path / "log.bag", said), RAMP)
    assert [len(episode) for episode in demos.episodes()] == [10, 9]
    assert any("not finite" in item for item in demos.left_out)


def test_marks_say_when_episodes_are_and_whether_they_succeeded(tmp_path: Path) -> None:
    marks = [
        (0.35, "start"),
        (0.95, "stop"),
        (1.25, "start"),
        (1.3, "start again"),
        (1.85, "start"),
        (2.55, "stop"),
    ]
    said = ramp(40) + [text("/episode", t, word) for t, word in marks]
    said += [text("/verdict", 1.0, "bad"), text("/verdict", 1.1, "good"), text("/verdict", 2.6, "bad")]
    topics = RAMP + (
        "episodes:\n  start: {topic: /episode, equals: start}\n  end: {topic: /episode, equals: stop}\n"
        "  success: {topic: /verdict, equals: good}\n"
    )
    demos = read(write_bag(tmp_path / "log.bag", said), topics)
    found = list(demos.episodes())
    assert [episode.success for episode in found] == [True, None, False]
    starts = [(episode.metadata["start_ns"] - BEGAN_NS) / NS for episode in found]
    np.testing.assert_allclose(starts, [0.35, 1.25, 1.85])
    assert [len(episode) for episode in found] == [7, 6, 8]
    assert any("s outside the marked episodes" in item for item in demos.left_out)


def test_a_level_starts_an_episode_once_and_a_change_of_number_too(tmp_path: Path) -> None:
    said = ramp(30)
    for step in range(30):
        said.append(Said("/recording", BOOL, step / 10 - 0.001, {"data": 5 <= step < 15}))
        said.append(Said("/number", "std_msgs/msg/Int32", step / 10 - 0.001, {"data": step // 10}))
    bag = write_bag(tmp_path / "log", said, "mcap")
    level = (
        "episodes:\n  start: {topic: /recording, equals: true}\n  end: {topic: /recording, equals: false}\n"
    )
    (found,) = episodes(bag, RAMP + level)
    assert (found.metadata["start_ns"] - BEGAN_NS) / NS == pytest.approx(0.499)
    change = "episodes:\n  start: {topic: /number, change: true}\n"
    assert len(episodes(bag, RAMP + change)) == 3


def test_the_action_may_be_the_state_ahead_or_lag(tmp_path: Path) -> None:
    said = [joints(step / 50, ["elbow"], [step / 50]) for step in range(100)]
    bag = write_bag(tmp_path / "log.bag", said)
    base = "rate_hz: 10\nobservations: {state: {topic: /joint_states}}\n"
    ahead, lag = (
        episodes(bag, base + f"action: {{topic: /joint_states, {how}}}\n")[0]
        for how in ("ahead_steps: 2", "lag_s: 0.06, sample: linear")
    )
    np.testing.assert_allclose(ahead.action - ahead.obs["state"], 0.2, atol=1e-9)
    np.testing.assert_allclose(lag.action - lag.obs["state"], 0.06, atol=1e-9)


def test_the_audit_finds_how_much_later_the_robot_moves(tmp_path: Path) -> None:
    rng, times = np.random.default_rng(0), np.arange(0, 20, 0.02)
    path = np.cumsum(np.convolve(rng.normal(size=len(times)), np.ones(5) / 5, "same"))
    said = [values("/commands", t, [p]) for t, p in zip(times, path, strict=True)]
    said += [joints(t + 0.12, ["elbow"], [p]) for t, p in zip(times, path, strict=True)]
    topics = "rate_hz: 50\nobservations: {state: {topic: /joint_states}}\naction: {topic: /commands}\n"
    latency = read(write_bag(tmp_path / "log.bag", said), topics).metadata["rate_audit"]["latency"]["state"]
    assert latency["motion_lag_s"] == pytest.approx(0.12, abs=0.01)
    assert latency["correlation"] > 0.9


def test_pictures_come_as_they_were_and_resized(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (10, 8, 12, 3), np.uint8)
    said = [values("/commands", step / 10, [step]) for step in range(10)]
    said += [raw_image("/raw", step / 10, pictures[step], pad=5) for step in range(10)]
    said += [compressed_image("/png", step / 10, pictures[step]) for step in range(10)]
    topics = (
        "rate_hz: 10\nobservations:\n  raw: {topic: /raw}\n  png: /png\n"
        "  small: {topic: /raw, size: [4, 6]}\n"
        "action: {topic: /commands, max_age_s: 0.2}\n"
    )
    (found,) = episodes(write_bag(tmp_path / "log", said, "sqlite3"), topics)
    np.testing.assert_array_equal(found.obs["raw"], pictures[: len(found)])
    np.testing.assert_array_equal(found.obs["png"], pictures[: len(found)])
    assert found.obs["small"].shape[1:] == (4, 6, 3)
    assert found.obs["small"].dtype == np.uint8


def test_pictures_of_several_episodes_and_sizes(tmp_path: Path) -> None:
    pictures = [np.full((4, 6, 3), step, np.uint8) for step in range(20)]
    said = ramp(40) + [compressed_image("/png", step / 5, pictures[step]) for step in range(20)]
    said += [text("/episode", t, "start") for t in (0.95, 1.05, 3.0)]
    topics = RAMP.replace("action:", "  png: /png\n  again: /png\naction:") + "episodes: {start: /episode}\n"
    bag = write_bag(tmp_path / "log.bag", said)
    found = episodes(bag, topics)
    assert len(found) == 2, "0.1 s is a single step"
    for episode in found:
        at = (episode.metadata["start_ns"] - BEGAN_NS) / NS + np.arange(len(episode)) / 10
        np.testing.assert_array_equal(episode.obs["png"][:, 0, 0, 0], np.floor(at * 5 + 1e-6))
        np.testing.assert_array_equal(episode.obs["png"], episode.obs["again"])
    larger = [*said, compressed_image("/png", 3.45, np.zeros((8, 6, 3), np.uint8))]
    with pytest.raises(DataError, match=r"a picture is \(8, 6\), the first is \(4, 6\); set .*size"):
        episodes(write_bag(tmp_path / "larger.bag", larger), topics)


def test_an_episode_larger_than_memory_is_refused_at_once(tmp_path: Path) -> None:
    said = [
        *ramp(3000, 2.0),
        *(compressed_image("/png", step / 2, np.zeros((2, 2, 3), np.uint8)) for step in range(3000)),
    ]
    topics = RAMP.replace("10", "1000", 1).replace(
        "action:", "  png: {topic: /png, size: [4000, 4000]}\naction:"
    )
    with pytest.raises(DataError, match=r"pictures of episode 'log_0'.* GiB; mark shorter ones"):
        read(
            write_bag(tmp_path / "log.bag", said), topics.replace("/commands", "/commands, sample: previous")
        )


def test_more_steps_than_any_log_has_are_refused(tmp_path: Path) -> None:
    said = [values(topic, step * 9.0, [step]) for step in range(200) for topic in ("/commands", "/state")]
    topics = "rate_hz: 10000\nobservations: {state: /state}\naction: {topic: /commands}\n"
    with pytest.raises(DataError, match=r"log\.bag: it would give 1\.79e\+07 steps, more than 10000000"):
        read(write_bag(tmp_path / "log.bag", said), topics)


def test_messages_without_values_at_first_are_no_hindrance(tmp_path: Path) -> None:
    said = ramp(20)
    said[0] = Said("/joint_states", JOINTS, 0.0, {"header": header(0.0), "name": ["elbow", "shoulder"]})
    demos = read(write_bag(tmp_path / "log.bag", said), RAMP)
    (found,) = demos.episodes()
    assert found.obs["state"][0].tolist() == pytest.approx([0.1, -0.1])
    assert any("position has 0 values for 2 joints" in item for item in demos.left_out)


def test_types_of_the_log_itself_are_read(tmp_path: Path) -> None:
    said = [
        Said(
            "/gripper",
            GRIPPER,
            t,
            {"header": header(t), "opening": t, "from": "x", "parts": [{"force": t}, {"force": -t}]},
        )
        for t in np.arange(20) / 10
    ]
    topics = (
        "rate_hz: 10\nobservations:\n  opening: {topic: /gripper, field: opening}\n"
        "  force: {topic: /gripper, field: 'parts[1].force'}\n"
        "action: {topic: /gripper, field: opening, ahead_steps: 1}\n"
    )
    for kind in KINDS:
        (found,) = episodes(write_bag(tmp_path / f"{kind}.bag", said, kind), topics)
        np.testing.assert_allclose(found.obs["force"][:, 0], -found.obs["opening"][:, 0], atol=1e-6)
        assert found.obs["force"].dtype == np.float32


def test_trajectories_and_several_entries_of_one_name(tmp_path: Path) -> None:
    said = ramp(20)
    for step in range(20):
        point = {"positions": np.array([step, -step], float)}
        body = {"joint_names": ["elbow", "shoulder"], "points": [point]}
        said.append(Said("/trajectory", TRAJECTORY, step / 10, body))
    topics = """rate_hz: 10
observations:
  state:
    - {topic: /joint_states, names: [elbow], units: rad}
    - {topic: /trajectory, names: [elbow]}
action:
  - {topic: /trajectory, names: [shoulder, elbow], sample: previous}
  - {topic: /commands}
"""
    demos = read(write_bag(tmp_path / "log", said, "mcap"), topics)
    assert demos.spec.action.shape == (3,)
    assert demos.spec.obs["state"].names == ("/joint_states.elbow", "/trajectory.elbow")
    assert demos.spec.obs["state"].units == ("rad", "")
    (found,) = demos.episodes()
    np.testing.assert_array_equal(found.action[:, 0], -np.arange(len(found)))


def test_a_log_without_topics_file_is_answered_with_its_topics_and_a_draft(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "log.bag", reach(30))
    with pytest.raises(
        DataError, match=r"topics=topics\.yaml.*/joint_states \(sensor_msgs/msg/JointState, 30 mess"
    ):
        import_file(bag, tmp_path / "out.zarr")
    draft = ReadOptions(tmp_path / "draft.yaml")
    with pytest.raises(DataError, match=r"draft\.yaml did not exist: a draft"):
        import_file(bag, tmp_path / "out.zarr", options=draft)
    assert not (tmp_path / "out.zarr").exists()
    report = import_file(bag, tmp_path / "out.zarr", options=draft)
    spec = DemoStore.open(report.out).spec
    assert set(spec.obs) == {"joint_states", "camera", "pose"}
    assert spec.action.shape == (3,), "the topic that is called a command"


def test_a_draft_gives_every_topic_a_name_of_its_own(tmp_path: Path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    said = ramp(40) + [values("/odd name: {x}", step / 10, [step]) for step in range(40)]
    said += [values("/temperature", float(step), [step]) for step in range(4)]
    for step in range(20):
        said += [raw_image("/left/image_raw", step / 5, picture)]
        said += [compressed_image("/left/image_raw/compressed", step / 5, picture)]
    draft = ReadOptions(tmp_path / "draft.yaml")
    bag = write_bag(tmp_path / "log", said, "sqlite3")
    with pytest.raises(DataError, match="was written there"):
        read_bag(bag, draft)
    found = read_bag(bag, draft)
    assert {"left", "left_2", "joint_states", "odd_name___x_", "temperature"} == set(found.spec.obs)
    assert found.spec.rate_hz == 5.0, "that of the cameras"


def test_sessions_and_logs_are_told_apart(tmp_path: Path) -> None:
    bag = mcap_file(tmp_path / "log.mcap", reach())
    found = format_of(bag)
    assert found is FORMAT
    assert FORMAT.recognises(tmp_path), "a folder of logs"
    (tmp_path / "meta").mkdir()
    assert not FORMAT.recognises(tmp_path), "a data set of another kind, with a log in it"


def test_logs_of_different_robots_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    write_bag(folder / "a.bag", ramp())
    write_bag(
        folder / "b.bag",
        [item for item in ramp() if item.type == JOINTS]
        + [values("/commands", t / 10, [1, 2]) for t in range(20)],
    )
    with pytest.raises(DataError, match=r"b\.bag gives action \(2,\).*a\.bag"):
        read(folder, RAMP)


def test_missing_definitions_are_taken_from_the_topics_file(tmp_path: Path) -> None:
    said = [Said("/part", "acme_msgs/msg/Part", t / 10, {"force": t}) for t in range(20)]
    bag = write_bag(tmp_path / "log", said, "sqlite3")
    with sqlite3.connect(bag / "log.db3") as connection:
        connection.execute("DELETE FROM message_definitions")
    topics = (
        "rate_hz: 10\nobservations: {force: {topic: /part, field: force}}\n"
        "action: {topic: /part, field: force, ahead_steps: 1}\n"
    )
    with pytest.raises(DataError, match=r"acme_msgs/msg/Part, which the log does not define.*definitions"):
        read(bag, topics)
    (tmp_path / "Part.msg").write_text(PART_TEXT)
    (found,) = episodes(bag, topics + "definitions: {acme_msgs/msg/Part: Part.msg}\n")
    np.testing.assert_array_equal(found.obs["force"][:, 0], np.arange(len(found)))


EVENT = "std_srvs/msg/SetBool_Event"
EVENT_TEXT = """service_msgs/ServiceEventInfo info
std_srvs/msg/SetBool_Request[<=1] request
================================================================================
MSG: service_msgs/ServiceEventInfo
uint8 event_type
builtin_interfaces/Time stamp
char[16] client_gid
int64 sequence_number
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
================================================================================
MSG: std_srvs/SetBool_Request
bool data
"""


def test_recorded_service_calls_mark_episodes(tmp_path: Path) -> None:
    typestore(2).register(get_types_from_msg(EVENT_TEXT, EVENT))
    said = ramp(40)
    for time_s, kind, data in ((0.95, 1, True), (1.0, 2, True), (2.95, 1, False), (3.0, 2, False)):
        call = {"info": {"event_type": kind}, "request": [{"data": data}]}
        said.append(Said("/record/_service_event", EVENT, time_s, call))
    bag = write_bag(tmp_path / "log", said, "sqlite3")
    with sqlite3.connect(bag / "log.db3") as connection:
        connection.execute("UPDATE topics SET type = replace(type, 'std_srvs/msg/', 'std_srvs/srv/')")
        for column in ("topic_type", "encoded_message_definition"):
            renamed = f"replace({column}, 'std_srvs/msg/', 'std_srvs/srv/')"
            connection.execute(f"UPDATE message_definitions SET {column} = {renamed}")
    marks = "episodes:\n" + "".join(
        f"  {name}: {{topic: /record/_service_event, field: 'request[0].data', equals: {equals}}}\n"
        for name, equals in (("start", "true"), ("end", "false"))
    )
    (found,) = episodes(bag, RAMP + marks)
    assert (found.metadata["start_ns"] - BEGAN_NS) / NS == pytest.approx(0.95)
    assert len(found) == 21


WRONG = {
    "{x: {topic: /joint_stats}}": r"observations\.x\.topic is /joint_stats.*'/joint_states'",
    "{x: {topic: /joint_states, field: postion}}": r"no field 'postion' \(did you mean 'position'",
    "{x: {topic: /joint_states, names: [shouldr]}}": r"never names 'shouldr' \(did you mean 'shoulder'",
    "{x: {topic: /joint_states, field: velocity}}": r"velocity has 0 values for 2 joints",
    "{x: {topic: /joint_states, units: [rad, rad, rad]}}": r"units has 3 entries, expected 1 or 2",
    "{x: {topic: /joint_states, sample: slerp}}": r"no quaternion; use linear",
    "{x: {topic: /commands, names: [a, b]}}": r"names has 2 names; /commands has 1 numbers",
    "{x: {topic: /commands, size: [2, 2]}}": r"size is for pictures",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_the_log_does_not_hold_is_named(wrong: str, tmp_path: Path) -> None:
    bag = write_bag(tmp_path / "log.bag", ramp())
    with pytest.raises((ConfigError, DataError), match=WRONG[wrong]) as caught:
        read(bag, f"rate_hz: 10\nobservations: {wrong}\naction: {{topic: /commands}}\n")
    assert "\n" not in str(caught.value)


def stamped(clock: Callable[[float], float]) -> list[Said]:
    """Commands in order, and joints whose stamps are what `clock` makes of the time in s."""
    said = [item for item in ramp(20) if item.type != JOINTS]
    for at_s in (t / 10 for t in range(20)):
        message = {"header": header(clock(at_s)), "name": ["a"], "position": [1.0]}
        said.append(Said("/joint_states", JOINTS, at_s, message))
    return said


def test_a_clock_that_was_set_back_is_refused(tmp_path: Path) -> None:
    said = stamped(lambda at_s: at_s if at_s < 1.0 else at_s - 60)
    bag = write_bag(tmp_path / "log.bag", said)
    topics = "rate_hz: 10\nobservations: {x: {topic: /joint_states}}\naction: {topic: /commands}\n"
    with pytest.raises(DataError, match=r"goes back by 59\.9.* s at message 10.*clock: receive"):
        read(bag, topics)
    (found,) = episodes(bag, topics + "clock: receive\n")
    assert len(found) == 20


def test_one_clock_for_all_is_asked_for(tmp_path: Path) -> None:
    said = stamped(lambda at_s: at_s - 9000)
    with pytest.raises(DataError, match=r"at no two steps in a row has everything a value.*one clock"):
        read(write_bag(tmp_path / "log.bag", said), RAMP.replace(", names: [shoulder, elbow]", ""))
