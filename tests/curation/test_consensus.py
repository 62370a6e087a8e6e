"""What the others would do: learnt where they agree, never from the episode itself, and not bent by one."""

import numpy as np
import pytest
from planted_reaches import frames, reach

from imitate.curation import consensus as module
from imitate.curation.consensus import Consensus, consensus
from imitate.datasets.quality.frames import Frames

ODD = 7


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that train for a moment, where the answers do not matter."""
    monkeypatch.setattr(module, "STEPS", 20)
    monkeypatch.setattr(module, "REPEATS", 1)


@pytest.fixture(scope="module")
def steps() -> Frames:
    """Thirteen reaches, of which one does the opposite of what its states call for."""
    generator = np.random.default_rng(0)
    reaches = [reach(generator) for _ in range(13)]
    actions = [-one.action if i == ODD else one.action for i, one in enumerate(reaches)]
    return Frames.of([one.state for one in reaches], actions)


@pytest.fixture(scope="module")
def agreed(steps: Frames) -> Consensus:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REPEATS", 1)
        found = consensus(steps)
    assert found is not None
    return found


def test_the_odd_one_is_a_surprise_and_does_not_make_others_surprising(
    steps: Frames, agreed: Consensus
) -> None:
    surprise = steps.episode_means(agreed.surprise)
    others = np.delete(surprise, ODD)
    assert surprise[ODD] > 3 * others.max()
    # It does what the others would do with the sign turned: about twice its action is left.
    rows = steps.rows(ODD)
    assert agreed.residual[rows].mean() / (2 * steps.action[rows].mean()) == pytest.approx(0.9, abs=0.3)


def test_the_steps_to_go_are_those_of_the_others(steps: Frames, agreed: Consensus) -> None:
    usual = steps.episode != ODD
    error = np.abs(agreed.to_go - steps.to_go)[usual]
    assert np.median(error) < 3 and agreed.to_go.min() >= 0


def test_nobody_is_judged_by_what_was_learnt_from_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPEATS", 1)
    generator = np.random.default_rng(0)
    # Every episode stays at a place of its own and acts by chance: seen once, its action would be known.
    places = generator.normal(size=(40, 3))
    state = np.repeat(places, 5, axis=0).astype(np.float32)
    action = np.repeat(generator.normal(size=(40, 2)), 5, axis=0).astype(np.float32)
    found = consensus(Frames(state, action, np.full(40, 5)))
    assert found is not None
    assert found.surprise.mean() > 0.9 * np.abs(action).mean()


def test_the_same_every_time(short: None) -> None:
    few = frames([reach(np.random.default_rng(seed)) for seed in range(5)])
    one, same, other = consensus(few), consensus(few), consensus(few, seed=1)
    assert one is not None and same is not None and other is not None
    assert np.array_equal(one.residual, same.residual) and np.array_equal(one.to_go, same.to_go)
    assert not np.array_equal(one.residual, other.residual)


def test_too_little_to_judge_by_is_said() -> None:
    few = frames([reach(np.random.default_rng(seed)) for seed in range(4)])
    assert consensus(few) is None
    still = Frames(np.empty((50, 0), np.float32), np.ones((50, 1), np.float32), np.full(10, 5))
    assert consensus(still) is None
    assert consensus(Frames(still.action, still.state, still.lengths)) is None


def test_episodes_of_one_step_are_no_obstacle(short: None) -> None:
    generator = np.random.default_rng(0)
    state = generator.normal(size=(8, 2)).astype(np.float32)
    found = consensus(Frames(state, state[:, :1], np.ones(8, int)))
    assert found is not None and np.isfinite(found.residual).all() and np.isfinite(found.to_go).all()
