"""Small robot logs with known content, written by rosbags: ROS 1, ROS 2 in sqlite3, MCAP."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags import rosbag1, rosbag2
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

NS = 1_000_000_000
BEGAN_NS = 1_700_000_000 * NS
KINDS = ("ros1", "sqlite3", "mcap")
JOINTS, IMAGE, COMPRESSED = (
    "sensor_msgs/msg/JointState",
    "sensor_msgs/msg/Image",
    "sensor_msgs/msg/CompressedImage",
)
VALUES, STRING, BOOL, EMPTY = (
    f"std_msgs/msg/{name}" for name in ("Float64MultiArray", "String", "Bool", "Empty")
)
POSE, TWIST, TRAJECTORY = (
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/TwistStamped",
    "trajectory_msgs/msg/JointTrajectory",
)
GRIPPER = "acme_msgs/msg/Gripper"
GRIPPER_TEXT = "std_msgs/Header header\nfloat64 opening\nstring from\nacme_msgs/Part[2] parts\n"
PART_TEXT = "float32 force\nuint8 kind\n"


@dataclass(frozen=True)
class Said:
    """One message: `fields` as nested mappings, the rest is zero or empty. received_s: since BEGAN_NS."""

    topic: str
    type: str
    received_s: float
    fields: Mapping[str, Any]

    @property
    def received_ns(self) -> int:
        return BEGAN_NS + round(self.received_s * NS)


def header(stamp_s: float, seq: int = 0) -> dict[str, Any]:
    """`seq` is of ROS 1 and ignored elsewhere."""
    ns = BEGAN_NS + round(stamp_s * NS)
    return {"stamp": {"sec": ns // NS, "nanosec": ns % NS}, "seq": seq}


def joints(time_s: float, names: Sequence[str], position: Sequence[float], seq: int = 0, **more: Any) -> Said:
    body = {"name": list(names), "position": np.array(position, np.float64)}
    return Said("/joint_states", JOINTS, time_s + 0.001, {"header": header(time_s, seq), **body, **more})


def values(topic: str, time_s: float, numbers: Sequence[float]) -> Said:
    return Said(topic, VALUES, time_s, {"data": np.array(numbers, np.float64)})


def text(topic: str, time_s: float, said: str) -> Said:
    return Said(topic, STRING, time_s, {"data": said})


def raw_image(topic: str, time_s: float, picture: np.ndarray, encoding: str = "rgb8", pad: int = 0) -> Said:
    rows = picture.reshape(len(picture), -1)
    body = {
        "height": picture.shape[0],
        "width": picture.shape[1],
        "encoding": encoding,
        "step": rows.shape[1] + pad,
        "data": np.pad(rows, ((0, 0), (0, pad))).reshape(-1),
    }
    return Said(topic, IMAGE, time_s + 0.002, {"header": header(time_s), **body})


def compressed_image(topic: str, time_s: float, picture: np.ndarray, suffix: str = ".png") -> Said:
    done, data = cv2.imencode(suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert done
    return Said(
        topic,
        COMPRESSED,
        time_s + 0.002,
        {"header": header(time_s), "format": "jpeg", "data": data.reshape(-1)},
    )


def write_bag(path: Path, said: Iterable[Said], kind: str = "ros1", packed: str = "") -> Path:
    """A log at `path`: a file of ROS 1, else a folder. packed: "bz2", "lz4"; "file", "message", "storage"."""
    ordered = sorted(said, key=lambda item: item.received_ns)
    if kind == "ros1":
        writer: Any = rosbag1.Writer(path)
        if packed:
            writer.set_compression(rosbag1.Writer.CompressionFormat[packed.upper()])
    else:
        writer = rosbag2.Writer(path, version=9, storage_plugin=StoragePlugin[kind.upper()])
        if packed:
            writer.set_compression(CompressionMode[packed.upper()], CompressionFormat.ZSTD)
    store = typestore(1 if kind == "ros1" else 2)
    with writer:
        connections: dict[str, Any] = {}
        for item in ordered:
            if item.topic not in connections:
                connections[item.topic] = writer.add_connection(item.topic, item.type, typestore=store)
            message = made(store, item.type, item.fields)
            pack = store.serialize_ros1 if kind == "ros1" else store.serialize_cdr
            writer.write(connections[item.topic], item.received_ns, pack(message, item.type))
    return path


def mcap_file(path: Path, said: Iterable[Said], packed: str = "") -> Path:
    """The MCAP file alone, without its folder."""
    folder = write_bag(path.with_suffix(""), said, "mcap", packed)
    (folder / f"{folder.name}.mcap").rename(path)
    (folder / "metadata.yaml").unlink()
    folder.rmdir()
    return path


@cache
def typestore(ros: int) -> Any:
    store = get_typestore(Stores.ROS2_JAZZY if ros == 2 else Stores.ROS1_NOETIC)
    store.register(get_types_from_msg(PART_TEXT, "acme_msgs/msg/Part"))
    store.register(get_types_from_msg(GRIPPER_TEXT, GRIPPER))
    return store


def made(store: Any, kind: str, fields: Mapping[str, Any]) -> Any:
    """A message object; what `fields` does not name is zero or empty."""
    given = {name: _value(store, described, fields.get(name)) for name, described in store.fielddefs[kind][1]}
    known = store.types[kind].__dataclass_fields__
    return store.types[kind](
        **{name if name in known else f"{name}_": value for name, value in given.items()}
    )


def _value(store: Any, described: Any, value: Any) -> Any:
    node, detail = described
    if node.name == "BASE":
        zero: Any = {"string": "", "bool": False, "float32": 0.0, "float64": 0.0}.get(detail[0], 0)
        return zero if value is None else value
    if node.name == "NAME":
        return made(store, detail, value or {})
    (inner, kind), length = detail
    length = length if node.name == "ARRAY" else 0
    if inner.name == "NAME":
        return [made(store, kind, item) for item in (value if value is not None else [{}] * length)]
    if kind[0] == "string":
        return list(value or [""] * length)
    dtype = {"bool": "bool", "byte": "uint8", "char": "uint8"}.get(kind[0], kind[0])
    return np.zeros(length, dtype) if value is None else np.asarray(value, dtype)


def reach(steps: int = 12, rate_hz: float = 10.0, start_s: float = 0.0, seed: int = 0) -> list[Said]:
    """A little of everything: joints, a camera, a pose, commands, and marks of one episode."""
    rng = np.random.default_rng(seed)
    said = [text("/episode", start_s - 0.05, "start")]
    for step in range(steps):
        time_s = start_s + step / rate_hz
        picture = np.full((6, 8, 3), (step * 20 % 256, 100, 200 - step), np.uint8)
        angle = rng.normal(size=3)
        said += [
            joints(time_s, ["elbow", "shoulder", "wrist"], angle, step + 1),
            compressed_image("/camera/compressed", time_s, picture),
            Said(
                "/pose",
                POSE,
                time_s,
                {
                    "header": header(time_s),
                    "pose": {"position": {"x": step * 0.1}, "orientation": {"w": 1.0}},
                },
            ),
            values("/commands", time_s + 0.01, angle * 0.5),
        ]
    end_s = start_s + steps / rate_hz
    return [*said, text("/episode", end_s, "stop"), text("/verdict", end_s + 0.1, "good")]


REACH_TOPICS = """rate_hz: 10
observations:
  joints: {topic: /joint_states, names: [shoulder, elbow], units: rad}
  camera: {topic: /camera/compressed}
  place: {topic: /pose, sample: slerp}
action: {topic: /commands, names: [a, b, c], max_age_s: 0.2}
episodes:
  start: {topic: /episode, equals: start}
  end: {topic: /episode, equals: stop}
  success: {topic: /verdict, equals: good}
"""


def bag_sample(folder: Path) -> Path:
    """A folder of logs, one of each kind, and their topics file."""
    logs = folder / "logs"
    logs.mkdir(parents=True)
    (logs / "topics.yaml").write_text(REACH_TOPICS)
    write_bag(logs / "first.bag", reach(seed=1), "ros1", "bz2")
    write_bag(logs / "second", reach(seed=2), "sqlite3")
    mcap_file(logs / "third.mcap", reach(seed=3), "storage")
    return logs
