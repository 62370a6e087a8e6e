"""When the policy looks: not between two parts of what came together."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.inference import Chunk
from imitate.deploy.late_deltas import Deltas
from imitate.deploy.observer import AFTER_NEWS, Observer
from imitate.deploy.plan import Plan, Schedule
from imitate.deploy.robot import Reading, Snapshot
from imitate.deploy.safety.state_machine import State
from imitate.deploy.strategy import Receding
from imitate.spec import ArraySpec, DataSpec

PERIOD_S = 0.1
SPEC = DataSpec({"arm": ArraySpec((1,)), "cube": ArraySpec((1,))}, ArraySpec((1,)), 1 / PERIOD_S)


class Streams:
    """An observer of two streams, whose last arrivals are set by hand."""

    def __init__(self) -> None:
        self.arrived_s: dict[str, float] = {}
        unfit = SimpleNamespace(stale=("nothing is acted on",), fault=None)
        self.supervisor = SimpleNamespace(state=State.RUNNING)
        guard: Any = SimpleNamespace(
            seeing=SimpleNamespace(check=lambda *_: unfit), supervisor=self.supervisor
        )
        journal: Any = SimpleNamespace(observation=lambda *_: None)
        nothing: Any = None
        robot: Any = SimpleNamespace(read=self.read)
        predictor: Any = SimpleNamespace(spec=SPEC)
        self.observer = Observer(robot, predictor, guard, nothing, nothing, journal, nothing)

    def read(self) -> Snapshot:
        return Snapshot({key: Reading(np.zeros(1), at) for key, at in self.arrived_s.items()}, {})

    def came(self, **arrived_s: float) -> None:
        self.arrived_s |= arrived_s

    def observe(self, now_s: float) -> None:
        self.observer.observe(now_s, Schedule(0.0, PERIOD_S, 0.0))

    def is_whole(self, now_s: float) -> bool:
        return self.observer.is_whole(now_s, PERIOD_S)


def steady(arm_s: float = 0.1, cube_s: float = 0.1) -> Streams:
    """Both have come at these intervals until just before 10 s."""
    streams = Streams()
    for back in (2, 1, 0):
        streams.came(arm=9.999 - back * arm_s, cube=9.999 - back * cube_s)
        streams.observe(10.0)
    return streams


def test_half_of_what_comes_together_is_not_looked_at() -> None:
    streams = steady()
    assert streams.is_whole(10.0)
    streams.came(arm=10.099)
    assert not streams.is_whole(10.1)
    streams.came(cube=10.101)
    assert streams.is_whole(10.102)


def test_a_stream_that_comes_rarely_is_not_waited_for() -> None:
    streams = steady(cube_s=1.0)
    streams.came(arm=10.099)
    assert streams.is_whole(10.1)


def test_what_is_long_overdue_is_not_waited_for() -> None:
    streams = steady()
    streams.came(arm=10.099)
    assert not streams.is_whole(10.11)
    assert streams.is_whole(10.13)


def test_fast_streams_are_always_whole() -> None:
    streams = steady(arm_s=0.01, cube_s=0.01)
    streams.came(arm=10.009)
    assert streams.is_whole(10.01)


def test_a_camera_between_two_of_its_pictures_is_not_waited_for() -> None:
    streams = steady(arm_s=0.01)
    streams.came(arm=10.059)
    assert streams.is_whole(10.06)
    streams.came(arm=10.089)
    assert not streams.is_whole(10.09)


def test_before_anything_is_known_nothing_is_waited_for() -> None:
    streams = Streams()
    assert streams.is_whole(10.0)
    streams.came(arm=9.9, cube=9.7)
    assert streams.is_whole(10.0)


def looked_at(streams: Streams, comes: dict[str, tuple[float, float]], steps: int) -> list[float]:
    """Looks of a policy at streams {name: (first, interval)} in s: the age in s of `cube` at each."""
    schedule, ages = Schedule(0.0, PERIOD_S, 0.0), []

    def newest(now_s: float) -> dict[str, float]:
        return {k: first + np.floor((now_s - first) / every) * every for k, (first, every) in comes.items()}

    for step in range(steps):
        streams.came(**newest(schedule.halfway_s(step)))
        streams.observer.glance()
        now_s = schedule.observed_s(step)
        streams.came(**newest(now_s))
        streams.observe(now_s)
        ages.append(now_s - streams.arrived_s["cube"])
        schedule = schedule.earlier(streams.observer.late_s(PERIOD_S))
    return ages


@given(st.floats(-1.0, -0.9), st.floats(0.985, 1.015))
def test_looks_follow_what_comes_once_per_period(first_s: float, slower: float) -> None:
    ages = looked_at(Streams(), {"cube": (first_s, PERIOD_S * slower), "arm": (-1.0, 0.01)}, 60)
    assert ages[-20:] == pytest.approx([AFTER_NEWS * PERIOD_S] * 20, abs=0.003)


def test_steps_change_their_length_by_little_while_the_robot_moves() -> None:
    ages = looked_at(Streams(), {"cube": (-1.08, PERIOD_S), "arm": (-1.08, PERIOD_S)}, 30)
    assert ages[1] == pytest.approx(0.08)
    moved = (np.diff(ages[1:]) + PERIOD_S / 2) % PERIOD_S - PERIOD_S / 2
    assert np.abs(moved).max() == pytest.approx(0.003)
    assert ages[-1] == pytest.approx(AFTER_NEWS * PERIOD_S)


def test_while_nothing_moves_the_next_look_is_right() -> None:
    streams = Streams()
    streams.supervisor.state = State.HOLD
    ages = looked_at(streams, {"cube": (-1.06, PERIOD_S), "arm": (-1.06, PERIOD_S)}, 4)
    assert ages[2:] == pytest.approx([AFTER_NEWS * PERIOD_S] * 2)


def test_streams_that_come_often_do_not_move_the_looks() -> None:
    streams = Streams()
    looked_at(streams, {"cube": (-1.0, 0.013), "arm": (-1.0, 0.01)}, 5)
    assert streams.observer.late_s(PERIOD_S) == 0


def test_a_stream_that_stopped_does_not_move_the_looks() -> None:
    streams = Streams()
    looked_at(streams, {"cube": (-1.0, 50.0), "arm": (-1.0, 60.0)}, 5)
    assert streams.observer.late_s(PERIOD_S) == 0


class Asked:
    """An inference that keeps what it is asked."""

    def __init__(self) -> None:
        self.questions: list[dict[str, np.ndarray]] = []

    def is_idle(self) -> bool:
        return True

    def ask(self, step: int, obs: dict[str, np.ndarray], now_s: float) -> None:
        self.questions.append(obs)


@pytest.mark.parametrize("plan_steps", [0, 4])
def test_a_policy_that_goes_on_is_told_what_the_arm_is_about_to_do(plan_steps: int) -> None:
    """A chunk of steps 2 to 5 is known when step 3 is seen: 3, 4 and 5 are ahead."""
    plan, asked = Plan(lambda: Receding(2), Deltas(np.array([False]), np.zeros(1), np.ones(1))), Asked()
    plan.take(Chunk(2, np.arange(4.0)[:, None], 0.0), 2)
    robot: Any = SimpleNamespace(
        read=lambda: Snapshot({key: Reading(np.zeros(1), 0.29) for key in SPEC.obs}, {})
    )
    fresh = SimpleNamespace(stale=(), fault=None)
    guard: Any = SimpleNamespace(
        seeing=SimpleNamespace(check=lambda *_: fresh),
        judge=lambda *_: None,
    )
    predictor: Any = SimpleNamespace(spec=SPEC, obs_steps=2, plan_steps=plan_steps)
    journal: Any = SimpleNamespace(observation=lambda *_: None)
    timings: Any = SimpleNamespace(age_s=[], recent_latency_s=lambda: 0.2)
    observer = Observer(robot, predictor, guard, asked, plan, journal, timings)  # type: ignore[arg-type]
    observer.observe(0.3, Schedule(0.0, PERIOD_S, 0.0))
    (question,) = asked.questions
    if not plan_steps:
        assert question.keys() == SPEC.obs.keys()
    else:
        assert question["plan"][:3, 0].tolist() == [1.0, 2.0, 3.0] and np.isnan(question["plan"][3]).all()
