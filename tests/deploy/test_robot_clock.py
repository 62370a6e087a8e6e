"""The robot's clock is guessed low, so that no command ever seems younger than it is."""

import time

from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.robot_clock import WINDOW_S, RobotClock


@given(st.floats(-1e6, 1e6), st.lists(st.floats(0.0, 0.5), min_size=1, max_size=50))
def test_the_guess_is_late_by_the_shortest_delay(ahead_s: float, delays: list[float]) -> None:
    clock = RobotClock()
    for number, delay_s in enumerate(delays):
        arrived_s = 2e6 + number * WINDOW_S / 50
        clock.observe(arrived_s - delay_s + ahead_s, arrived_s)
    truth = 2e6 + 5.0 + ahead_s
    assert abs(truth - clock.time_s(2e6 + 5.0) - min(delays)) < 1e-6


def test_old_stamps_are_forgotten() -> None:
    clock = RobotClock()
    clock.observe(150.0, 100.0)
    clock.observe(110.0, 100.0 + 2 * WINDOW_S)
    assert clock.time_s(104.0) == 110.0


def test_without_stamps_it_is_the_wall_clock() -> None:
    clock = RobotClock()
    clock.observe(None, 3.0)
    assert abs(clock.time_s(3.0) - time.time()) < 1.0
