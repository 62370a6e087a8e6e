"""Frames: rows, episodes and means over episodes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.quality.frames import Frames


def frames(lengths: list[int]) -> Frames:
    generator = np.random.default_rng(0)
    return Frames.of(
        [generator.normal(size=(n, 3)) for n in lengths], [generator.normal(size=(n, 2)) for n in lengths]
    )


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_rows_belong_to_their_episodes(lengths: list[int]) -> None:
    made = frames(lengths)
    assert len(made) == sum(lengths)
    for index, length in enumerate(lengths):
        rows = made.rows(index)
        assert (made.episode[rows] == index).all()
        assert made.to_go[rows].tolist() == list(range(length - 1, -1, -1))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_means_leave_out_what_is_unknown(lengths: list[int], data: st.DataObject) -> None:
    made = frames(lengths)
    hidden = np.array(data.draw(st.lists(st.booleans(), min_size=len(made), max_size=len(made))))
    values = np.where(hidden, np.nan, np.arange(len(made), dtype=float))
    means = made.episode_means(values)
    for index in range(len(lengths)):
        known = values[made.rows(index)][~hidden[made.rows(index)]]
        assert np.isnan(means[index]) if not len(known) else np.isclose(means[index], known.mean())


def test_columns_are_standardised_and_constant_ones_left_out() -> None:
    states = [np.column_stack([np.arange(5.0) * 7, np.ones(5)]), np.full((3, 2), 1.0) * [50.0, 1.0]]
    made = Frames.of(states, [np.ones((5, 2)), np.ones((3, 2))])
    assert made.state.shape == (8, 1) and made.action.shape == (8, 0)
    assert np.isclose(made.state.mean(), 0, atol=1e-6) and np.isclose(made.state.std(), 1, atol=1e-6)
