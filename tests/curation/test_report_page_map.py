"""The map of states: nothing is lost, nothing counted twice, planted disagreement is found."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imitate.curation.page_map import HEIGHT, WIDTH, HexMap, Window
from imitate.curation.page_map_drawing import SHADES, Scale

POINTS = arrays(np.float32, st.tuples(st.integers(1, 60), st.just(2)), elements=st.floats(-5, 5, width=32))


def hex_map(points: np.ndarray, episode: np.ndarray | None = None) -> HexMap:
    return HexMap.of(
        points, np.zeros(len(points), int) if episode is None else episode, Window.around([points])
    )


@given(POINTS)
def test_every_step_is_in_one_hexagon_that_is_near(points: np.ndarray) -> None:
    hexes = hex_map(points)
    assert hexes.counts.sum() == len(points) and (hexes.counts > 0).all()
    low, high = hexes.centres.min(axis=0), hexes.centres.max(axis=0)
    assert (low >= -hexes.radius).all() and (high <= np.array([WIDTH, HEIGHT]) + hexes.radius).all()


def test_a_step_lies_in_the_hexagon_whose_centre_is_nearest() -> None:
    points = np.random.default_rng(0).uniform(size=(3000, 2))
    window = Window(np.zeros(2), np.ones(2))
    hexes = HexMap.of(points, np.zeros(3000, int), window)
    margin = np.array([hexes.radius * np.sqrt(3) / 2, hexes.radius])
    spots = margin + points * (np.array([WIDTH, HEIGHT]) - 2 * margin)
    spots[:, 1] = HEIGHT - spots[:, 1]
    gaps = np.linalg.norm(spots[:, None] - hexes.centres, axis=2)
    assert np.mean(gaps.argmin(axis=1) == hexes.bins) > 0.99
    assert gaps[np.arange(3000), hexes.bins].max() <= hexes.radius + 1e-2


def test_points_that_are_not_finite_are_nowhere() -> None:
    points = np.array([[0, 0], [np.nan, 0], [1, 1]], np.float32)
    hexes = hex_map(points)
    assert hexes.bins[1] == -1 and hexes.counts.sum() == 2
    assert len(hex_map(np.full((4, 2), np.nan)).centres) == 0


def test_means_leave_unknown_values_out() -> None:
    points = np.array([[0, 0], [0, 0], [1, 1], [1, 1]], np.float32)
    hexes = hex_map(points)
    means = hexes.means(np.array([1.0, np.nan, np.nan, np.nan]))
    assert means[hexes.bins[0]] == 1.0 and np.isnan(means[hexes.bins[2]])


def test_the_planted_place_is_found_first_and_others_do_not_touch_it() -> None:
    generator = np.random.default_rng(1)
    points, episode = generator.uniform(size=(8000, 2)), generator.integers(0, 20, 8000)
    values = generator.uniform(0, 0.1, 8000)
    values[np.linalg.norm(points - [0.7, 0.3], axis=1) < 0.08] += 1.0
    hexes = HexMap.of(points, episode, Window.around([points]))
    places = hexes.places(values)
    found = hexes.centres[places[0]] / [WIDTH, HEIGHT]
    assert np.linalg.norm(found - [0.7, 1 - 0.3]) < 0.08
    gaps = np.linalg.norm(hexes.centres[places][:, None] - hexes.centres[places], axis=2)
    assert len(places) == 5 and gaps[~np.eye(5, dtype=bool)].min() > 2 * hexes.radius


def test_one_episode_alone_is_no_disagreement() -> None:
    points = np.zeros((50, 2)) + np.linspace(0, 1, 2).repeat(25)[:, None]
    episode = np.r_[np.zeros(25, int), np.arange(25) % 5]
    hexes = HexMap.of(points, episode, Window.around([points]))
    assert hexes.places(np.r_[np.full(25, 9.0), np.ones(25)]) == [int(hexes.bins[30])]


@given(POINTS, st.integers(1, 4))
def test_visits_hold_every_step_once(points: np.ndarray, episodes: int) -> None:
    episode = np.sort(np.arange(len(points)) % episodes)
    starts = np.searchsorted(episode, np.arange(episodes))
    hexes = HexMap.of(points, episode, Window.around([points]))
    back = np.full(len(points), -1)
    for b, e, start, stop in hexes.visits(starts):
        assert (back[starts[e] + start : starts[e] + stop] == -1).all() and start < stop
        back[starts[e] + start : starts[e] + stop] = b
    assert (back == hexes.bins).all()


def test_the_window_ignores_a_stray_point_but_draws_it_at_the_edge() -> None:
    points = np.r_[np.random.default_rng(2).uniform(size=(2000, 2)), [[1e6, 0.5]]]
    window = Window.around([points])
    assert window.high[0] < 1.1
    assert HexMap.of(points, np.zeros(2001, int), window).counts.sum() == 2001


def test_shades_rise_with_the_value() -> None:
    scale = Scale(0.0, 1.0)
    assert scale.shades(np.array([-1.0, 0.0, 0.5, 0.99, 7.0, np.nan])).tolist() == [
        0,
        0,
        3,
        6,
        SHADES - 1,
        -1,
    ]
    assert Scale.of(np.array([np.nan])).shades(np.array([0.2])) >= 0
    assert Scale.of(np.full(9, 2.0)).shades(np.full(9, 2.0)).tolist() == [0] * 9


def test_one_window_gives_two_sets_the_same_hexagons() -> None:
    a, b = (np.random.default_rng(seed).uniform(size=(500, 2)) for seed in (3, 4))
    window = Window.around([a, b])
    first, second = (HexMap.of(points, np.zeros(500, int), window) for points in (a, b))
    known = {tuple(centre) for centre in first.centres}
    assert first.radius == second.radius
    assert sum(tuple(centre) in known for centre in second.centres) > 0.4 * len(second.centres)


def test_places_of_a_tiny_set_are_none() -> None:
    hexes = hex_map(np.zeros((3, 2), np.float32))
    assert hexes.places(np.ones(3)) == []
    assert hexes.episodes.tolist() == [1] and hexes.counts.tolist() == [3]
    with pytest.raises(IndexError):
        hexes.centres[1]
