"""The live line of a session: what it says, what it costs, and that nothing is left of it."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.live import REFRESH_S, Live, standing
from imitate.deploy.safety.state_machine import State
from imitate.deploy.timings import KEPT, Timings


class Session:
    """What is looked at."""

    def __init__(self) -> None:
        from imitate.deploy.safety.state_machine import Supervisor

        self.supervisor, self.timings, self.who = Supervisor(), Timings(), "policy"

    def counts(self) -> dict[str, int]:
        return {"velocity": 2, "jump": 1}


class Shown:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.amount = 0.0

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.amount += amount
        self.notes.append(note)


def full(count: int = KEPT) -> Timings:
    timings = Timings()
    for index in range(count):
        timings.tick(0.02 if index % 10 == 0 else 0.0, 0.001, 0.01)
    timings.latency_s.extend([0.010, 0.030, 0.020])
    timings.age_s.append(0.004)
    return timings


def test_it_says_how_the_session_stands() -> None:
    text = standing(State.RUNNING, "person", full(50), 7)
    assert text == "running (person)  gate 7  late 5/50  latency 20 ms, median 20  age 4 ms"
    assert standing(State.FAULT, "policy", Timings(), 0) == "FAULT  gate 0"


def test_it_is_shown_a_few_times_a_second_and_its_thread_ends() -> None:
    session, shown, before = Session(), Shown(), threading.active_count()
    with Live(session, shown, lambda: "success 1/2", lambda: ""):  # type: ignore[arg-type]
        time.sleep(2.6 * REFRESH_S)
    assert threading.active_count() == before
    assert 1 <= len(shown.notes) <= 3 and shown.amount == 0
    assert shown.notes[-1] == "success 1/2  DISCONNECTED  gate 3"


def test_trouble_with_the_recording_comes_first() -> None:
    live = Live(Session(), Shown(), lambda: "success 0/1", lambda: "the disk is full")  # type: ignore[arg-type]
    assert live.line().startswith("the disk is full  success 0/1")


def test_a_look_costs_less_than_a_tenth_of_a_millisecond() -> None:
    timings = full()
    costs = []
    for _ in range(200):
        begun = time.perf_counter()
        standing(State.RUNNING, "policy", timings, 5)
        costs.append(time.perf_counter() - begun)
    # The best of many: other work on the machine is not its cost.
    assert min(costs) < 1e-4


def test_looking_while_times_come_never_fails() -> None:
    timings, stop, failed = Timings(), threading.Event(), []

    def add() -> None:
        while not stop.is_set():
            timings.tick(0.0, 0.0, 0.01)
            timings.latency_s.append(0.01)
            timings.age_s.append(0.01)

    adding = threading.Thread(target=add, daemon=True)
    adding.start()
    try:
        for _ in range(2000):
            standing(State.RUNNING, "policy", timings, 0)
    except RuntimeError as error:
        failed.append(error)
    finally:
        stop.set()
        adding.join(timeout=5.0)
    assert not failed


@given(st.lists(st.lists(st.floats(0, 10), max_size=20), max_size=10))
def test_every_time_is_recorded_once(reports: list[list[float]]) -> None:
    timings, told = Timings(), []
    for values in reports:
        for value in values:
            timings.latency_s.append(value)
        told += timings.take_fresh()["latency_ms"]
    assert told == pytest.approx([1000 * value for values in reports for value in values], abs=1e-3)
