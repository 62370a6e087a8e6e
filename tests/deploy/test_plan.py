"""Facts about the division of time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.inference import Chunk
from imitate.deploy.late_deltas import Deltas
from imitate.deploy.plan import Plan, Schedule
from imitate.deploy.strategy import Ensemble


def test_an_action_is_in_force_from_its_lag_for_one_period() -> None:
    schedule = Schedule(start_s=100.0, period_s=0.1, lag_s=0.05)
    assert [schedule.seen(100.0 + t) for t in (0.0, 0.09, 0.1, 0.25)] == [0, 0, 1, 2]
    assert [schedule.due(100.0 + t) for t in (0.0, 0.04, 0.05, 0.14, 0.15)] == [-1, -1, 0, 0, 1]
    assert abs(schedule.ends_s(0) - 100.15) < 1e-9


@given(st.floats(0, 2), st.floats(0.01, 0.5), st.floats(0, 1))
def test_an_answer_asked_for_with_the_lead_is_there_when_its_step_begins(
    latency_s: float, period_s: float, share: float
) -> None:
    schedule = Schedule(0.0, period_s, share * period_s)
    lead = schedule.lead(latency_s)
    begins_s = schedule.ends_s(7 + lead) - period_s
    assert schedule.observed_s(7) + latency_s <= begins_s + 1e-5
    assert lead == 0 or schedule.observed_s(7) + latency_s > begins_s - period_s - 1e-5


@given(st.integers(0, 1000), st.floats(0.01, 0.5))
def test_the_beginning_of_a_step_belongs_to_it(step: int, period_s: float) -> None:
    schedule = Schedule(3.7, period_s, 0.0)
    assert schedule.seen(schedule.observed_s(step)) == step
    assert schedule.due(schedule.ends_s(step)) == step + 1


class Counting(Ensemble):
    asked = 0

    def action(self, step: int) -> np.ndarray | None:
        self.asked += 1
        return super().action(step)


def test_a_plan_is_made_once_per_step_and_anew_with_every_chunk() -> None:
    strategy = Counting(decay=0.01)
    plan = Plan(lambda: strategy, Deltas(np.array([False]), np.zeros(1), np.ones(1)))
    plan.take(Chunk(0, np.array([[0.0], [1.0], [2.0]]), 0.0), 0)
    first = [plan.actions(1, 3) for _ in range(10)]
    assert [value.item() for value in first[0]] == [1.0, 2.0]
    assert strategy.asked == 3  # the third is not there
    assert all(found is first[0] for found in first)
    plan.take(Chunk(1, np.array([[5.0], [5.0], [5.0]]), 0.0), 1)
    assert [round(value.item()) for value in plan.actions(1, 3)] == [3, 3, 5]
    plan.forget(2)
    assert plan.actions(2, 3) != first[0]
