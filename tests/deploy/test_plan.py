"""Facts about the division of time."""

from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.plan import Schedule


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
