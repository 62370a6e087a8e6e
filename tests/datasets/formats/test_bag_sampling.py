"""Facts of sampling: causal, exact where it must be, and never a value where there is none."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.bags.latency import motion_lag
from imitate.datasets.bags.sampling import covered, default_age_ns, intersection, pick, steps_in
from imitate.datasets.bags.streams import NS, Stream
from imitate.datasets.bags.values import slerp, values_at

TIMES = st.lists(st.integers(0, 10_000), min_size=1, max_size=30).map(sorted)
FLAGS = st.lists(st.booleans(), min_size=30, max_size=30)
AGES = st.integers(1, 3_000)


def stream(times: list[int], flags: list[bool] | None = None, values: np.ndarray | None = None) -> Stream:
    at = np.array(times, np.int64)
    valid = np.array((flags or [True] * len(times))[: len(times)], bool)
    numbers = at[:, None].astype(float) if values is None else values
    return Stream(at, at, valid, numbers, np.arange(len(at)))


def inside(intervals: np.ndarray) -> np.ndarray:
    """Every whole ns that the intervals hold."""
    return np.concatenate([np.arange(a, b + 1) for a, b in intervals] or [np.zeros(0, np.int64)])


@given(TIMES, FLAGS, AGES, st.sampled_from(["previous", "next", "nearest", "linear"]))
def test_coverage_is_exactly_where_there_is_a_value(
    times: list[int], flags: list[bool], age: int, sample: str
) -> None:
    found = stream(times, flags)
    intervals = covered(found, sample, age)
    assert (intervals[:, 0] <= intervals[:, 1]).all()
    assert (intervals[1:, 0] > intervals[:-1, 1]).all()
    every = np.arange(-3_500, 14_000, 7)
    is_inside = np.isin(every, inside(intervals))
    np.testing.assert_array_equal(is_inside, [has_value(found, sample, age, int(t)) for t in every])


def has_value(found: Stream, sample: str, age: int, time: int) -> bool:
    """The definition, message by message."""
    times, valid = found.times_ns.tolist(), found.valid.tolist()
    if sample == "previous":
        before = [index for index, t in enumerate(times) if t <= time]
        return bool(before) and valid[before[-1]] and time - times[before[-1]] <= age
    if sample in ("next", "nearest"):
        reach = (0, age) if sample == "next" else (-age, age)
        return any(ok and reach[0] <= t - time <= reach[1] for t, ok in zip(times, valid, strict=True))
    pairs = zip(range(len(times)), range(1, len(times)), strict=False)
    between = any(
        valid[a] and valid[b] and times[a] <= time <= times[b] and times[b] - times[a] <= age
        for a, b in pairs
    )
    return between or any(ok and t == time for t, ok in zip(times, valid, strict=True))


@given(TIMES, FLAGS, AGES, st.integers(1, 40))
def test_no_observation_ever_comes_from_after_its_step(
    times: list[int], flags: list[bool], age: int, step: int
) -> None:
    found = stream(times, flags)
    for start, stop in covered(found, "previous", age):
        steps = np.arange(start, stop + 1, step)
        number = pick(found, "previous", steps)[0]
        taken = found.times_ns[number]
        assert (taken <= steps).all()
        assert (steps - taken <= age).all()
        assert found.valid[number].all()
        following = np.append(found.times_ns, np.iinfo(np.int64).max)[number + 1]
        assert (following > steps).all(), "the newest there is"


@given(TIMES, FLAGS, AGES, st.sampled_from(["next", "nearest"]))
def test_next_and_nearest_are_what_they_say(
    times: list[int], flags: list[bool], age: int, sample: str
) -> None:
    found = stream(times, flags)
    usable = found.times_ns[found.valid]
    for start, stop in covered(found, sample, age):
        steps = np.arange(start, stop + 1, 13)
        taken = found.times_ns[pick(found, sample, steps)[0]]
        for step, time in zip(steps, taken, strict=True):
            wanted = (
                usable[usable >= step].min() if sample == "next" else usable[np.argmin(abs(usable - step))]
            )
            assert abs(time - step) == abs(wanted - step)
            assert sample == "nearest" or time >= step


@given(
    st.lists(st.integers(0, 10_000), min_size=2, max_size=30, unique=True).map(sorted),
    st.floats(-5, 5),
    st.floats(-5, 5),
)
def test_a_straight_line_is_exact(times: list[int], slope: float, start: float) -> None:
    values = start + slope * np.array(times, float)[:, None]
    found = stream(times, values=values)
    steps = np.arange(times[0], times[-1] + 1, 11)
    got = values_at(found, "linear", steps, (), None)[:, 0]
    np.testing.assert_allclose(got, start + slope * steps, rtol=1e-9, atol=1e-6)


def test_angles_go_the_short_way_round() -> None:
    found = stream([0, 100], values=np.array([[3.0, 6.2], [-3.0, 0.1]]))
    middle = values_at(found, "linear", np.array([50]), (0, 1), None)[0]
    assert abs(abs(middle[0]) - np.pi) < 1e-9
    assert middle[1] == pytest.approx((6.2 + 0.1 + 2 * np.pi) / 2 % (2 * np.pi))


def test_slerp_turns_evenly_and_takes_the_short_way() -> None:
    angles = np.linspace(0, 1.2, 7)
    start, stop = quaternion(0.0), quaternion(1.2)
    fraction = angles / 1.2
    for end in (stop, -stop):
        got = slerp(np.tile(start, (7, 1)), np.tile(end, (7, 1)), fraction)
        np.testing.assert_allclose(got, [quaternion(angle) for angle in angles], atol=1e-12)


def quaternion(angle: float) -> np.ndarray:
    """x, y, z, w of a turn about z."""
    return np.array([0.0, 0.0, np.sin(angle / 2), np.cos(angle / 2)])


@given(TIMES, TIMES, AGES)
def test_intersection_is_in_both(first: list[int], second: list[int], age: int) -> None:
    a, b = covered(stream(first), "previous", age), covered(stream(second), "nearest", age)
    np.testing.assert_array_equal(inside(intersection(a, b)), np.intersect1d(inside(a), inside(b)))


@settings(max_examples=50)
@given(st.integers(0, 2**61), st.integers(0, 100 * NS), st.floats(0.1, 1000))
def test_steps_are_even_and_end_in_time(start: int, length: int, rate: float) -> None:
    length = min(length, int(500 * NS / rate))
    steps = steps_in(start, start + length, rate)
    assert steps[0] == start and steps[-1] <= start + length
    assert start + length - steps[-1] <= NS / rate + 1
    assert np.abs(np.diff(steps) - NS / rate).max(initial=0) <= 1


def test_a_silence_ends_what_is_covered() -> None:
    found = stream([0, 100, 200, 900, 1000])
    np.testing.assert_array_equal(covered(found, "previous", 10_000, gap_ns=500), [[0, 200], [900, 11_000]])


def test_the_usual_age_follows_the_slower_of_topic_and_steps() -> None:
    found = stream(list(range(0, 10 * NS, NS // 5)))
    assert default_age_ns(found, NS / 50) == 3 * NS // 5
    assert default_age_ns(found, NS / 2) == 3 * NS // 2
    assert default_age_ns(stream([0, 3600 * NS]), NS / 10) == 10 * NS


@given(st.integers(-20, 20))
@settings(max_examples=20, deadline=None)
def test_lags_are_found(lag: int) -> None:
    path = np.cumsum(np.random.default_rng(abs(lag)).normal(size=(400, 2)), axis=0)
    done, seen = path[50:350], path[50 - lag : 350 - lag]
    found = motion_lag([seen], [done], 20.0)
    assert found is not None
    assert found[0] == pytest.approx(lag / 20.0, abs=0.01)


def test_what_does_not_move_together_has_no_lag() -> None:
    rng = np.random.default_rng(0)
    assert motion_lag([rng.normal(size=(200, 2))], [rng.normal(size=(200, 2))], 20.0) is None
    assert all(
        motion_lag([rng.normal(size=(12, 1))], [rng.normal(size=(12, 1))], 20.0) is None for _ in range(20)
    )
    assert motion_lag([np.ones((200, 2))], [np.ones((200, 2))], 20.0) is None
