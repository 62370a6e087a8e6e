"""A robot on DDS in a process of its own: it knows ROS 2 messages from these classes alone.

    dds_arm.py DOMAIN RATE_HZ [STATES]

Publishes /joint_states at RATE_HZ with the joints a and b, a counting up from 0; after STATES of them, or
when stdin ends, it stops and prints one JSON line: what came on /commands, and how many ms after the state
whose count it repeats. Also there: /picture (Image), /robot_description (latched String), /numbers.
"""

import json
import sys
import threading
import time
from dataclasses import dataclass

import numpy as np
from cyclonedds.core import Policy, Qos
from cyclonedds.domain import Domain, DomainParticipant
from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import float64, int32, sequence, uint8, uint32
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration

LOOPBACK = (
    '<CycloneDDS><Domain><General><Interfaces><NetworkInterface name="lo"/></Interfaces>'
    "<AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>auto</ParticipantIndex>"
    '<Peers><Peer address="127.0.0.1"/></Peers></Discovery></Domain></CycloneDDS>'
)


@dataclass
class Time(IdlStruct, typename="builtin_interfaces::msg::dds_::Time_"):
    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs::msg::dds_::Header_"):
    stamp: Time
    frame_id: str


@dataclass
class JointState(IdlStruct, typename="sensor_msgs::msg::dds_::JointState_"):
    header: Header
    name: sequence[str]
    position: sequence[float64]
    velocity: sequence[float64]
    effort: sequence[float64]


@dataclass
class Dimension(IdlStruct, typename="std_msgs::msg::dds_::MultiArrayDimension_"):
    label: str
    size: uint32
    stride: uint32


@dataclass
class Layout(IdlStruct, typename="std_msgs::msg::dds_::MultiArrayLayout_"):
    dim: sequence[Dimension]
    data_offset: uint32


@dataclass
class Float64MultiArray(IdlStruct, typename="std_msgs::msg::dds_::Float64MultiArray_"):
    layout: Layout
    data: sequence[float64]


@dataclass
class String(IdlStruct, typename="std_msgs::msg::dds_::String_"):
    data: str


@dataclass
class Image(IdlStruct, typename="sensor_msgs::msg::dds_::Image_"):
    header: Header
    height: uint32
    width: uint32
    encoding: str
    is_bigendian: uint8
    step: uint32
    data: sequence[uint8]


def main() -> None:
    number, rate_hz, states = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    domain = Domain(number, LOOPBACK)
    participant = DomainParticipant(number)
    sensors = Qos(Policy.Reliability.BestEffort, Policy.History.KeepLast(5))
    latched = Qos(
        Policy.Reliability.Reliable(duration(seconds=1)),
        Policy.Durability.TransientLocal,
        Policy.History.KeepLast(1),
    )
    state = DataWriter(participant, Topic(participant, "rt/joint_states", JointState), qos=sensors)
    picture = DataWriter(participant, Topic(participant, "rt/picture", Image), qos=sensors)
    about = DataWriter(participant, Topic(participant, "rt/robot_description", String), qos=latched)
    commands = DataReader(
        participant,
        Topic(participant, "rt/commands", Float64MultiArray),
        qos=Qos(Policy.Reliability.Reliable(duration(seconds=1)), Policy.History.KeepLast(10)),
    )
    about.write(String("<robot/>"))
    image = np.random.default_rng(0).integers(0, 256, 24 * 32 * 3).tolist()
    sent_s: dict[int, float] = {}
    got: list[list[float]] = []
    delays_ms: list[float] = []
    over = threading.Event()

    def listen() -> None:
        while not over.is_set():
            for command in commands.take_iter(timeout=duration(milliseconds=100)):
                now = time.perf_counter()
                got.append(list(command.data))
                count = int(command.data[0])
                if count in sent_s:
                    delays_ms.append((now - sent_s[count]) * 1e3)

    listener = threading.Thread(target=listen)
    listener.start()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    while not commands.get_matched_publications() and not over.is_set():
        time.sleep(0.01)
    time.sleep(0.5)
    count, begin = 0, time.perf_counter()
    while not over.is_set() and count < states:
        header = Header(Time(count, 7), "base")
        sent_s[count] = time.perf_counter()
        state.write(JointState(header, ["b", "a"], [0.5, float(count)], [], []))
        if count % 10 == 0:
            picture.write(Image(header, 24, 32, "rgb8", 0, 96, image))
        count += 1
        time.sleep(max(0.0, begin + count / rate_hz - time.perf_counter()))
    time.sleep(0.3)
    over.set()
    listener.join()
    sys.stdout.write(json.dumps({"states": count, "commands": got, "delays_ms": delays_ms}) + "\n")
    del domain


if __name__ == "__main__":
    main()
