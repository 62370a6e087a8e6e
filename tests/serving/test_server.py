"""A policy server: right answers for all, and nobody who can hurt the others."""

import asyncio
import json
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from served_policy import OBS, Doubling, serving
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from imitate.errors import ConfigError, ServerError
from imitate.serving import server as module
from imitate.serving.access import AccessConfig
from imitate.serving.answering import Question
from imitate.serving.client import PolicyClient
from imitate.serving.server import PolicyServer, ServerConfig
from imitate.serving.wire import pack, unpack

TOKEN = "0123456789abcdef"


@pytest.fixture
def server() -> Iterator[PolicyServer]:
    with serving(Doubling()) as running:
        yield running


def url(server: PolicyServer) -> str:
    return f"ws://127.0.0.1:{server.port}"


@contextmanager
def raw(server: PolicyServer) -> Iterator[ClientConnection]:
    with connect(url(server), proxy=None) as connection:
        assert unpack(connection.recv())["protocol"] == 1
        yield connection


def works(server: PolicyServer) -> bool:
    with PolicyClient(url(server)) as client:
        return bool(np.array_equal(client.predict(OBS, seed=3), [[2, 2], [4, 4]]))


def question(number: int = 1, **obs: np.ndarray) -> bytes:
    return pack({"id": number, "obs": {**OBS, **obs}, "seed": 0})


def test_a_client_learns_the_spec_and_gets_answers(server: PolicyServer) -> None:
    with PolicyClient(url(server)) as client:
        assert client.spec == Doubling.spec
        assert (client.obs_steps, client.action_steps) == (2, 2)
        assert client.predict(OBS, seed=3).tolist() == [[2, 2], [4, 4]]
        assert not np.array_equal(client.predict(OBS), client.predict(OBS)), "noise is drawn anew"


