"""A robot that is spoken to through topics, whatever transport carries them."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from imitate.deploy import messages
from imitate.deploy.check import check
from imitate.deploy.command import Command
from imitate.deploy.description import SERVO_COMMAND_TYPES, RobotDescription, StopSource, Target
from imitate.deploy.messages import TYPES, message_of
from imitate.deploy.robot import Finding, Reading, Snapshot
from imitate.deploy.robot_clock import RobotClock
from imitate.deploy.streams import MALFORMED, Stream, stop_stream, stream_of, takeover_stream
from imitate.deploy.transport import Message, Topic, Transport
from imitate.errors import RobotError
from imitate.spec import ArraySpec, DataSpec

MAX_COMMAND_AGE_S = 0.1
"""A command made longer ago is dropped: MoveIt Servo, for one, halts at older ones."""

TRIGGER = "std_srvs/srv/Trigger"
SERVO_SWITCH, SWITCH_TIMEOUT_S = "moveit_msgs/srv/ServoCommandType", 5.0
ALARM_TIMEOUT_S = 1.0

GRIPPER_HYSTERESIS_M = 0.002
"""A gripper that takes goals is sent a new one only where the opening changes by more."""


class TopicRobot:
    """The robot of `description`, reached through `transport`."""

    def __init__(self, description: RobotDescription, transport: Transport) -> None:
        self._description, self._transport = description, transport
        self._observations = {name: stream_of(s) for name, s in description.observations.items()}
        self._measured = {group: stream_of(source) for group, source in description.measured.items()}
        self._takeover = {
            group: takeover_stream(topic, description.targets[group])
            for group, topic in description.takeover.items()
        }
        self._stop = stop_stream(description.stop.topic) if description.stop else None
        self._labelled = {
            **{f"observation {name}": stream for name, stream in self._observations.items()},
            **{f"measured {group}": stream for group, stream in self._measured.items()},
            **{f"takeover {group}": stream for group, stream in self._takeover.items()},
            **({"emergency stop": self._stop} if self._stop else {}),
        }
        self._streams = _by_topic(list(self._labelled.values()))
        # The clock that commands are judged by is that of the controllers; a camera's may be another.
        self._clock = RobotClock()
        self._clock_topics = {stream.topic for stream in self._measured.values()}
        self._goals: dict[str, float] = {}
        self._goal_lock = threading.Lock()
        self._spec = spec_of(description)

    @property
    def spec(self) -> DataSpec:
        """Observations of the sources, and the action elements of all targets in their order."""
        return self._spec

    @property
    def targets(self) -> Mapping[str, Target]:
        """The groups that take commands, by name."""
        return self._description.targets

    @property
    def max_age_s(self) -> Mapping[str, float]:
        """How old a reading may be, by "observations.NAME" and "measured.GROUP"."""
        return self._description.max_age_s()

    @property
    def stop(self) -> StopSource | None:
        """The emergency stop it listens to."""
        return self._description.stop

    def connect(self, timeout_s: float) -> None:
        """Reach the robot's topics; values come when the robot publishes them."""
        subscriptions = [Topic(topic, streams[0].type) for topic, streams in self._streams.items()]
        publications = [
            Topic(target.topic, TYPES[target.form]) for target in self._description.targets.values()
        ]
        self._transport.open(subscriptions, publications, self._take, timeout_s)

    def prepare(self) -> None:
        """Switch MoveIt Servo, where a target names it, to the commands that will come."""
        for group, target in self._description.targets.items():
            if target.servo:
                wanted = {"command_type": SERVO_COMMAND_TYPES[target.form]}
                answer = self._transport.call(target.servo, SERVO_SWITCH, wanted, SWITCH_TIMEOUT_S)
                if not answer.get("success"):
                    raise RobotError(
                        f"{target.servo} does not switch to {target.form} commands, which {group} needs: it "
                        f"answered {answer}; is MoveIt Servo running and not paused?"
                    )

    def is_connected(self) -> bool:
        """Whether the transport would pass a command on now."""
        return self._transport.is_connected()

    def read(self) -> Snapshot:
        """The newest of everything; pictures are decoded here, each once."""
        return replace(self.measure(), observations=_readings(self._observations))

    def measure(self) -> Snapshot:
        """The newest of everything but observations."""
        return Snapshot(
            measured=_readings(self._measured),
            stop=self._stop.reading() if self._stop else None,
            takeover=_readings(self._takeover),
        )

    def send(self, command: Command) -> bool:
        """Pass `command` on; raises RobotError where it does not fit its target or is not finite."""
        target = self._description.targets.get(command.group)
        if target is None:
            raise RobotError(
                f"command is for group {command.group!r}; the robot has {sorted(self._description.targets)}"
            )
        now_s = time.monotonic()
        message = message_of(command, target, self._clock.time_s(now_s))
        if now_s - command.made_s > MAX_COMMAND_AGE_S or not self._transport.is_connected():
            self._forget_goal(command.group)
            return False
        if target.form == "gripper_command":
            return self._send_goal(command.group, target, message)
        return self._transport.publish(target.topic, message)

    def alarm(self) -> None:
        """Call the stop's service, where the description names one, from a thread of its own."""
        stop = self._description.stop
        if stop is not None and stop.service:
            threading.Thread(target=self._call_stop, args=(stop.service,), name="alarm", daemon=True).start()

    def _call_stop(self, service: str) -> None:
        # The gate holds the robot whether or not somebody answers.
        with suppress(RobotError):
            self._transport.call(service, TRIGGER, {}, ALARM_TIMEOUT_S)

    def findings(self) -> Sequence[Finding]:
        """Listen for a second, ask the transport what there is, and compare both with the description."""
        rates = self._measure_rates()
        return check(self._description, self._transport.survey(), rates, self._labelled)

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()

    def _take(self, topic: str, message: Message, arrived_s: float) -> None:
        streams = self._streams.get(topic, ())
        if not streams:
            return
        if topic in self._clock_topics:
            self._clock.observe(messages.seconds(message.get("header")), arrived_s)
        for stream in streams:
            # A stream makes an invalid reading of a malformed message, and nothing of what is none at all.
            with suppress(*MALFORMED):
                stream.take(message, arrived_s)

    def _send_goal(self, group: str, target: Target, message: Message) -> bool:
        opening = float(message["command"]["position"])
        with self._goal_lock:
            last = self._goals.get(group)
        if last is not None and abs(opening - last) <= GRIPPER_HYSTERESIS_M:
            return True
        if not self._transport.send_goal(target.topic, TYPES[target.form], message):
            self._forget_goal(group)
            return False
        with self._goal_lock:
            self._goals[group] = opening
        return True

    def _forget_goal(self, group: str) -> None:
        # After a lost connection nobody knows where the gripper was last sent.
        with self._goal_lock:
            self._goals.pop(group, None)

    def _measure_rates(self, window_s: float = 1.0) -> dict[str, float]:
        """How often per second all of each stream comes."""
        before = {label: stream.count for label, stream in self._labelled.items()}
        started_s = time.monotonic()
        time.sleep(window_s)
        elapsed_s = time.monotonic() - started_s
        return {label: (stream.count - before[label]) / elapsed_s for label, stream in self._labelled.items()}


