"""What is known of each source: states merged by name, nothing wrong ever taken for a value."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy import messages
from imitate.deploy.description import ImageSource, JointSource, PoseSource, Target, VectorSource
from imitate.deploy.streams import ImageStream, JointStream, Stream, stop_stream, stream_of, takeover_stream

JOINTS = ("a", "b", "c")


def taken(stream: Stream, *received: Mapping[str, Any]) -> Stream:
    for number, message in enumerate(received):
        stream.take(message, float(number))
    return stream


def state(**joints: float) -> dict[str, Any]:
    return messages.joint_state(list(joints), np.array(list(joints.values())), 5.0)


@given(st.permutations(JOINTS), st.integers(1, 3), st.integers(0, 4))
def test_joints_are_merged_by_name_from_any_order_and_any_parts(
    order: tuple[str, ...], cut: int, others: int
) -> None:
    values = {name: float(number) for number, name in enumerate(JOINTS)}
    names = [*order, *(f"other{i}" for i in range(others))]
    parts = [names[:cut], names[cut:]]
    stream = stream_of(JointSource("/joint_states", JOINTS, scale=2.0))
    taken(stream, *(state(**{name: values.get(name, 99.0) for name in part}) for part in parts if part))
    reading = stream.reading()
    assert reading is not None
    assert reading.value.tolist() == [0.0, 2.0, 4.0]
    assert reading.valid
    assert reading.arrived_s == 0.0  # as old as its oldest part
    assert reading.stamp_s == 5.0


def test_there_is_no_reading_before_every_joint_came_and_age_is_that_of_the_oldest() -> None:
    stream = JointStream(JointSource("/joint_states", JOINTS))
    taken(stream, state(a=1, b=2))
    assert stream.reading() is None
    assert stream.missing() == ["c"]
    stream.take(state(c=3), 7.0)
    stream.take(state(a=4), 8.0)
    reading = stream.reading()
    assert reading is not None
    assert reading.value.tolist() == [4, 2, 3]
    assert reading.arrived_s == 0.0
    assert stream.count == 1


def test_velocity_may_be_empty_and_says_nothing_then() -> None:
    stream = JointStream(JointSource("/joint_states", ("a",), field="velocity"))
    taken(stream, state(a=1))
    assert stream.reading() is None
    taken(stream, {**state(a=1), "velocity": np.array([0.5])})
    reading = stream.reading()
    assert reading is not None and reading.value.tolist() == [0.5]


@pytest.mark.parametrize(
    "position",
    [
        np.array([np.nan, 1.0, 1.0]),
        np.array([np.inf, 1.0, 1.0]),
        np.array([1.0, 1.0]),
        [None, 1.0, 1.0],
        [True, 1.0, 1.0],
        ["1", 1.0, 1.0],
        [[1.0], 1.0, 1.0],
        [10**400, 1.0, 1.0],
    ],
)
def test_a_wrong_state_is_invalid_and_a_later_right_one_mends_it(position: Any) -> None:
    stream = stream_of(JointSource("/joint_states", JOINTS))
    taken(stream, {**state(a=1, b=2, c=3), "position": position})
    reading = stream.reading()
    assert reading is not None and not reading.valid
    taken(stream, state(a=1, b=2, c=3))
    reading = stream.reading()
    assert reading is not None and reading.valid


@given(st.floats(-3.1, 3.1))
def test_a_yaw_survives_its_quaternion(yaw: float) -> None:
    pose = np.array([1.0, 2.0, 3.0, 0.0, 0.0, np.sin(yaw / 2), np.cos(yaw / 2)])
    parts = {}
    for part in ("position", "yaw", "pose"):
        stream = stream_of(PoseSource("/pose", part))  # type: ignore[arg-type]
        taken(stream, messages.pose_stamped(pose, 1.0))
        reading = stream.reading()
        assert reading is not None and reading.valid
        parts[part] = reading.value
    assert parts["position"].tolist() == [1, 2, 3]
    np.testing.assert_allclose(parts["yaw"], [yaw], atol=1e-9)
    np.testing.assert_allclose(parts["pose"], pose, atol=1e-12)


@pytest.mark.parametrize(
    "message",
    [
        {"data": np.array([1.0])},
        {"data": np.array([1.0, np.nan])},
        {"data": [1.0, None]},
        {"data": [1.0, True]},
        {"data": None},
        {},
        {"data": "ab"},
    ],
)
def test_a_wrong_vector_is_invalid(message: dict[str, Any]) -> None:
    reading = taken(stream_of(VectorSource("/v", ("x", "y"))), message).reading()
    assert reading is not None and not reading.valid


def test_a_pose_that_is_no_rotation_is_invalid() -> None:
    stream = taken(stream_of(PoseSource("/p")), messages.pose_stamped(np.zeros(7), 1.0))
    reading = stream.reading()
    assert reading is not None and not reading.valid


PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


def compressed(data: bytes) -> dict[str, Any]:
    return {"header": messages.header(1.0), "format": "rgb8; jpeg compressed bgr8", "data": data}


def test_a_lossless_picture_comes_as_it_was_with_red_first() -> None:
    png = cv2.imencode(".png", PICTURE[..., ::-1])[1].tobytes()
    reading = taken(stream_of(ImageSource("/c", (6, 8))), compressed(png)).reading()
    assert reading is not None and reading.valid
    np.testing.assert_array_equal(reading.value, PICTURE)


def test_the_codec_is_told_from_the_bytes_and_the_size_is_made_right() -> None:
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 2] = 255  # OpenCV's order
    stream = ImageStream(ImageSource("/c", (24, 32)))
    reading = taken(stream, compressed(cv2.imencode(".jpg", red)[1].tobytes())).reading()
    assert reading is not None and reading.value.shape == (24, 32, 3)
    assert np.abs(reading.value.astype(int) - [255, 0, 0]).max() < 4
    assert stream.found_size == (48, 64)


def test_a_picture_is_decoded_once() -> None:
    stream = stream_of(ImageSource("/c", (6, 8)))
    taken(stream, compressed(cv2.imencode(".png", PICTURE)[1].tobytes()))
    assert stream.reading() is stream.reading()


@pytest.mark.parametrize("data", [b"", b"GIF89a", cv2.imencode(".jpg", PICTURE)[1].tobytes()[:20], None])
def test_a_damaged_picture_is_invalid(data: bytes | None) -> None:
    reading = taken(stream_of(ImageSource("/c", (6, 8))), {**compressed(b""), "data": data}).reading()
    assert reading is not None and not reading.valid
    assert reading.value.shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("encoding", "pixels"),
    [
        ("rgb8", PICTURE),
        ("bgr8", PICTURE[..., ::-1]),
        ("rgba8", np.dstack([PICTURE, PICTURE[..., 0]])),
        ("bgra8", np.dstack([PICTURE[..., ::-1], PICTURE[..., 0]])),
    ],
)
def test_raw_pictures_with_padded_rows(encoding: str, pixels: np.ndarray) -> None:
    rows = pixels.reshape(6, -1)
    padded = np.hstack([rows, np.zeros((6, 5), np.uint8)])
    message = {"header": messages.header(1.0), "height": 6, "width": 8, "encoding": encoding}
    data = {"is_bigendian": 0, "step": padded.shape[1], "data": padded.tobytes()}
    reading = taken(stream_of(ImageSource("/c", (6, 8), "Image")), {**message, **data}).reading()
    assert reading is not None and reading.valid
    np.testing.assert_array_equal(reading.value, PICTURE)


@pytest.mark.parametrize("change", [{"encoding": "16UC1"}, {"height": 7}, {"step": 3}, {"width": 0}])
def test_a_raw_picture_that_does_not_add_up_is_invalid(change: dict[str, Any]) -> None:
    message = {"height": 6, "width": 8, "encoding": "rgb8", "step": 24, "data": PICTURE.tobytes()}
    reading = taken(stream_of(ImageSource("/c", (6, 8), "Image")), {**message, **change}).reading()
    assert reading is not None and not reading.valid


def test_a_person_takes_over_in_the_streamed_form_of_each_kind() -> None:
    twist = Target("twist", "/t", ("u", "v"), "twist", ("z", "yaw"))
    stream = taken(
        takeover_stream("/o", twist), messages.twist_stamped(("z", "yaw"), np.array([1.0, 2.0]), 1.0)
    )
    reading = stream.reading()
    assert reading is not None and reading.value.tolist() == [1, 2]
    jog = Target("joint_velocity", "/t", ("u", "v"), "joint_jog", ("a", "b"))
    stream = taken(takeover_stream("/o", jog), messages.joint_jog(("b",), np.array([3.0]), 1.0))
    reading = stream.reading()
    assert reading is not None and reading.value.tolist() == [0, 3]
    arm = Target("joint_position", "/t", ("u", "v"), "trajectory", ("a", "b"))
    stream = taken(takeover_stream("/o", arm), messages.float_values([4.0, 5.0]))
    reading = stream.reading()
    assert reading is not None and reading.value.tolist() == [4, 5]


@pytest.mark.parametrize(
    ("data", "valid", "value"), [(True, True, 1.0), (False, True, 0.0), (1, False, None)]
)
def test_a_stop_is_a_boolean_and_nothing_else(data: Any, valid: bool, value: float | None) -> None:
    reading = taken(stop_stream("/stop"), {"data": data}).reading()
    assert reading is not None and reading.valid == valid
    assert value is None or reading.value.tolist() == [value]
