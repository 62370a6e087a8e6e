"""Coverage counts episodes, finds the lonely one, and knows when nothing can be said."""

import numpy as np
import pytest

from imitate.datasets.quality.coverage import coverage
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex


def lines(offsets: list[float]) -> Frames:
    """Straight lines beside each other."""
    along = np.linspace(0, 1, 30)
    states = [np.column_stack([along, np.full(30, offset)]) for offset in offsets]
    return Frames.of(states, states)


def test_similar_counts_episodes_within_the_radius() -> None:
    frames = lines([0.0, 0.1, 0.2, 0.3, 5.0])
    gap = float(frames.state[30, 1] - frames.state[0, 1]) / np.sqrt(2)
    found = coverage(NeighbourIndex.of(frames).neighbours(8), radius=1.5 * gap)
    assert frames.episode_means(found.similar).tolist() == [1, 2, 2, 1, 0]
    assert found.mean_similar == pytest.approx(6 / 5) and found.alone == pytest.approx(1 / 5)


def test_the_default_radius_holds_five_episodes_for_half_of_all_rows() -> None:
    generator = np.random.default_rng(0)
    states = list(generator.normal(size=(40, 20, 3)))
    frames = Frames.of(states, states)
    found = coverage(NeighbourIndex.of(frames).neighbours(16))
    assert found.radius == pytest.approx(np.median(found.novelty))
    assert (found.similar >= 5).mean() == pytest.approx(0.5, abs=0.01)


def test_the_lonely_episode_is_the_most_novel() -> None:
    frames = lines([*np.linspace(0, 1, 20), 4.0])
    found = coverage(NeighbourIndex.of(frames).neighbours(10))
    novelty = frames.episode_means(found.novelty)
    assert int(np.argmax(novelty)) == 20 and novelty[20] > 5 * np.median(novelty)
    assert frames.episode_means(found.similar)[20] == 0


def test_more_demonstrations_of_the_same_cover_better() -> None:
    few, many = lines(list(np.linspace(0, 1, 10))), lines(list(np.linspace(0, 1, 50)))
    radius = coverage(NeighbourIndex.of(few).neighbours(16)).radius
    more = coverage(NeighbourIndex.of(many).neighbours(40), radius)
    assert more.mean_similar > 3 * coverage(NeighbourIndex.of(few).neighbours(40), radius).mean_similar


def test_few_or_no_others() -> None:
    two = coverage(NeighbourIndex.of(lines([0.0, 1.0])).neighbours(16))
    assert np.isfinite(two.novelty).all() and (two.similar <= 1).all()
    one = coverage(NeighbourIndex.of(lines([0.0])).neighbours(16))
    assert np.isnan(one.similar).all() and np.isnan(one.radius) and np.isnan(one.alone)
    frames = lines([0.0, 1.0, 2.0])
    some = coverage(NeighbourIndex.of(frames).neighbours(2, np.array([4])))
    assert np.flatnonzero(np.isfinite(some.similar)).tolist() == [4]
