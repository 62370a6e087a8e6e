"""rosbridge on the wire: frames as the protocol and the two ROS have them, written out by hand."""

import base64
import json
import struct
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy import messages
from imitate.deploy.backends.rosbridge_dialect import Dialect, frame, generic_type, parse
from imitate.errors import RobotError

ROS1, ROS2 = Dialect(1), Dialect(2)


def test_types_have_two_parts_in_ros_1_and_three_in_ros_2() -> None:
    assert ROS1.type_name("sensor_msgs/msg/JointState") == "sensor_msgs/JointState"
    assert ROS2.type_name("sensor_msgs/msg/JointState") == "sensor_msgs/msg/JointState"
    assert generic_type("sensor_msgs/JointState") == "sensor_msgs/msg/JointState"
    assert generic_type("sensor_msgs/msg/JointState") == "sensor_msgs/msg/JointState"
    assert generic_type("std_srvs/Trigger", "srv") == "std_srvs/srv/Trigger"


def test_times_and_headers_are_spelt_as_each_ros_does() -> None:
    message = {"header": messages.header(1.5, "base"), "d": messages.stamp(2.0)}
    assert ROS2.encode(message) == {
        "header": {"stamp": {"sec": 1, "nanosec": 500000000}, "frame_id": "base"},
        "d": {"sec": 2, "nanosec": 0},
    }
    assert ROS1.encode(message) == {
        "header": {"seq": 0, "stamp": {"secs": 1, "nsecs": 500000000}, "frame_id": "base"},
        "d": {"secs": 2, "nsecs": 0},
    }


@pytest.mark.parametrize("dialect", [ROS1, ROS2])
def test_a_message_comes_back_as_it_was(dialect: Dialect) -> None:
    sent = messages.joint_state(["b", "a"], np.array([1.5, -2.0]), 3.25)
    back = dialect.decode(parse(frame({"msg": dialect.encode(sent)}))["msg"], messages.JOINT_STATE)
    assert back["name"] == ["b", "a"]
    np.testing.assert_array_equal(back["position"], [1.5, -2.0])
    assert messages.seconds(back["header"]) == 3.25
    assert not len(back["velocity"])


def test_null_is_not_a_number() -> None:
    message = ROS2.decode({"position": [1, None], "x": None}, "")
    assert np.isnan(message["position"][1])
    assert message["x"] is None


def test_booleans_and_texts_are_no_numbers() -> None:
    assert ROS2.decode({"a": [True, 1.0], "b": ["x"]}, "") == {"a": [True, 1.0], "b": ["x"]}


def test_bytes_are_base64_in_json() -> None:
    encoded = ROS2.encode({"data": b"\xff\xd8"})
    assert encoded == {"data": base64.b64encode(b"\xff\xd8").decode()}
    assert ROS2.decode(encoded, messages.COMPRESSED_IMAGE) == {"data": b"\xff\xd8"}


TAGGED: list[tuple[int, str, list[float]]] = [
    (69, "<3H", [0, 1, 65535]),
    (70, "<2I", [1, 2**32 - 1]),
    (71, "<2Q", [1, 2**63]),
    (72, "<2b", [-128, 127]),
    (77, "<2h", [-32768, 5]),
    (78, "<2i", [-(2**31), 5]),
    (79, "<2q", [-(2**62), 5]),
    (85, "<2f", [0.5, -2.0]),
    (86, "<2d", [0.1, -2.0]),
]


@pytest.mark.parametrize(("tag", "layout", "values"), TAGGED)
def test_cbor_arrays_are_tagged_little_endian_bytes(tag: int, layout: str, values: list[float]) -> None:
    data = cbor2.dumps({"op": "publish", "msg": {"data": cbor2.CBORTag(tag, struct.pack(layout, *values))}})
    message = ROS1.decode(parse(data)["msg"], "")
    assert message["data"].tolist() == values


def test_cbor_bytes_stay_bytes_and_times_are_translated() -> None:
    header = {"seq": 4, "stamp": {"secs": 7, "nsecs": 0}, "frame_id": ""}
    data = cbor2.dumps(
        {"op": "publish", "msg": {"header": header, "format": "jpeg", "data": b"\xff\xd8\xff"}}
    )
    message = ROS1.decode(parse(data)["msg"], messages.COMPRESSED_IMAGE)
    assert message["data"] == b"\xff\xd8\xff"
    assert messages.seconds(message["header"]) == 7.0


@pytest.mark.parametrize("bad", [np.array([1.0, np.nan]), float("inf"), [float("nan")], {"x": float("-inf")}])
def test_a_number_that_is_not_finite_never_leaves(bad: Any) -> None:
    for dialect in (ROS1, ROS2):
        with pytest.raises(RobotError, match="finite"):
            dialect.encode({"data": bad})
    with pytest.raises(RobotError):
        frame({"op": "publish", "topic": "/t", "msg": {"data": float("nan")}})


@given(
    st.one_of(
        st.text(), st.binary(max_size=200), st.integers().map(str), st.lists(st.floats()).map(json.dumps)
    )
)
def test_what_is_no_operation_is_read_as_none(data: str | bytes) -> None:
    assert isinstance(parse(data), dict)


@pytest.mark.parametrize(
    "data", ["", "[1]", "3", "{", b"", b"\xff", b"\x82\x01", cbor2.dumps([1]), '{"a": 1}x']
)
def test_foreign_frames_are_passed_over(data: str | bytes) -> None:
    assert parse(data) == {}
