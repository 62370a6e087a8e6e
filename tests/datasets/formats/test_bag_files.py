"""Damaged and hostile logs: what is whole is used, the rest is said in one line, nothing is run."""

import sqlite3
import struct
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_bags import (
    BEGAN_NS,
    KINDS,
    POSE,
    REACH_TOPICS,
    Said,
    mcap_file,
    reach,
    typestore,
    values,
    write_bag,
)

from imitate.datasets.bags.channel import Channel
from imitate.datasets.bags.fields import place_in
from imitate.datasets.bags.message_types import LONGEST_ARRAY, MessageTypes
from imitate.datasets.bags.opening import is_recording, open_bag, recordings
from imitate.datasets.bags.pictures import picture
from imitate.datasets.bags.survey import survey
from imitate.datasets.formats import ReadOptions
from imitate.datasets.formats.bag import read_bag
from imitate.datasets.image_headers import picture_size
from imitate.datasets.proportion import PART
from imitate.datasets.unpacking import DamagedError, unpacked
from imitate.errors import DataError, ImitateError


def numbers(count: int = 300) -> list[Said]:
    """Long enough messages that ROS 1 writes several chunks."""
    return [values("/numbers", step / 100, np.full(1000, step, float)) for step in range(count)]


def counted(path: Path) -> tuple[int, list[str]]:
    bag = open_bag(path)
    return sum(1 for _ in bag.messages()), bag.problems


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_was_written_is_read(kind: str, tmp_path: Path) -> None:
    said = reach()
    bag = open_bag(write_bag(tmp_path / "log.bag", said, kind))
    found = list(bag.messages())
    assert bag.problems == []
    assert sorted((c.topic, c.type, t) for c, t, _ in found) == sorted(
        (s.topic, s.type, s.received_ns) for s in said
    )
    only = list(bag.messages(["/pose"]))
    assert {channel.topic for channel, _, _ in only} == {"/pose"} and len(only) == 12


@pytest.mark.parametrize("kind", ["ros1", "mcap"])
def test_half_a_log_gives_about_half_of_its_messages(kind: str, tmp_path: Path) -> None:
    if kind == "ros1":
        path = write_bag(tmp_path / "log.bag", numbers())
    else:
        path = mcap_file(tmp_path / "log.mcap", numbers())
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    count, problems = counted(path)
    assert 100 <= count <= 150
    assert any("cut off" in problem for problem in problems)


def test_half_a_database_gives_what_can_be_read_or_one_line(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "log", numbers(), "sqlite3")
    file = folder / "log.db3"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    try:
        count, problems = counted(folder)
    except DataError as error:
        assert "log.db3" in str(error)
    else:
        assert count < 300 and problems


def test_a_log_that_was_never_closed_is_read(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "log.bag", numbers())
    data = bytearray(path.read_bytes())
    at = data.index(b"index_pos=") + len(b"index_pos=")
    (index,) = struct.unpack_from("<Q", data, at)
    data[at : at + 8] = bytes(8)
    path.write_bytes(data[:index])
    count, problems = counted(path)
    assert count == 300
    assert any("was not closed" in problem for problem in problems)


def test_a_damaged_chunk_costs_its_messages_only(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "log.bag", numbers(), packed="bz2")
    data = bytearray(path.read_bytes())
    at = data.index(b"BZh9", len(data) // 2)
    data[at : at + 4] = b"oops"
    path.write_bytes(data)
    count, problems = counted(path)
    assert 0 < count < 300
    assert any("a chunk" in problem and "lost" in problem for problem in problems)


def test_padding_of_zeros_is_no_damage(tmp_path: Path) -> None:
    path = write_bag(tmp_path / "log.bag", reach())
    data = bytearray(path.read_bytes())
    at = data.index(b"index_pos=") + len(b"index_pos=")
    (index,) = struct.unpack_from("<Q", data, at)
    struct.pack_into("<Q", data, at, index + 13)
    path.write_bytes(bytes(data[:index]) + bytes(13) + bytes(data[index:]))
    assert counted(path) == (len(reach()), [])


def test_messages_in_the_journal_of_a_database_are_missed_aloud(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "log", reach(), "sqlite3")
    (folder / "log.db3-wal").write_bytes(b"x" * 100)
    count, problems = counted(folder)
    assert count == len(reach())
    assert any("log.db3-wal" in problem and "wal_checkpoint" in problem for problem in problems)


def test_a_folder_reads_no_file_outside(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "log", reach(), "sqlite3")
    outside = write_bag(tmp_path / "other", reach(), "sqlite3")
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("log.db3", "../other/other.db3"))
    with pytest.raises(DataError, match=r"none of the files.*other\.db3"):
        counted(folder)
    assert outside.exists()


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "lz4": lz4.frame.compress,
    "zstd": lambda data: __import__("zstandard").compress(data),
    "bz2": __import__("bz2").compress,
}


