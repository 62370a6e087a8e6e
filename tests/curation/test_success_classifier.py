"""Demo-SCORE on corridors: the one on the left leads to success, the one on the right does not."""

import numpy as np
import pytest

from imitate.curation.success_classifier import SuccessScores, success_scores
from imitate.errors import DataError

STEPS = 30


def walk(rng: np.random.Generator, side: float) -> np.ndarray:
    """From the middle of one end to the left (-1) or right (1) half of the other, in metres."""
    y = np.linspace(0, 1, STEPS)
    return np.column_stack([side * np.minimum(1, 2 * y), y, np.ones(STEPS)]) + rng.normal(0, 0.05, (STEPS, 3))


def scores(flip: bool = False, seed: int = 0) -> SuccessScores:
    rng = np.random.default_rng(seed)
    sides = rng.choice([-1.0, 1.0], 40)
    success = [bool(side < 0) != flip for side in sides]
    demonstrations = [walk(rng, side) for side in [-1.0] * 6 + [1.0] * 4]
    return success_scores([walk(rng, side) for side in sides], success, demonstrations, seed)


@pytest.fixture(scope="module")
def found() -> SuccessScores:
    return scores()


def test_demonstrations_on_the_way_of_success_are_kept(found: SuccessScores) -> None:
    assert found.keep.tolist() == [True] * 6 + [False] * 4
    assert found.per_demonstration[:6].min() > found.threshold > found.per_demonstration[6:].max()


def test_the_other_outcome_gives_the_other_list() -> None:
    assert scores(flip=True).keep.tolist() == [False] * 6 + [True] * 4


def test_where_the_ways_have_not_parted_nothing_is_known_and_later_much(found: SuccessScores) -> None:
    per_frame = found.per_frame.reshape(10, STEPS)
    assert np.abs(per_frame[:6, 0].mean() - per_frame[6:, 0].mean()) < 0.2
    assert per_frame[:6, -1].min() > 0.75 and per_frame[6:, -1].max() < 0.25
    assert found.loss < 0.6 * found.chance


def test_outcomes_that_states_do_not_explain_stay_at_chance() -> None:
    rng = np.random.default_rng(3)
    rollouts = [rng.normal(size=(STEPS, 3)) for _ in range(40)]
    found = success_scores(rollouts, [i % 2 == 0 for i in range(40)], rollouts[:3])
    assert found.loss == pytest.approx(found.chance, abs=0.03)
    assert found.per_demonstration == pytest.approx(0.5, abs=0.1)


def test_the_same_numbers_every_time(found: SuccessScores) -> None:
    assert np.array_equal(scores().per_frame, found.per_frame)


@pytest.mark.parametrize("successes", [0, 1, 9, 10])
def test_both_outcomes_are_needed(successes: int) -> None:
    rollouts = [np.ones((4, 2))] * 10
    with pytest.raises(DataError, match=f"{successes} of 10"):
        success_scores(rollouts, [i < successes for i in range(10)], rollouts)
