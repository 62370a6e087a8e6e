"""A recorded session comes back as demonstrations: what was seen and done, step by step, nothing else."""

import struct
import time
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from recorded_session import (
    HEADER,
    RATE_HZ,
    SPEC,
    action,
    observed,
    record,
    record_steps,
    snapshot,
)

from imitate.datasets.formats.session import MIXED
from imitate.datasets.importing import import_file
from imitate.datasets.opening import open_store
from imitate.datasets.session_file import SessionFile
from imitate.datasets.session_steps import Stream, ranges, split_steps
from imitate.datasets.store import DemoStore
from imitate.deploy.recording.session import SessionRecorder
from imitate.deploy.robot import Reading, Snapshot
from imitate.errors import DataError

CHUNK, DATA_END = 0x06, 0x0F
"""Kinds of MCAP records."""


def imported(path: Path) -> DemoStore:
    return DemoStore.open(import_file(path, path.with_suffix(".zarr")).out)


def ids_and_steps(store: DemoStore) -> list[tuple[str, int]]:
    return [(store.record(index).id, store.record(index).steps) for index in range(len(store))]


def test_all_that_was_seen_and_done_comes_back(tmp_path: Path) -> None:
    path = record(tmp_path / "first.mcap", lambda recorder: record_steps(recorder, range(6)))
    report = import_file(path, tmp_path / "out.zarr")
    store = DemoStore.open(report.out)
    assert (report.kind, report.left_out) == ("session of imitate deploy", ())
    assert store.spec == SPEC
    assert store.metadata["session"]["policy_hash"] == "abc"
    episode = store.episode(0)
    assert (episode.id, episode.source, episode.success) == ("first_0", "policy", None)
    assert episode.metadata == {"corrected": []}
    for step in range(6):
        np.testing.assert_array_equal(episode.action[step], action(step))
        for key, value in observed(step).items():
            np.testing.assert_array_equal(episode.obs[key][step], value)


def test_corrections_by_a_person_are_marked(tmp_path: Path) -> None:
    def write(recorder: SessionRecorder) -> None:
        record_steps(recorder, range(3))
        record_steps(recorder, range(3, 7), source="person")
        record_steps(recorder, range(7, 9))
        record_steps(recorder, range(20, 23), source="person")

    store = imported(record(tmp_path / "taken.mcap", write))
    first, second = store.episode(0), store.episode(1)
    assert (first.source, first.metadata) == (MIXED, {"corrected": [[3, 7]]})
    assert (second.source, second.metadata) == ("person", {"corrected": [[0, 3]]})


def test_gaps_marks_and_stale_observations_end_episodes(tmp_path: Path) -> None:
    def write(recorder: SessionRecorder) -> None:
        record_steps(recorder, range(4))
        recorder.event(1000.0 + 3.5 / RATE_HZ, "episode", {})
        record_steps(recorder, range(4, 7))
        for step in (7, 8, 9, 10):  # The camera stalls: at 7 and 8 its picture of step 6 is young enough.
            time_s = 1000.0 + step / RATE_HZ
            seen = snapshot(step, time_s).observations
            recorder.observation(time_s, Snapshot({k: v for k, v in seen.items() if k != "camera"}))
            recorder.step(time_s, action(step), "policy")
        record_steps(recorder, range(15, 17))
        record_steps(recorder, range(30, 31))

    path = record(tmp_path / "s.mcap", write)
    report = import_file(path, tmp_path / "s.zarr")
    assert ids_and_steps(DemoStore.open(report.out)) == [("s_0", 4), ("s_1", 5), ("s_2", 2)]
    assert report.left_out == (
        "2 control steps without a fresh observation",
        "1 single control steps between gaps",
    )
    camera = DemoStore.open(report.out).episode(1).obs["camera"]
    for step, seen in enumerate((4, 5, 6, 6, 6)):
        np.testing.assert_array_equal(camera[step], observed(seen)["camera"])


def test_an_invalid_reading_is_no_observation(tmp_path: Path) -> None:
    def write(recorder: SessionRecorder) -> None:
        record_steps(recorder, range(3))
        time_s = 1000.0 + 2.5 / RATE_HZ
        broken = Reading(np.array([np.nan, 0.0]), time_s, valid=False)
        recorder.observation(time_s, Snapshot({"joints": broken}))
        recorder.step(1000.0 + 3 / RATE_HZ, action(3), "policy")
        record_steps(recorder, range(4, 6))

    assert ids_and_steps(imported(record(tmp_path / "s.mcap", write))) == [("s_0", 3), ("s_1", 2)]


