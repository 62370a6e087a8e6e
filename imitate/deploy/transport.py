"""The contract of a transport: topics, services and actions of a robot, in one dialect whatever carries them.

A message is a mapping with the field names of ROS 2: `header` is {"stamp": {"sec", "nanosec"}, "frame_id"},
sequences of numbers are numpy arrays, uint8[] is bytes, sequences of strings or messages are lists. Types
are written as in ROS 2, "sensor_msgs/msg/JointState". A transport translates to and from its own dialect.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Message = Mapping[str, Any]
OnMessage = Callable[[str, Message, float], None]
"""Called with the topic's name, the message and the local monotonic time in s at which it arrived.

The call comes from the transport's receiving thread, at times from several at once, and must be quick.
"""


@dataclass(frozen=True)
class Topic:
    """A topic and the type that is expected on it; `latched`: its last message also reaches late comers."""

    name: str
    type: str
    latched: bool = False


@dataclass(frozen=True)
class TopicSurvey:
    """What the robot says of one topic.

    publishers and subscribers name the nodes (or participants) other than ourselves, None where the
    transport cannot tell.
    """

    type: str
    publishers: tuple[str, ...] | None = None
    subscribers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Survey:
    """What is there, by topic name; None where the transport cannot list topics.

    use_sim_time: whether the robot lives in simulated time, None where unknown. remarks: what else the
    transport noticed and a person should know, one line each (incompatible QoS, a missing service).
    """

    topics: Mapping[str, TopicSurvey] | None
    use_sim_time: bool | None = None
    remarks: tuple[str, ...] = field(default_factory=tuple)


class Transport(Protocol):
    """Carries messages between us and a robot. Methods are called from several threads at once."""

    def open(
        self,
        subscriptions: Sequence[Topic],
        publications: Sequence[Topic],
        on_message: OnMessage,
        timeout_s: float,
    ) -> None:
        """Connect, subscribe and advertise; from then on stay connected, or reconnect, until `close`.

        A publication with the type of an action announces goals for `send_goal`; RobotError where the
        transport has no actions. Also raises RobotError in one line (what was tried, what happened, the fix)
        where the robot cannot be reached in `timeout_s`; nothing is left behind then. A topic that is not
        there yet is no error.
        """

    def publish(self, topic: str, message: Message) -> bool:
        """Pass a message on at once; False where it was dropped. It is never kept for later.

        `topic` is one of the `publications`. Never blocks longer than a few milliseconds.
        """

    def send_goal(self, action: str, action_type: str, goal: Message) -> bool:
        """Send a goal to an action server, not waiting for its result; False where it was dropped.

        `action_type` is written as "control_msgs/action/GripperCommand". Raises RobotError where the
        transport has no actions.
        """

    def call(self, service: str, service_type: str, request: Message, timeout_s: float) -> dict[str, Any]:
        """The response of a service; RobotError where there is none in `timeout_s`, or no services here."""

    def is_connected(self) -> bool:
        """Whether a message published now would leave this machine."""

    def survey(self) -> Survey:
        """Which topics there are; asks the robot, at most for a few seconds, and moves nothing."""

    def close(self) -> None:
        """Let go of everything, threads included; safe to call twice and before `open`."""