@pytest.mark.parametrize(
    ("obs", "problem"),
    [
        ({}, "'x' is missing"),
        ({**OBS, "x": OBS["x"][:1]}, r"shape \(1, 2\)"),
        ({**OBS, "x": OBS["x"] * np.nan}, "not finite"),
        ({**OBS, "x": OBS["x"].astype(np.float64) * 1e300}, "not finite"),
        ({**OBS, "eye": OBS["eye"].astype(np.float32)}, "uint8"),
        ({**OBS, "x": 13 * OBS["x"]}, "thirteen is too much"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_next_question_answered(
    server: PolicyServer, obs: dict[str, np.ndarray], problem: str
) -> None:
    with PolicyClient(url(server)) as client:
        with pytest.raises(ServerError, match=problem):
            client.predict(obs)
        assert client.predict(OBS, seed=3).tolist() == [[2, 2], [4, 4]]


def test_questions_that_come_together_are_answered_together() -> None:
    policy = Doubling(seconds=0.05)
    with serving(policy, ServerConfig(port=0, batch=4)) as server:
        found: list[np.ndarray] = []

        def ask(number: int) -> None:
            with PolicyClient(url(server)) as client:
                found.append(client.predict({**OBS, "x": number * OBS["x"]}, seed=0) / max(number, 1))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(np.array_equal(each, [[2, 2], [1, 1]]) for each in found) and len(found) == 8
    assert max(policy.batches) <= 4 and len(policy.batches) < 8


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", "text", pack({"obs": {}}), pack({"id": "1"}), b"\x91" * 1000, b"\x00" * 10**7]
)
def test_nonsense_ends_its_own_connection_alone(server: PolicyServer, data: bytes | str) -> None:
    with raw(server) as bad, raw(server) as good:
        bad.send(data)
        with pytest.raises(ConnectionClosed) as closed:
            bad.recv(timeout=5)
        assert closed.value.rcvd is not None and closed.value.rcvd.code in (1003, 1009)
        good.send(question())
        assert "action" in unpack(good.recv(timeout=5))


def test_a_message_may_not_be_larger_than_a_question(server: PolicyServer) -> None:
    with raw(server) as client, pytest.raises(ConnectionClosed, match="1009"):
        client.send(pack({"id": 1, "obs": {"x": np.zeros(10**6)}}))
        client.recv(timeout=5)
    given_up_s = time.monotonic() + 5
    while server.metrics.turned_away["oversized"] != 1:
        assert time.monotonic() < given_up_s, "it was not counted"
        time.sleep(0.01)


def test_who_does_not_finish_the_handshake_is_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPENING_S", 0.5)
    with serving(Doubling()) as server:
        slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        try:
            for each in slow:
                each.sendall(b"GET / HTTP/1.1\r\n")
            assert works(server)
            slow[0].settimeout(5)
            # What is said to the slow one does not matter, only that it ends.
            while slow[0].recv(1000):
                pass
        finally:
            for each in slow:
                each.close()


def test_who_asks_and_never_reads_waits_alone() -> None:
    with serving(Doubling(0.001)) as server, raw(server) as greedy:
        data = question()

        def flood() -> None:
            try:
                for _ in range(20_000):
                    greedy.send(data)
            except ConnectionClosed:
                pass

        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        time.sleep(0.3)
        began = time.monotonic()
        assert all(works(server) for _ in range(5))
        assert time.monotonic() - began < 5
        greedy.socket.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_there_is_room_for_so_many(server: PolicyServer) -> None:
    with serving(Doubling(), ServerConfig(port=0, clients=1)) as small:
        first = PolicyClient(url(small))
        with pytest.raises(ServerError, match=r"503|too many"):
            PolicyClient(url(small), timeout_s=1)
        first.close()
        assert PolicyClient(url(small)).predict(OBS).shape == (2, 2)
        assert small.metrics.turned_away["full"] >= 1


def test_who_asks_nothing_for_long_is_let_go() -> None:
    with serving(Doubling(), ServerConfig(port=0, idle_s=0.2)) as server:
        with raw(server) as client, pytest.raises(ConnectionClosed, match="nothing was asked"):
            client.recv(timeout=5)
        with PolicyClient(url(server)) as patient:
            time.sleep(0.5)
            assert patient.predict(OBS, seed=3).tolist() == [[2, 2], [4, 4]]


def test_health_and_metrics(server: PolicyServer) -> None:
    works(server)
    address = f"http://127.0.0.1:{server.port}"
    with urllib.request.urlopen(f"{address}/health") as health:
        assert json.load(health) == {"status": "ok"}
    with urllib.request.urlopen(f"{address}/metrics") as metrics:
        lines = metrics.read().decode().splitlines()
    assert "imitate_answered_total 1" in lines
    assert 'imitate_answer_seconds_bucket{le="+Inf"} 1' in lines


def token_file(folder: Path, text: str = TOKEN, mode: int = 0o600) -> str:
    file = folder / "token"
    file.write_text(text + "\n")
    file.chmod(mode)
    return str(file)


def test_only_who_knows_the_token_comes_in(tmp_path: Path) -> None:
    config = ServerConfig(port=0, access=AccessConfig(token_file(tmp_path)))
    with serving(Doubling(), config) as server:
        assert PolicyClient(url(server), token=TOKEN).predict(OBS).shape == (2, 2)
        for wrong in (None, "", TOKEN[:-1], TOKEN + "0"):
            with pytest.raises(ServerError, match="the token is missing or wrong"):
                PolicyClient(url(server), token=wrong)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics")


def test_a_token_must_be_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="chmod 600"):
        AccessConfig(token_file(tmp_path, mode=0o644)).build("127.0.0.1")
    with pytest.raises(ConfigError, match="at least 16"):
        AccessConfig(token_file(tmp_path, "short")).build("127.0.0.1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "robot.example"])
def test_nobody_opens_it_to_all_by_accident(host: str) -> None:
    with pytest.raises(ConfigError, match=r"access\.token_file"):
        AccessConfig().build(host)


def test_an_address_in_use_is_said_in_one_line(server: PolicyServer) -> None:
    taken = ServerConfig(port=server.port)

    async def start() -> None:
        async with PolicyServer(Doubling(), taken):
            pass

    with pytest.raises(ServerError, match=f"port {server.port}"):
        asyncio.run(start())


@pytest.mark.parametrize(
    ("address", "problem"), [("ws://127.0.0.1:9", "imitate serve"), ("http://x", "ws://HOST")]
)
def test_a_server_that_is_not_there(address: str, problem: str) -> None:
    with pytest.raises(ServerError, match=problem):
        PolicyClient(address, timeout_s=0.3)


class GoingOn(Doubling):
    """Gives back what it is told is planned."""

    plan_steps = 2

    def answer(self, questions: Sequence[Question]) -> np.ndarray:
        return np.stack([np.nan_to_num(q.obs["plan"], nan=-1.0) for q in questions])


def test_what_is_planned_travels_along() -> None:
    with serving(GoingOn()) as server, PolicyClient(url(server)) as client:
        assert client.plan_steps == 2
        assert client.predict(OBS).tolist() == [[-1, -1]] * 2, "nothing is planned where nobody says so"
        plan = np.array([[1, 2], [np.nan, np.nan]], np.float32)
        assert client.predict({**OBS, "plan": plan}).tolist() == [[1, 2], [-1, -1]]
        for wrong in (plan[:1], np.zeros((2, 2), np.int64)):
            with pytest.raises(ServerError, match="plan is"):
                client.predict({**OBS, "plan": wrong})