def test_a_file_without_its_end_gives_what_it_holds(tmp_path: Path) -> None:
    def write(recorder: SessionRecorder) -> None:
        record_steps(recorder, range(200))
        time.sleep(0.7)  # By now the first half is a chunk of its own.
        record_steps(recorder, range(200, 400))

    whole = record(tmp_path / "whole.mcap", write).read_bytes()
    path = tmp_path / "half.mcap"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    report = import_file(path, tmp_path / "half.zarr")
    assert 100 < report.steps < 400
    assert "half.mcap is cut off or damaged after" in report.left_out[-1]
    np.testing.assert_array_equal(
        DemoStore.open(report.out).episode(0).action, [action(step) for step in range(report.steps)]
    )


def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path) -> None:
    def dry(recorder: SessionRecorder) -> None:
        record_steps(recorder, range(3), sent=False)

    def blind(recorder: SessionRecorder) -> None:
        recorder.step(1000.0, action(0), "policy")

    header = {**HEADER, "mode": "dry-run"}
    for name, path, said in (
        ("a", record(tmp_path / "a.mcap", dry, header), "none of 3 actions reached the robot"),
        ("b", record(tmp_path / "b.mcap", lambda recorder: None), "no control steps"),
        ("c", record(tmp_path / "c.mcap", blind), "'joints' was never recorded"),
    ):
        with pytest.raises(DataError, match=said):
            import_file(path, tmp_path / f"{name}.zarr")
        assert not (tmp_path / f"{name}.zarr").exists()


def test_training_on_a_session_says_to_import_it(tmp_path: Path) -> None:
    path = record(tmp_path / "s.mcap", lambda recorder: None)
    with pytest.raises(DataError, match=r"imitate import src=.*s.mcap"):
        open_store(path)


def test_another_mcap_file_is_no_session(tmp_path: Path) -> None:
    from mcap.writer import Writer

    path = tmp_path / "other.mcap"
    writer = Writer(str(path))
    writer.start()
    writer.finish()
    with pytest.raises(DataError, match="no session of imitate deploy"):
        SessionFile(path)


@given(
    seen=st.lists(st.floats(0, 10), min_size=1, max_size=20),
    times=st.lists(st.floats(0, 10), min_size=1, max_size=20),
    max_age=st.floats(0.1, 5),
)
def test_readings_are_causal_and_fresh(seen: list[float], times: list[float], max_age: float) -> None:
    stream = Stream()
    for time_s in seen:
        stream.add(time_s, time_s - 0.05)
    numbers, usable = stream.at(np.array(times), max_age)
    for time_s, number, good in zip(times, numbers, usable, strict=True):
        before = [index for index, at in enumerate(seen) if at <= time_s]
        newest = max(before, key=lambda index: (seen[index], index), default=-1)
        assert number == newest
        assert good == (newest >= 0 and time_s - (seen[newest] - 0.05) <= max_age)


@given(gaps=st.lists(st.sampled_from([0.02, 0.09, 0.1, 0.12, 0.2, 3.0]), max_size=30))
def test_episodes_keep_the_rhythm(gaps: list[float]) -> None:
    times = np.cumsum([1.0, *gaps])
    stream = Stream()
    for time_s in times:
        stream.add(float(time_s), float(time_s))
    split = split_steps(times, {"x": stream}, {"x": 1.0}, 0.1)
    steps = [int(step) for part in split.parts for step in part.steps]
    assert steps == sorted(set(steps))
    assert len(steps) + split.alone == len(times) and split.unusable == 0
    for part in split.parts:
        between = np.diff(times[part.steps])
        assert len(between) and (np.diff(part.steps) == 1).all()
        assert ((between > 0.05) & (between < 0.15)).all()


@given(st.lists(st.booleans(), max_size=30))
def test_ranges_cover_what_is_true(flags: list[bool]) -> None:
    covered = [step for start, stop in ranges(np.array(flags, bool)) for step in range(start, stop)]
    assert covered == [step for step, flag in enumerate(flags) if flag]


def test_a_chunk_that_says_it_is_huge_is_not_unpacked(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole.mcap", lambda recorder: record_steps(recorder, range(6))).read_bytes()
    place = 8
    while whole[place] != DATA_END:
        place += 9 + int.from_bytes(whole[place + 1 : place + 9], "little")
    packed = zstandard.compress(bytes(1000))
    body = struct.pack("<QQQII4sQ", 0, 0, 2**40, 0, 4, b"zstd", len(packed)) + packed
    path = tmp_path / "bomb.mcap"
    path.write_bytes(whole[:place] + struct.pack("<BQ", CHUNK, len(body)) + body + whole[place:])
    report = import_file(path, tmp_path / "bomb.zarr")
    assert report.steps == 6
    assert f"{len(packed)} bytes say that they unpack to {2**40}" in report.left_out[-1]
