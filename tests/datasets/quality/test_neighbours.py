"""Neighbour agreement on demonstrators whose consistency is known."""

import numpy as np
import pytest
from straight_walks import Act, straight_walks

from imitate.datasets.quality.neighbours import NeighbourAgreement, neighbour_agreement


def agreement(act: Act, episodes: int = 30, steps: int = 100) -> NeighbourAgreement:
    states, actions = straight_walks(act, episodes, steps)
    found = neighbour_agreement(states, actions)
    assert found is not None
    return found


def test_a_function_of_the_state_agrees() -> None:
    found = agreement(lambda state, generator, i: -2.0 * state)
    assert found.ratio < 0.02
    assert found.near_distance < 0.2 * found.random_distance


def test_noise_that_ignores_the_state_does_not_agree() -> None:
    found = agreement(lambda state, generator, i: generator.normal(size=state.shape))
    assert found.ratio == pytest.approx(1.0, abs=0.1)


def test_noise_raises_disagreement_by_its_variance() -> None:
    # Points between two uniform ends have variance 2/9; noise of the same variance is half of the whole.
    found = agreement(lambda state, generator, i: state + generator.normal(0, (2 / 9) ** 0.5, state.shape))
    assert found.ratio == pytest.approx(0.5, abs=0.08)


def test_the_one_episode_that_acts_the_other_way_stands_out() -> None:
    found = agreement(lambda state, generator, i: state * (-1.0 if i == 7 else 1.0))
    assert int(np.argmax(found.per_episode)) == 7
    assert found.per_episode[7] > 5 * np.median(found.per_episode)


def test_continuity_within_an_episode_does_not_count_as_agreement() -> None:
    # Every episode has an action of its own: frames agree with their own episode, not with others.
    found = agreement(lambda state, generator, i: np.full_like(state, generator.normal()))
    assert found.own < 1e-9 < 0.3 < found.ratio


def test_scale_and_unit_do_not_matter() -> None:
    plain = agreement(lambda state, generator, i: np.sin(5 * state))
    scaled = agreement(lambda state, generator, i: 1000.0 * np.sin(5 * state) + 77.0)
    assert scaled.ratio == pytest.approx(plain.ratio, rel=1e-6)


@pytest.mark.parametrize("lengths", [(5, 1, 3), (1, 1, 1, 1), (2, 2, 2)])
def test_tiny_episodes_are_no_trouble(lengths: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    states = [generator.normal(size=(n, 3)) for n in lengths]
    found = neighbour_agreement(states, [s[:, :1] for s in states])
    assert found is not None and np.isfinite(found.per_episode).all()
    assert found.neighbours == len(lengths) - 1


def test_nothing_is_claimed_without_grounds() -> None:
    states = [np.random.default_rng(i).normal(size=(9, 2)) for i in range(3)]
    assert neighbour_agreement(states[:2], states[:2]) is None
    assert neighbour_agreement(states, [np.ones((9, 1))] * 3) is None
    assert neighbour_agreement([np.ones((9, 2))] * 3, states) is None


def test_the_same_numbers_every_time() -> None:
    first, second = (agreement(lambda s, g, i: s + g.normal(size=s.shape)) for _ in range(2))
    assert first.random == second.random and np.array_equal(first.per_episode, second.per_episode)
