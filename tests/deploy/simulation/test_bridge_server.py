"""The small bridge server in the words of the protocol, spoken to by a bare WebSocket."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import cbor2
import numpy as np
import pytest
from bridged_arm import wait_until
from websockets.sync.client import connect

from imitate.deploy import messages
from imitate.deploy.simulation.bridge_server import BridgeServer
from imitate.deploy.simulation.watchdog import LONGEST_GAP_S, Watchdog
from imitate.deploy.transport import Topic
from imitate.errors import RobotError

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=[1, 2])
def server(request: pytest.FixtureRequest) -> Iterator[BridgeServer]:
    made = BridgeServer(ros=request.param)
    made.start()
    yield made
    made.close()


@pytest.fixture
def client(server: BridgeServer) -> Iterator[Any]:
    with connect(f"ws://127.0.0.1:{server.port}", close_timeout=0.2, proxy=None) as websocket:
        yield websocket


def say(client: Any, **operation: Any) -> None:
    client.send(json.dumps(operation))


def heard_of_repeated(listener: Any, speaker: Any, **operation: Any) -> dict[str, Any]:
    """What `listener` hears first while `speaker` repeats itself: a busy server drops what may be old."""
    for _ in range(50):
        say(speaker, **operation)
        with suppress(TimeoutError):
            heard: dict[str, Any] = json.loads(listener.recv(timeout=0.2))
            return heard
    raise AssertionError("nothing was heard in ten seconds")


def ask(client: Any, service: str, **args: Any) -> dict[str, Any]:
    say(client, op="call_service", id="1", service=service, args=args)
    answer = json.loads(client.recv(timeout=5))
    assert answer["op"] == "service_response" and answer["id"] == "1" and answer["service"] == service
    return answer


def test_two_clients_meet_on_a_topic(server: BridgeServer, client: Any) -> None:
    kind = "std_msgs/Float64MultiArray" if server.dialect.ros == 1 else "std_msgs/msg/Float64MultiArray"
    say(client, op="subscribe", topic="/t", type=kind)
    wait_until(lambda: server.graph.type_of("/t") == messages.VALUES)
    with connect(f"ws://127.0.0.1:{server.port}", close_timeout=0.2, proxy=None) as other:
        say(other, op="advertise", topic="/t", type=kind)
        heard = heard_of_repeated(client, other, op="publish", topic="/t", msg={"data": [1.0, 2.5]})
    assert heard == {"op": "publish", "topic": "/t", "msg": {"data": [1.0, 2.5]}}
    wait_until(lambda: server.graph.nodes("/t", True) == [])


def test_whom_the_graph_shows_as_a_subscriber_is_served(
    server: BridgeServer, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = server.graph.join

    def join_and_publish(topic: Topic, node: str, publishes: bool) -> bool:
        is_joined = join(topic, node, publishes)
        server.publish(topic.name, {"data": "at once"})
        return is_joined

    monkeypatch.setattr(server.graph, "join", join_and_publish)
    say(client, op="subscribe", topic="/t", type=server.dialect.type_name(messages.STRING))
    assert json.loads(client.recv(timeout=5))["msg"] == {"data": "at once"}


def test_json_has_null_for_nan_and_base64_for_bytes_and_cbor_has_neither(
    server: BridgeServer, client: Any
) -> None:
    server.advertise(Topic("/v", messages.VALUES), "/robot")
    server.advertise(Topic("/c", messages.COMPRESSED_IMAGE), "/robot")
    say(client, op="subscribe", topic="/v")
    wait_until(lambda: bool(server.graph.nodes("/v", False)))
    server.publish("/v", messages.float_values([1.0, np.nan]))
    assert json.loads(client.recv(timeout=5))["msg"]["data"] == [1.0, None]
    say(client, op="subscribe", topic="/c", compression="cbor")
    say(client, op="subscribe", topic="/v", compression="cbor")
    wait_until(lambda: bool(server.graph.nodes("/c", False)))
    time.sleep(0.1)
    server.publish("/c", {"header": messages.header(2.0), "format": "jpeg", "data": b"\xff\xd8"})
    heard = cbor2.loads(client.recv(timeout=5))
    assert heard["msg"]["data"] == b"\xff\xd8"
    spelt = {"secs": 2, "nsecs": 0} if server.dialect.ros == 1 else {"sec": 2, "nanosec": 0}
    assert heard["msg"]["header"]["stamp"] == spelt
    server.publish("/v", messages.float_values([1.0, np.nan]))
    tagged = cbor2.loads(client.recv(timeout=5))["msg"]["data"]
    assert tagged.tag == 86
    np.testing.assert_array_equal(np.frombuffer(tagged.value, "<f8"), [1.0, np.nan])


def test_a_throttle_is_a_minimum_gap(server: BridgeServer, client: Any) -> None:
    server.advertise(Topic("/v", messages.VALUES), "/robot")
    say(client, op="subscribe", topic="/v", throttle_rate=100)
    wait_until(lambda: bool(server.graph.nodes("/v", False)))
    for _ in range(50):
        server.publish("/v", messages.float_values([time.monotonic()]))
        time.sleep(0.01)
    times = []
    with pytest.raises(TimeoutError):
        while True:
            times.append(json.loads(client.recv(timeout=0.3))["msg"]["data"][0])
    assert 2 <= len(times) <= 7
    assert min(np.diff(times)) > 0.09


def test_rosapi_lists_topics_and_nodes(server: BridgeServer, client: Any) -> None:
    server.advertise(Topic("/v", messages.VALUES), "/robot")
    listed = ask(client, "/rosapi/topics")["values"]
    kind = server.dialect.type_name(messages.VALUES)
    assert dict(zip(listed["topics"], listed["types"], strict=True)) == {"/v": kind}
    assert ask(client, "/rosapi/topic_type", topic="/v")["values"] == {"type": kind}
    assert ask(client, "/rosapi/publishers", topic="/v")["values"] == {"publishers": ["/robot"]}
    assert ask(client, "/rosapi/subscribers", topic="/v")["values"] == {"subscribers": []}
    assert not ask(client, "/nothing")["result"]


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", '{"op": "fly"}', '{"op": "publish"}', '{"op": "publish", "topic": "/v"}', '{"op": 3}'],
)
def test_nonsense_is_passed_over_without_a_word(server: BridgeServer, client: Any, text: str) -> None:
    server.advertise(Topic("/v", messages.VALUES), "/robot")
    client.send(text)
    assert ask(client, "/rosapi/topics")["result"]


def test_a_type_that_differs_is_not_joined(server: BridgeServer, client: Any) -> None:
    server.advertise(Topic("/v", messages.VALUES), "/robot")
    say(client, op="advertise", topic="/v", type=server.dialect.type_name(messages.TWIST))
    ask(client, "/rosapi/topics")
    assert server.graph.nodes("/v", True) == ["/robot"]


def test_a_port_that_is_taken_is_told_in_one_line(server: BridgeServer) -> None:
    with pytest.raises(RobotError, match=f"cannot listen at 127.0.0.1:{server.port}"):
        BridgeServer(port=server.port)


def test_a_watchdog_trusts_nothing_right_after_a_gap() -> None:
    dog = Watchdog()
    dog.start()
    try:
        time.sleep(0.05)
        assert dog.trusts(time.monotonic())
        assert not dog.trusts(time.monotonic() + 2 * LONGEST_GAP_S)
        dog._beat_s -= 1.0  # as if this process had been stopped for a second
        time.sleep(0.06)
        assert not dog.trusts(time.monotonic())
        wait_until(lambda: dog.trusts(time.monotonic()), 1.0)
    finally:
        dog.close()
