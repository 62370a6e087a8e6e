"""Distance to successful episodes, on paths whose distance is known."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.success_similarity import distance_to_success


def frames(states: Sequence[np.ndarray]) -> Frames:
    """Frames with the states as they are, not standardised, so that distances can be told by hand."""
    state = np.concatenate(states).astype(np.float32)
    return Frames(state, np.zeros((len(state), 1), np.float32), np.array([len(s) for s in states]))


def line(height: float, steps: int = 20) -> np.ndarray:
    return np.column_stack([np.linspace(0, 1, steps), np.full(steps, height)])


def test_distance_of_parallel_lines() -> None:
    made = frames([line(0.0), line(0.0), line(3.0), line(5.0)])
    found = distance_to_success(made, [True, True, False, None])
    assert found == pytest.approx([0, 0, 3 / 2**0.5, 5 / 2**0.5], abs=1e-6)


def test_an_episode_does_not_vouch_for_itself() -> None:
    found = distance_to_success(frames([line(0.0), line(2.0)]), [True, False])
    assert np.isnan(found[0]) and found[1] == pytest.approx(2 / 2**0.5)


@pytest.mark.parametrize("success", [[None, None], [False, None]])
def test_unknown_without_a_success(success: list[bool | None]) -> None:
    assert np.isnan(distance_to_success(frames([line(0.0), line(1.0)]), success)).all()


def test_unknown_where_the_state_never_changes() -> None:
    states = np.zeros((4, 0), np.float32)
    made = Frames(states, np.zeros((4, 1), np.float32), np.array([2, 2]))
    assert np.isnan(distance_to_success(made, [True, True])).all()


@given(st.integers(0, 10_000))
def test_as_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states = [rng.normal(size=(int(rng.integers(1, 8)), 3)) for _ in range(5)]
    success = [bool(value) for value in rng.integers(0, 2, 5)]
    found = distance_to_success(frames(states), success)
    for i, own in enumerate(states):
        others = [s for j, s in enumerate(states) if success[j] and j != i]
        if not others:
            assert np.isnan(found[i])
            continue
        gaps = np.linalg.norm(own[:, None] - np.concatenate(others)[None], axis=2) / 3**0.5
        assert found[i] == pytest.approx(gaps.min(axis=1).mean(), rel=1e-3, abs=1e-3)
