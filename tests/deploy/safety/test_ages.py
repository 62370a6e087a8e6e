"""What may still be acted on."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.deploy.robot import Reading, Snapshot
from imitate.deploy.safety.ages import AgeGate, EmergencyStop, Freshness, is_stale
from imitate.errors import ConfigError


def seen(arrived_s: float, valid: bool = True) -> Reading:
    return Reading(np.zeros(2), arrived_s, valid=valid)


def snapshot(camera: Reading | None, arm: Reading | None) -> Snapshot:
    return Snapshot({"camera": camera} if camera else {}, {"arm": arm} if arm else {})


def gate() -> AgeGate:
    return AgeGate({"observations.camera": 0.2, "measured.arm": None}, period_s=0.01)


def test_fresh_streams_may_be_acted_on() -> None:
    assert gate().check(snapshot(seen(9.9), seen(9.99)), 10.0) == Freshness()


def test_each_stream_has_its_own_age_and_three_periods_by_default() -> None:
    assert gate().check(snapshot(seen(9.9), seen(9.96)), 10.0).stale == ("measured.arm",)
    assert gate().check(snapshot(seen(9.7), seen(9.98)), 10.0).stale == ("observations.camera",)


@pytest.mark.parametrize("camera", [None, seen(10.0, False), seen(11.0), seen(math.nan), seen(math.inf)])
def test_what_never_came_or_is_invalid_is_stale(camera) -> None:
    assert gate().check(snapshot(camera, seen(10.0)), 10.0).stale == ("observations.camera",)


def test_the_clock_must_not_go_back_jump_or_be_no_number() -> None:
    ages = AgeGate({}, 0.01)
    assert ages.check(Snapshot(), 10.0).fault is None
    assert "went back" in str(ages.check(Snapshot(), 9.0).fault)
    assert ages.check(Snapshot(), 9.1).fault is None
    assert "jumped" in str(ages.check(Snapshot(), 90.0).fault)
    assert "nan" in str(ages.check(Snapshot(), math.nan).fault)
    assert ages.check(Snapshot(), 90.1) == Freshness()


@pytest.mark.parametrize("ages", [{"camera": 1.0}, {"observations.": 1.0}, {"measured.arm": 0.0}])
def test_settings_are_checked(ages) -> None:
    with pytest.raises(ConfigError, match="maximum age"):
        AgeGate(ages, 0.01)


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(0.001, 10))
def test_only_a_reading_of_the_last_moments_is_fresh(age: float, most: float) -> None:
    assert is_stale(seen(100.0 - age), 100.0, most) or abs(age) <= most * (1 + 1e-9) + 1e-9


def pressed(value: bool, arrived_s: float, **settings) -> str | None:
    state = Snapshot(stop=Reading(np.array([value]), arrived_s))
    return EmergencyStop(**settings).pressed(state, 10.0)


def test_a_pressed_stop_counts_however_old_it_is() -> None:
    assert "is pressed" in str(pressed(True, 1.0))
    assert pressed(False, 1.0) is None


def test_a_silent_stop_counts_where_it_is_required() -> None:
    assert EmergencyStop().pressed(Snapshot(), 10.0) is None
    assert "silent" in str(EmergencyStop(required=True).pressed(Snapshot(), 10.0))
    assert "silent" in str(pressed(False, 8.0, required=True))
    assert pressed(False, 9.5, required=True) is None
