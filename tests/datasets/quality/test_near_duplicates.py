"""Copies are found whatever was done to them; demonstrations of the same task are not copies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.near_duplicates import NearDuplicates, aligned_share, near_duplicates
from imitate.datasets.quality.neighbour_index import NeighbourIndex

Recording = tuple[np.ndarray, np.ndarray]


def reaching(count: int, steps: int = 60, seed: int = 0) -> list[Recording]:
    """An arm's end that goes to an object and on to the same goal; the action is the velocity."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        state = np.array([0, 0, 1]) + 0.2 * generator.uniform(-1, 1, 3)
        thing, path, moves = np.append(generator.uniform(-1, 1, 2), 0), [], []
        for t in range(steps):
            target = thing if t < steps / 2 else np.array([1.0, 1.0, 0.5])
            moves.append(0.15 * (target - state) + 0.01 * generator.normal(size=3))
            path.append(np.concatenate([state, thing]))
            state = state + moves[-1]
        found.append((np.array(path), np.array(moves)))
    return found


def duplicates(recordings: list[Recording]) -> NearDuplicates:
    frames = Frames.of([r[0] for r in recordings], [r[1] for r in recordings])
    return near_duplicates(frames, NeighbourIndex.of_transitions(frames).neighbours(8))


def noisy(recording: Recording, share: float) -> Recording:
    generator = np.random.default_rng(1)
    state, action = ((p + share * p.std(axis=0) * generator.normal(size=p.shape)) for p in recording)
    return state, action


def test_demonstrations_of_the_same_task_are_no_copies() -> None:
    assert duplicates(reaching(60)).pairs == []


def test_copies_are_found_shifted_cut_and_with_noise() -> None:
    originals = reaching(60)
    (state, action), longer = originals[3], originals[8]
    copies = [
        (state, action),
        (np.concatenate([state[:1]] * 9 + [state]), np.concatenate([action[:1]] * 9 + [action])),
        noisy(originals[5], 0.01),
        (longer[0][12:50], longer[1][12:50]),
    ]
    found = duplicates(originals + copies)
    pairs = {pair[:2] for pair in found.pairs}
    assert pairs == {(3, 60), (3, 61), (60, 61), (5, 62), (8, 63)}
    assert all(0.9 <= share <= 1 for _, _, share in found.pairs)


def test_everything_twice_is_found() -> None:
    originals = reaching(20)
    found = duplicates(originals + [noisy(r, 0.005) for r in originals])
    assert [pair[:2] for pair in found.pairs] == [(i, i + 20) for i in range(20)]


def test_nothing_but_copies_is_found() -> None:
    found = duplicates(reaching(1) * 6)
    assert len(found.pairs) == 15 and found.same == pytest.approx(1e-3)


def test_backwards_is_not_the_same() -> None:
    originals = reaching(30)
    state, action = originals[0]
    assert duplicates([*originals, (state[::-1], action[::-1])]).pairs == []


@given(st.integers(0, 1000), st.integers(2, 20), st.integers(0, 10), st.integers(0, 10))
def test_a_part_lies_within_the_whole(seed: int, length: int, before: int, after: int) -> None:
    whole = np.random.default_rng(seed).normal(size=(before + length + after, 3))
    part = whole[before : before + length]
    assert aligned_share(part, whole, 1e-3) == 1
    assert aligned_share(part[::-1], whole, 1e-3) <= 1 / length + 1e-9


def test_a_single_episode_has_no_copy() -> None:
    assert duplicates(reaching(1)).pairs == []
