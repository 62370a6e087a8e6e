"""The neighbour index against a plain search, and the approximate index against the exact one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.quality import neighbour_index, neighbour_shard
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex, examined_rows


def trajectories(episodes: int, steps: int, dims: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Smooth paths through five shared regions, seen through a fixed random map with a little noise."""
    generator = np.random.default_rng(seed)
    stops = generator.normal(size=(5, 6)) + 0.5 * generator.normal(size=(episodes, 5, 6))
    place = np.linspace(0, 4, steps)
    low = np.minimum(place.astype(int), 3)
    blend = ((1 - np.cos(np.pi * (place - low))) / 2)[:, None]
    path = stops[:, low] * (1 - blend) + stops[:, low + 1] * blend
    seen = np.tanh(path @ generator.normal(size=(6, dims)) / 2).reshape(-1, dims)
    features = seen + 0.01 * generator.normal(size=seen.shape)
    return features.astype(np.float32), np.repeat(np.arange(episodes), steps)


def plain(features: np.ndarray, episode: np.ndarray, row: int, k: int) -> list[int]:
    """Row by row, with no cleverness."""
    distance = np.sqrt(np.mean((features.astype(float) - features[row]) ** 2, axis=1))
    nearest = []
    for other in set(episode.tolist()) - {int(episode[row])}:
        rows = np.flatnonzero(episode == other)
        nearest.append(int(rows[np.argmin(distance[rows])]))
    return sorted(nearest, key=lambda r: distance[r])[:k]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=9), st.integers(1, 6), st.integers(0, 99))
def test_up_to_100000_rows_the_answer_is_exact(lengths: list[int], k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(sum(lengths), 3)).astype(np.float32)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    found = NeighbourIndex(features, episode).neighbours(k)
    for row in range(len(features)):
        expected = plain(features, episode, row, k)
        assert found.rows[row, : len(expected)].tolist() == expected
        assert (found.rows[row, len(expected) :] == -1).all()
        assert np.isinf(found.distances[row, len(expected) :]).all()
        rms = np.sqrt(np.mean((features[expected] - features[row]) ** 2, axis=1))
        assert np.allclose(found.distances[row, : len(expected)], rms, atol=1e-6)


def test_more_rows_than_one_block_and_one_chunk_are_no_different(monkeypatch: pytest.MonkeyPatch) -> None:
    features, episode = trajectories(40, 30)
    whole = NeighbourIndex(features, episode).neighbours(5)
    monkeypatch.setattr(neighbour_shard, "BLOCK", 70)
    monkeypatch.setattr(neighbour_shard, "CHUNK", 5000)
    assert (NeighbourIndex(features, episode).neighbours(5).rows == whole.rows).mean() > 0.999


def test_copies_are_at_distance_zero() -> None:
    features, episode = trajectories(20, 40)
    features = np.concatenate([features * 30, features[:40] * 30])  # large values: no cancellation
    found = NeighbourIndex(features, np.append(episode, [20] * 40)).neighbours(3, np.arange(40))
    assert (found.rows[:, 0] == np.arange(800, 840)).all()
    assert (found.distances[:, 0] == 0).all()


def approximate(monkeypatch: pytest.MonkeyPatch, features: np.ndarray, episode: np.ndarray) -> NeighbourIndex:
    monkeypatch.setattr(neighbour_index, "EXACT_ROWS", 10)
    return NeighbourIndex(features, episode)


def test_the_approximate_index_finds_the_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    features, episode = trajectories(300, 100, dims=32)
    query = examined_rows(len(features), 1000)
    exact = NeighbourIndex(features, episode).neighbours(16, query)
    found = approximate(monkeypatch, features, episode).neighbours(16, query)
    shared = [len(set(a) & set(b)) / 16 for a, b in zip(exact.rows, found.rows, strict=True)]
    assert np.mean(shared) >= 0.9
    nearest = [len(set(a) & set(b)) / 5 for a, b in zip(exact.rows[:, :5], found.rows[:, :5], strict=True)]
    assert np.mean(nearest) >= 0.95
    assert found.distances.mean() < 1.02 * exact.distances.mean()


@pytest.mark.parametrize("lengths", [[40] * 30, [1] * 40, [1, 2, 3, 4, 5] * 8, [400, 400, 5]])
def test_the_approximate_index_keeps_the_rules(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> None:
    features = np.random.default_rng(0).normal(size=(sum(lengths), 4)).astype(np.float32)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    found = approximate(monkeypatch, features, episode).neighbours(4)
    assert found.found[:, : min(2, len(lengths) - 1)].any(axis=1).mean() > 0.9
    for row, (rows, distances) in enumerate(zip(found.rows, found.distances, strict=True)):
        others = episode[rows[rows >= 0]]
        assert episode[row] not in others and len(set(others.tolist())) == len(others)
        assert (np.diff(distances[rows >= 0]) >= 0).all()
        assert np.isinf(distances[rows < 0]).all()


def test_states_and_actions_count_alike() -> None:
    generator = np.random.default_rng(0)
    frames = Frames.of(list(generator.normal(size=(2, 50, 30))), list(generator.normal(size=(2, 50, 2))))
    found = NeighbourIndex.of_transitions(frames).neighbours(1, np.array([3]))
    state, action = (
        np.mean((part[found.rows[0, 0]] - part[3]) ** 2) for part in (frames.state, frames.action)
    )
    assert found.distances[0, 0] == pytest.approx(np.sqrt((state + action) / 2), rel=1e-5)


def test_nothing_is_found_where_nothing_can_be() -> None:
    assert not NeighbourIndex(np.ones((5, 2)), np.zeros(5)).neighbours(3).found.any()
    still = Frames.of([np.ones((4, 2))] * 3, [np.ones((4, 1))] * 3)
    assert not NeighbourIndex.of(still).neighbours(2).found.any()
    assert not NeighbourIndex.of_transitions(still).neighbours(2).found.any()


def test_scattered_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="together"):
        NeighbourIndex(np.ones((4, 2)), np.array([0, 1, 0, 1]))
    with pytest.raises(ValueError, match="4 rows of features, but 3"):
        NeighbourIndex(np.ones((4, 2)), np.array([0, 1, 1]))


@given(st.integers(1, 500), st.integers(1, 60))
def test_examined_rows_are_spread_over_everything(size: int, limit: int) -> None:
    rows = examined_rows(size, limit)
    assert len(rows) == min(size, limit) == len(set(rows.tolist()))
    assert rows[0] <= size // len(rows) and rows[-1] >= size - size // len(rows) - 2 and rows[-1] < size
    assert (np.diff(rows) > 0).all() and (np.diff(rows) <= 2 * -(-size // len(rows))).all()


def test_values_go_back_to_their_rows() -> None:
    found = NeighbourIndex(*trajectories(3, 4)).neighbours(1, np.array([2, 7]))
    spread = found.per_row(np.array([5.0, 6.0]))
    assert spread.shape == (12,) and spread[2] == 5 and spread[7] == 6 and np.isnan(spread).sum() == 10