@pytest.mark.parametrize("codec", BOMBS)
def test_little_data_never_becomes_much(codec: str) -> None:
    bomb = BOMBS[codec](bytes(PART.free + 1))
    with pytest.raises(DamagedError):
        unpacked(bomb, codec)
    with pytest.raises(DamagedError, match="say that they unpack to"):
        unpacked(bomb, codec, 10 * PART.free)
    with pytest.raises(DamagedError):
        unpacked(bomb, codec, 10)
    small = BOMBS[codec](b"hello" * 1000)
    assert unpacked(small, codec, 5000) == unpacked(small, codec) == b"hello" * 1000


def test_a_database_whose_tables_are_computed_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "log.db3"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE topics(id INTEGER, name TEXT, type TEXT, serialization_format TEXT)")
        connection.execute(
            "CREATE VIEW messages AS SELECT 1 AS topic_id, 1 AS timestamp, zeroblob(900000000) AS data"
        )
    with pytest.raises(DataError, match="lacks the tables"):
        counted(file)
    with sqlite3.connect(file) as connection:
        connection.execute("DROP VIEW messages")
        connection.execute(
            "CREATE TABLE messages(topic_id, timestamp, data GENERATED ALWAYS AS (zeroblob(900000000)))"
        )
        connection.execute("INSERT INTO topics VALUES (1, '/x', 'std_msgs/msg/Empty', 'cdr')")
        connection.execute("INSERT INTO messages(topic_id, timestamp) VALUES (1, 1)")
    count, problems = counted(file)
    assert count == 0 and any("too big" in problem for problem in problems)


@pytest.mark.parametrize(
    "text",
    [
        f"string[{LONGEST_ARRAY + 1}] x\n",
        "float64 x\nimport os\n",
        'float64 x"); import os; ("\n',
        "acme_msgs/Loop loop\n" + "=" * 80 + "\nMSG: acme_msgs/Loop\nacme_msgs/Loop again\n",
        "float64 x\n" * 40_000,
        "",
    ],
)
def test_hostile_definitions_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="acme_msgs"):
        MessageTypes().of(Channel("/x", "acme_msgs/msg/Thing", "cdr", text, "msg"))
    with pytest.raises(DataError, match="no name of a type"):
        MessageTypes().of(Channel("/x", 'a/b"); import os', "cdr", text, "msg"))


def test_topics_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    folder = write_bag(tmp_path / "log", [*reach(), Said("/part", "acme_msgs/msg/Part", 0.1, {})], "sqlite3")
    with sqlite3.connect(folder / "log.db3") as connection:
        connection.execute("DELETE FROM message_definitions")
    found = {topic.topic: topic for topic in survey(folder).topics}
    assert "does not define" in found["/part"].trouble
    assert found["/pose"].trouble == ""
    assert found["/joint_states"].rate_hz == pytest.approx(10.0)
    assert found["/joint_states"].facts["jitter_s"] < 1e-6


def test_what_is_no_log_is_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "notes.bag").write_text("hello")
    (tmp_path / "other.db3").write_bytes(b"SQLite format 3\0")
    (tmp_path / "empty.mcap").write_bytes(b"")
    (tmp_path / "link.bag").symlink_to(tmp_path / "nowhere")
    assert not is_recording(tmp_path / "notes.bag")
    assert not is_recording(tmp_path / "empty.mcap")
    assert not is_recording(tmp_path / "link.bag")
    assert recordings(tmp_path) == [tmp_path / "other.db3"]
    with pytest.raises(DataError, match=r"other\.db3"):
        read_bag(tmp_path / "other.db3", ReadOptions())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(place=st.floats(0, 1), how=st.sampled_from(["cut", "flip", "zero"]), byte=st.integers(1, 255))
