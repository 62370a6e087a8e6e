"""What the MCAP file of a deploy session holds, for those who write it and those who read it.

    metadata "imitate"               one record, first in the file, every value JSON: the header that the
                                     session began with, `format`, and `clock` {monotonic_ns, wall_ns};
                                     `task` is what a policy that listens was told;
                                     `max_age_s` {"observations.<name>": s} is what import goes by
    /imitate/observations/<name>     what the policy sees, by the names of its DataSpec
    /imitate/measured/<group>        joint positions, or the pose of the tool
    /imitate/takeover/<group>        what a person commands
    /imitate/stop                    std_msgs/Bool, the emergency stop
    /imitate/commands/<group>        commands that left; a JointTrajectory, TwistStamped or PoseStamped
    /imitate/withheld/<group>        commands that did not leave (dry run, or dropped)
    /imitate/command_log             JSON, one per command, see COMMAND
    /imitate/steps                   JSON, one per control step of the policy, see STEP
    /imitate/events                  JSON, everything else, see EVENT

Observations are sensor_msgs/CompressedImage (lossless PNG up to PNG_PIXELS, else JPEG), JointState where
elements have names, geometry_msgs/PoseStamped for a pose, else std_msgs/Float64MultiArray; all in CDR with
their definitions (ros2msg), in the policy's units. A value is written when it is new. `log_time` is when it
was seen, `publish_time` when it arrived, both in ns since 1970: the local monotonic clock plus a constant,
which `clock` tells. A message's `sequence` is the number of its command.

MCAP: https://mcap.dev/spec
"""

from typing import Any

FORMAT = 1
MAGIC = b"\x89MCAP0\r\n"
METADATA = "imitate"
ROOT = "/imitate"
OBSERVATIONS = f"{ROOT}/observations/"
MEASURED = f"{ROOT}/measured/"
TAKEOVER = f"{ROOT}/takeover/"
STOP = f"{ROOT}/stop"
SENT = f"{ROOT}/commands/"
WITHHELD = f"{ROOT}/withheld/"
COMMAND_LOG = f"{ROOT}/command_log"
STEPS = f"{ROOT}/steps"
EVENTS = f"{ROOT}/events"

JPEG_QUALITY = 95
# A PNG takes some 150 ns per pixel: two cameras of this size at 30 Hz, a seventh of a slow core.
PNG_PIXELS = 128 * 128

INVALID = "invalid_reading"
"""Name of the event that a reading became invalid; `stream` is its topic."""
EPISODE = "episode"
"""Name of the event that a new attempt begins."""

IMAGE = "sensor_msgs/msg/CompressedImage"
JOINTS = "sensor_msgs/msg/JointState"
POSE = "geometry_msgs/msg/PoseStamped"
VECTOR = "std_msgs/msg/Float64MultiArray"


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"time_s": {"type": "number"}, **properties}}


_TEXT = {"type": "string"}
_NUMBERS = {"type": "array", "items": {"type": "number"}}
_SOURCE = {"type": "string", "enum": ["policy", "person", "hold"]}

EVENT = _object(name=_TEXT, values={"type": "object"})
STEP = _object(action=_NUMBERS, source=_SOURCE, sent={"type": "boolean"})
COMMAND = _object(
    group=_TEXT,
    kind=_TEXT,
    source=_SOURCE,
    sent={"type": "boolean"},
    sequence={"type": "integer"},
    made_s={"type": "number"},
    points={"type": "integer"},
)
"""JSON schemas; `time_s` is local monotonic time in s, of a step that of its observation."""
