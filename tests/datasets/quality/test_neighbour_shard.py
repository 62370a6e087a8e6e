"""However rows are spread over shards, the same is found: also of equally near frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.quality import neighbour_index, neighbour_shard
from imitate.datasets.quality.neighbour_index import Here, NeighbourIndex, Neighbours
from imitate.datasets.quality.neighbour_shard import first_of_all

LENGTHS = st.lists(st.integers(1, 30), min_size=2, max_size=12)


def tied(lengths: list[int], seed: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of few different values, so that most distances are there several times."""
    features = np.random.default_rng(seed).integers(0, levels, (sum(lengths), 3)).astype(np.float32) / 3
    return features, np.repeat(np.arange(len(lengths)), lengths)


def same(a: Neighbours, b: Neighbours) -> bool:
    return np.array_equal(a.rows, b.rows) and np.array_equal(a.distances, b.distances)


def by_distance_and_row(features: np.ndarray, episode: np.ndarray, row: int, k: int) -> list[int]:
    """The plain search: of each other episode its first nearest row, in the order of (distance, row)."""
    gap = features - features[row]
    distance = np.sqrt(np.einsum("pd,pd->p", gap, gap) / np.float32(gap.shape[1]))
    best = []
    for other in set(episode.tolist()) - {int(episode[row])}:
        rows = np.flatnonzero(episode == other)
        best.append(int(rows[np.argmin(distance[rows])]))
    return sorted(best, key=lambda r: (distance[r], r))[:k]


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 6), st.integers(0, 99), st.integers(1, 8), st.sampled_from([1, 2, 4]))
def test_of_equals_the_first_counts(lengths: list[int], k: int, seed: int, levels: int, shards: int) -> None:
    features, episode = tied(lengths, seed, levels)
    found = NeighbourIndex(features, episode, place=Here(shards)).neighbours(k)
    for row in range(len(features)):
        expected = by_distance_and_row(features, episode, row, k)
        assert found.rows[row].tolist() == expected + [-1] * (k - len(expected))


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 4), st.integers(0, 99), st.sampled_from([1, 2, 6, 1000]), st.integers(2, 5))
def test_candidates_do_not_depend_on_shards(
    lengths: list[int], k: int, seed: int, levels: int, shards: int
) -> None:
    features, episode = tied(lengths, seed, levels)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(neighbour_index, "EXACT_ROWS", 0)
        patched.setattr(neighbour_index, "ATTEMPTS", ((2, 1), (8, 4)))  # few enough to be cut among equals
        patched.setattr(neighbour_index, "PROBES", 1)
        patched.setattr(neighbour_index, "LISTS_PER_ROOT", 1)
        whole = NeighbourIndex(features, episode).neighbours(k)
        assert same(NeighbourIndex(features, episode, place=Here(shards)).neighbours(k), whole)


@pytest.mark.parametrize("exact_rows", [100_000, 0])
def test_neither_blocks_nor_chunks_have_an_influence(
    monkeypatch: pytest.MonkeyPatch, exact_rows: int
) -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(3000, 13)).astype(np.float32)
    features[1500:2000] = features[:500]
    episode = np.repeat(np.arange(60), 50)
    monkeypatch.setattr(neighbour_index, "EXACT_ROWS", exact_rows)
    whole = NeighbourIndex(features, episode).neighbours(8)
    for name, value in (("BLOCK", 170), ("CHUNK", 50_000), ("GATHERED", 999)):
        monkeypatch.setattr(neighbour_shard, name, value)
    monkeypatch.setattr(neighbour_index, "ASKED", 77)
    for shards in (1, 2, 4, 100):
        assert same(NeighbourIndex(features, episode, place=Here(shards)).neighbours(8), whole)


@given(
    st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=6),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_merging_gives_the_first_by_value_and_row(lines: list[list[int]], count: int, random) -> None:
    flat = [value for line in lines for value in line]
    rows = list(range(len(flat)))
    random.shuffle(rows)
    values, places = np.array([flat], np.float32), np.array([rows])
    got = first_of_all(values, places, count)
    expected = sorted(zip(flat, rows, strict=True))[:count]
    assert list(zip(got[0][0].tolist(), got[1][0].tolist(), strict=True)) == expected
    # Merged in two steps it is the same.
    half = [first_of_all(values[:, part], places[:, part], count) for part in (slice(0, 4), slice(4, None))]
    again = first_of_all(*(np.concatenate(part, axis=1) for part in zip(*half, strict=True)), count)
    assert all(np.array_equal(a, b) for a, b in zip(again, got, strict=True))
