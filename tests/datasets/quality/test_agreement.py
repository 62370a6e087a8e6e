"""Agreement of similar states on demonstrators whose consistency is known."""

import numpy as np
import pytest
from straight_walks import Act, straight_walks

from imitate.datasets.quality.divergence import Agreement, agreement
from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.neighbour_index import NeighbourIndex


def found_in(frames: Frames) -> Agreement | None:
    return agreement(frames, NeighbourIndex.of(frames).neighbours(16))


def agreed(act: Act, episodes: int = 30, steps: int = 100) -> tuple[Frames, Agreement]:
    frames = Frames.of(*straight_walks(act, episodes, steps))
    found = found_in(frames)
    assert found is not None
    return frames, found


def test_a_function_of_the_state_agrees() -> None:
    _, found = agreed(lambda state, generator, i: -2.0 * state)
    assert found.ratio < 0.02
    assert found.near_distance < 0.2 * found.random_distance


def test_noise_that_ignores_the_state_does_not_agree() -> None:
    _, found = agreed(lambda state, generator, i: generator.normal(size=state.shape))
    assert found.ratio == pytest.approx(1.0, abs=0.1)


def test_noise_raises_disagreement_by_its_variance() -> None:
    # Points between two uniform ends have variance 2/9; noise of the same variance is half of the whole.
    _, found = agreed(lambda state, generator, i: state + generator.normal(0, (2 / 9) ** 0.5, state.shape))
    assert found.ratio == pytest.approx(0.5, abs=0.08)


def test_the_one_episode_that_acts_the_other_way_stands_out() -> None:
    frames, found = agreed(lambda state, generator, i: state * (-1.0 if i == 7 else 1.0))
    per_episode = frames.episode_means(found.per_row)
    assert int(np.argmax(per_episode)) == 7
    assert per_episode[7] > 5 * np.median(per_episode)


def test_continuity_within_an_episode_does_not_count_as_agreement() -> None:
    # Every episode has an action of its own: frames agree with their own episode, not with others.
    _, found = agreed(lambda state, generator, i: np.full_like(state, generator.normal()))
    assert found.ratio > 0.3


def test_scale_and_unit_do_not_matter() -> None:
    _, plain = agreed(lambda state, generator, i: np.sin(5 * state))
    _, scaled = agreed(lambda state, generator, i: 1000.0 * np.sin(5 * state) + 77.0)
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-6)


@pytest.mark.parametrize("lengths", [(5, 1, 3), (1, 1, 1, 1), (2, 2, 2)])
def test_tiny_episodes_are_no_trouble(lengths: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    states = [generator.normal(size=(n, 3)) for n in lengths]
    found = found_in(Frames.of(states, [s[:, :1] for s in states]))
    assert found is not None and np.isfinite(found.per_row).all()
    assert found.neighbours == len(lengths) - 1


def test_nothing_is_claimed_without_grounds() -> None:
    states = [np.random.default_rng(i).normal(size=(9, 2)) for i in range(3)]
    assert found_in(Frames.of(states[:1], states[:1])) is None
    assert found_in(Frames.of(states, [np.ones((9, 1))] * 3)) is None
    assert found_in(Frames.of([np.ones((9, 2))] * 3, states)) is None


def test_the_same_numbers_every_time() -> None:
    (_, first), (_, second) = (agreed(lambda s, g, i: s + g.normal(size=s.shape)) for _ in range(2))
    assert first.random == second.random and np.array_equal(first.per_row, second.per_row)