def spec_of(description: RobotDescription) -> DataSpec:
    """What a robot senses and takes, in the words of a policy; a rate is the policy's own matter."""
    names = tuple(name for target in description.targets.values() for name in target.action)
    units = tuple(unit for group in description.targets for unit in _action_units(description, group))
    action = ArraySpec((len(names),), names=names, units=units if len(units) == len(names) else ())
    return DataSpec({name: source.spec() for name, source in description.observations.items()}, action)


def _action_units(description: RobotDescription, group: str) -> tuple[str, ...]:
    """Units of the action elements of `group`; none where `scale` makes them the policy's secret."""
    target = description.targets[group]
    if target.scale != 1.0 or target.kind == "pose":
        return ()
    if target.kind == "twist":
        units = tuple("m" if axis in ("x", "y", "z") else "rad" for axis in target.names)
        is_speed = target.meaning == "absolute"
    else:
        measured = description.measured[group].spec().units
        units = measured if len(measured) == len(target.names) else ()
        is_speed = target.meaning == "rate" or (
            target.kind == "joint_velocity" and target.meaning == "absolute"
        )
    return tuple(f"{unit}/s" for unit in units) if is_speed else units


def _by_topic(streams: Sequence[Stream]) -> dict[str, list[Stream]]:
    found: dict[str, list[Stream]] = {}
    for stream in streams:
        found.setdefault(stream.topic, []).append(stream)
    for topic, sharing in found.items():
        if len({stream.type for stream in sharing}) > 1:
            types = ", ".join(sorted({stream.type for stream in sharing}))
            raise RobotError(f"robot: {topic} is described with several types: {types}")
    return found


def _readings(streams: Mapping[str, Stream]) -> dict[str, Reading]:
    readings = ((name, stream.reading()) for name, stream in streams.items())
    return {name: reading for name, reading in readings if reading is not None}
