"""A rosbridge server with the quirks of the real ones, each as it was observed or read in their source."""

from typing import Any

import numpy as np

from imitate.deploy import messages
from imitate.deploy.simulation.bridge_server import BridgeServer
from imitate.deploy.simulation.bridge_session import BridgeSession
from imitate.deploy.transport import Message

NUMBERS, TEXTS, HEADER, NUMBER, TRUTH, DATA = "numbers", "texts", "header", "number", "truth", "data"
XYZ = dict.fromkeys("xyz", NUMBER)

FIELDS: dict[str, dict[str, Any]] = {
    messages.BOOL: {"data": TRUTH},
    messages.VALUES: {"layout": None, "data": NUMBERS},
    messages.JOINT_STATE: {
        "header": HEADER, "name": TEXTS, "position": NUMBERS, "velocity": NUMBERS, "effort": NUMBERS,
    },
    messages.TWIST: {"header": HEADER, "twist": {"linear": XYZ, "angular": XYZ}},
    messages.POSE: {"header": HEADER, "pose": {"position": XYZ, "orientation": {**XYZ, "w": NUMBER}}},
    messages.JOINT_JOG: {
        "header": HEADER,
        "joint_names": TEXTS,
        "displacements": NUMBERS,
        "velocities": NUMBERS,
        "duration": NUMBER,
    },
    messages.TRAJECTORY: {
        "header": HEADER,
        "joint_names": TEXTS,
        "points": [
            {
                "positions": NUMBERS,
                "velocities": NUMBERS,
                "accelerations": NUMBERS,
                "effort": NUMBERS,
                "time_from_start": {"sec": "whole", "nanosec": "whole"},
            }
        ],
    },
    messages.COMPRESSED_IMAGE: {"header": HEADER, "format": "text", "data": DATA},
}  # fmt: skip


class QuirkyBridge(BridgeServer):
    """Drops what is not of its type without a word; with `stalled` topics it goes on without them."""

    def __init__(self, host: str = "127.0.0.1", port: int = 0, ros: Any = 2) -> None:
        super().__init__(host, port, ros)
        self.dropped: list[tuple[str, Message]] = []
        self.stalled: set[str] = set()

    def receive(self, session: BridgeSession, topic: str, message: Message) -> None:
        fields = FIELDS.get(self.graph.type_of(topic) or "")
        if fields is not None and not _fits(message, fields):
            self.dropped.append((topic, message))
            return
        super().receive(session, topic, message)

    def publish(self, topic: str, message: Message) -> None:
        if topic not in self.stalled:
            super().publish(topic, message)

    def cbor_frame(self, topic: str, message: Message) -> bytes | None:
        """The ROS 1 server's encoder fails on string[], and says so in its own log alone."""
        if self.dialect.ros == 1 and _has_texts(message):
            return None
        return super().cbor_frame(topic, message)


def _has_texts(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(item, str) or _has_texts(item) for item in value)
    return isinstance(value, dict) and any(_has_texts(item) for item in value.values())


def _fits(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return True
    if isinstance(wanted, dict):
        return isinstance(value, dict) and set(value) <= set(wanted) and all(
            _fits(value[key], wanted[key]) for key in value
        )  # fmt: skip
    if isinstance(wanted, list):
        return isinstance(value, list) and all(_fits(item, wanted[0]) for item in value)
    if wanted == HEADER:
        return _is_header(value)
    if wanted == NUMBERS:
        return (isinstance(value, np.ndarray) and value.dtype.kind in "fi") or value == []
    if wanted == TEXTS:
        return isinstance(value, list) and all(isinstance(item, str) for item in value)
    kinds = {NUMBER: (int, float), TRUTH: bool, DATA: (bytes, str), "text": str, "whole": int}
    return isinstance(value, kinds[wanted]) and (wanted == TRUTH or not isinstance(value, bool))


def _is_header(value: Any) -> bool:
    if not isinstance(value, dict) or not set(value) <= {"stamp", "frame_id", "seq"}:
        return False
    return all(isinstance(part, int) for part in value.get("stamp", {}).values())
