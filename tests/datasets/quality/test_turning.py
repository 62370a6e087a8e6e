"""Ways whose turns are known: straight and bent ones, alone and beside numbers that hide them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.turning import FLOOR, turning

STEPS = 40


def frames(ways: list[np.ndarray], is_motion: bool = True) -> Frames:
    """Episodes that go the `ways`, each (T, D) of motions; the action says the motion, or where it leads."""
    places = [np.concatenate([np.zeros((1, way.shape[1])), np.cumsum(way, axis=0)]) for way in ways]
    states = [place[:-1] for place in places]
    return Frames.of(states, ways if is_motion else [place[1:] for place in places])


def bent(angle: float, by: float = 0.0, steps: int = STEPS) -> np.ndarray:
    """Motions of length 1 that begin in the direction `angle` and turn by `by` altogether, (steps, 2)."""
    angles = angle + np.linspace(0.0, by, steps)
    return np.column_stack([np.cos(angles), np.sin(angles)])


def straight(count: int) -> list[np.ndarray]:
    return [bent(angle) for angle in np.linspace(0.0, 6.0, count)]


@pytest.mark.parametrize("is_motion", [True, False])
def test_a_bent_way_turns_and_straight_ones_do_not_wherever_they_lead(is_motion: bool) -> None:
    found = turning(frames([*straight(9), bent(1.0, by=2.0)], is_motion))
    assert found[:9] == pytest.approx(1.0, abs=0.1)
    # All motions have length 1, so sizes of about the square root of 2 in units of what a number moves.
    assert found[9] == pytest.approx((FLOOR + 2.0 * np.sqrt(2)) / FLOOR, rel=0.15)


def test_how_fast_a_way_is_gone_changes_nothing_but_the_rounding() -> None:
    slowly = [np.repeat(way, 2, axis=0) for way in [*straight(9), bent(1.0, by=2.0)]]
    assert turning(frames(slowly)) == pytest.approx(
        turning(frames([*straight(9), bent(1.0, by=2.0)])), rel=0.01
    )


def test_what_differs_from_way_to_way_does_not_hide_the_plane_where_one_is_bent() -> None:
    generator = np.random.default_rng(0)
    ways = [bent(angle, by=2.0 if i == 9 else 0.1) for i, angle in enumerate(np.linspace(0.0, 6.0, 30))]
    restless = [np.cumsum(generator.normal(0, generator.uniform(0.1, 1), (STEPS, 2)), axis=0) for _ in ways]
    found = turning(frames([np.hstack([way, more]) for way, more in zip(ways, restless, strict=True)]))
    assert np.argmax(found) == 9


@given(scale=st.lists(st.floats(0.01, 100.0), min_size=2, max_size=2), offset=st.floats(-10.0, 10.0))
def test_units_of_actions_and_places_of_states_have_no_influence(scale: list[float], offset: float) -> None:
    ways = [*straight(9), bent(1.0, by=2.0)]
    plain = frames(ways)
    actions = [way * scale for way in ways]
    states = np.split(plain.state + offset, plain.starts[1:])
    assert turning(Frames.of(states, actions)) == pytest.approx(turning(plain), rel=1e-3)


def test_one_number_turns_where_it_is_reversed() -> None:
    ahead, back = np.ones((STEPS, 1)), np.ones((STEPS, 1))
    back[STEPS // 2 :] = -1.0
    assert turning(frames([ahead, ahead, 0.5 * ahead, back])).argmax() == 3


def test_what_never_moves_does_not_turn() -> None:
    nothing = Frames(np.zeros((6, 0), np.float32), np.zeros((6, 0), np.float32), np.array([3, 3]))
    assert turning(nothing).tolist() == [1.0, 1.0]
    assert turning(Frames(np.zeros((2, 1)), np.zeros((2, 1)), np.array([1, 1]))).tolist() == [1.0, 1.0]