def test_damage_anywhere_is_survived(
    kind: str, tmp_path_factory: pytest.TempPathFactory, place: float, how: str, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = write_bag(folder / "log.bag", reach(6), kind)
    topics = folder / "topics.yaml"
    topics.write_text(REACH_TOPICS)
    file = path if path.is_file() else next(item for item in path.iterdir() if item.suffix != ".yaml")
    data = bytearray(file.read_bytes())
    at = min(int(place * len(data)), len(data) - 1)
    if how == "cut":
        data = data[:at]
    elif how == "flip":
        data[at] ^= byte
    else:
        data[at : at + 64] = bytes(len(data[at : at + 64]))
    file.write_bytes(data)
    try:
        for episode in read_bag(path, ReadOptions(topics)).episodes():
            assert np.isfinite(episode.obs["joints"]).all()
    except ImitateError as error:
        assert "\n" not in str(error)
        assert "log" in str(error) or "topics.yaml" in str(error)


def test_pictures_that_say_they_are_huge_are_not_decoded() -> None:
    store = typestore(2)
    make = store.types["sensor_msgs/msg/CompressedImage"]
    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 60_000, 60_000) + bytes(5) + b"IEND"
    message = make(header=None, format="png", data=np.frombuffer(png, np.uint8))
    with pytest.raises(DataError, match="60000 x 60000"):
        picture(message, "sensor_msgs/msg/CompressedImage")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_sizes_are_read_from_headers(suffix: str) -> None:
    import cv2

    done, data = cv2.imencode(suffix, np.zeros((30, 50, 3), np.uint8))
    assert done and picture_size(data.tobytes()) == (30, 50)


@pytest.mark.parametrize(
    ("encoding", "code"),
    [("bayer_rggb8", "RGGB"), ("bayer_bggr8", "BGGR"), ("bayer_gbrg8", "GBRG"), ("bayer_grbg8", "GRBG")],
)
def test_sensor_patterns_become_the_right_colours(encoding: str, code: str) -> None:
    color = {"R": 200, "G": 120, "B": 40}
    tile = np.array([color[letter] for letter in code], np.uint8).reshape(2, 2)
    found = raw(np.tile(tile, (6, 6)), encoding, 12)
    np.testing.assert_array_equal(found[4:8, 4:8], np.full((4, 4, 3), (200, 120, 40)))


def raw(data: np.ndarray, encoding: str, width: int) -> np.ndarray:
    make = typestore(2).types["sensor_msgs/msg/Image"]
    message = make(None, len(data), width, encoding, 0, data.size // len(data), data.reshape(-1))
    return picture(message, "sensor_msgs/msg/Image")


def test_raw_encodings() -> None:
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(raw(rgb, "rgb8", 4), rgb)
    np.testing.assert_array_equal(raw(rgb[..., ::-1].copy(), "bgr8", 4), rgb)
    np.testing.assert_array_equal(raw(rgb[..., :1].copy(), "mono8", 4), np.repeat(rgb[..., :1], 3, 2))
    grey = np.full((2, 4, 2), 128, np.uint8)
    np.testing.assert_array_equal(
        raw(grey, "yuv422_yuy2", 4), np.full((2, 4, 3), raw(grey, "yuv422_yuy2", 4)[0, 0, 0])
    )
    with pytest.raises(DataError, match="'16UC1', expected one of"):
        raw(rgb, "16UC1", 4)


def test_field_paths() -> None:
    kind = MessageTypes().of(Channel("/pose", POSE, "cdr"))
    place = place_in(kind, "")
    assert [item.unit for item in place.items] == ["m"] * 3 + [""] * 4
    assert place.quaternion == 3
    for path, words in {
        "pose.positon": "did you mean 'position'",
        "pose..x": "no field path",
        "pose.position.x.y": "a field of no message",
        "pose[0]": "is no list",
        "header": "holds no numbers",
    }.items():
        with pytest.raises(DataError, match=words):
            place_in(kind, path)
    assert BEGAN_NS
