"""Facts about plans: what is due when, late chunks, overlaps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.strategy import Ensemble, RealTime, Receding, StrategyConfig
from imitate.errors import ConfigError


def chunk(made_at: int, steps: int, offset: float = 0.0) -> np.ndarray:
    """Every action says for which step it is."""
    return (made_at + np.arange(steps, dtype=np.float64) + offset)[:, None]


@given(steps=st.integers(1, 8), delay=st.integers(0, 6), length=st.integers(8, 12))
def test_every_strategy_executes_each_action_in_its_own_step_and_never_one_of_the_past(
    steps: int, delay: int, length: int
) -> None:
    for strategy in (Receding(steps), RealTime(steps, 2), Ensemble(0.1)):
        pending: tuple[int, int] | None = None
        for now in range(30):
            if pending and now >= pending[1]:
                strategy.take(pending[0], now, chunk(pending[0], length))
                pending = None
            if pending is None and strategy.wants(now, delay):
                pending = now, now + delay
                if delay == 0:
                    strategy.take(now, now, chunk(now, length))
                    pending = None
            action = strategy.action(now)
            if action is not None:
                assert action[0] == pytest.approx(now)


def test_receding_asks_in_time_for_the_delay() -> None:
    plan = Receding(4)
    assert plan.wants(0, 0)
    plan.take(0, 0, chunk(0, 8))
    assert [plan.wants(step, 0) for step in range(6)] == [False] * 4 + [True] * 2
    assert [plan.wants(step, 2) for step in range(4)] == [False, False, True, True]


def test_what_is_left_of_a_chunk_bridges_a_late_answer_and_then_nothing_is_planned() -> None:
    plan = Receding(4)
    plan.take(0, 0, chunk(0, 6))
    assert [plan.action(step) is not None for step in range(8)] == [True] * 6 + [False] * 2


def test_late_actions_are_dropped() -> None:
    plan = Receding(8)
    plan.take(0, 3, chunk(0, 8))
    assert plan.action(2) is None
    assert plan.action(3) == pytest.approx([3.0])


def test_realtime_joins_the_new_chunk_to_the_old_one() -> None:
    plan = RealTime(4, 3)
    plan.take(0, 0, np.zeros((12, 1)))
    plan.take(4, 5, np.ones((12, 1)))
    found = [float(plan.action(step)[0]) for step in range(5, 10)]  # type: ignore[index]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_ensemble_weighs_the_oldest_most() -> None:
    plan = Ensemble(np.log(2.0))
    plan.take(0, 0, np.zeros((4, 1)))
    plan.take(1, 1, np.ones((4, 1)))
    assert plan.action(1) == pytest.approx([1 / 3])
    assert plan.action(4) == pytest.approx([1.0])
    assert plan.action(5) is None


def test_mistakes_are_named() -> None:
    with pytest.raises(ConfigError, match=r"strategy.name is 'recede'.*'receding'"):
        StrategyConfig(name="recede")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="a chunk of the policy has 4"):
        StrategyConfig(action_steps=5).build(4)
