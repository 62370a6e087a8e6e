"""Networks that judge what they never saw: known functions, noise, gaps."""

import numpy as np
import pytest
import torch

from imitate.curation.ensemble import MEMBERS, Ensemble, Judged, cross_fit
from imitate.datasets.quality.frames import Frames

pytestmark = pytest.mark.usefixtures("one_thread")

EPISODES, STEPS = 24, 40
CONFUSED = 7


def planted() -> tuple[Frames, np.ndarray]:
    """The action is a smooth function of the state, but in episode CONFUSED; noise (N, 2) is on it."""
    rng = np.random.default_rng(0)
    state = rng.uniform(-1.5, 1.5, (EPISODES * STEPS, 2)).astype(np.float32)
    action = np.column_stack([np.sin(2 * state[:, 0]), state[:, 0] * state[:, 1]])
    rows = slice(CONFUSED * STEPS, (CONFUSED + 1) * STEPS)
    action[rows] = action[rows][::-1]
    return Frames(state, action.astype(np.float32), np.full(EPISODES, STEPS)), action


@pytest.fixture(scope="module")
def judged() -> Judged:
    found = cross_fit(planted()[0])
    assert found is not None
    return found


def test_known_functions_are_learnt_and_the_confused_episode_stands_out(judged: Judged) -> None:
    frames, action = planted()
    error = frames.episode_means(judged.error)
    assert np.median(error) < 0.05 * action.var()
    assert int(np.argmax(error)) == CONFUSED and error[CONFUSED] > 10 * np.median(error)


def test_novelty_grows_with_the_distance_from_the_data(judged: Judged) -> None:
    angle = np.linspace(0, 2 * np.pi, 50)
    circle = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    near, far, farther = (
        judged.ensemble.judge(radius * circle, circle)[1].mean() for radius in (0.5, 3.0, 6.0)
    )
    assert 5 * near < far < farther


@pytest.mark.slow
def test_nobody_judges_what_it_was_trained_on() -> None:
    # Actions that are noise of each episode's own: whoever saw the episode does better than its variance.
    rng = np.random.default_rng(1)
    state = np.repeat(rng.normal(size=(10, 3)), 20, axis=0).astype(np.float32)
    action = np.repeat(rng.normal(size=(10, 2)), 20, axis=0).astype(np.float32)
    frames = Frames(state, action, np.full(10, 20))
    judged = cross_fit(frames)
    assert judged is not None
    own = judged.ensemble.judge(state, action)[0].min(axis=0)  # by the group that was trained on it
    assert own.mean() < 0.2 * judged.error.mean()
    assert judged.error.mean() > 0.5 * action.var()


def test_the_same_numbers_for_the_same_seed_and_others_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imitate.curation.ensemble.STEPS", 10)
    frames, _ = planted()
    first, again, other = cross_fit(frames), cross_fit(frames), cross_fit(frames, seed=1)
    assert first is not None and again is not None and other is not None
    assert np.array_equal(again.error, first.error) and np.array_equal(again.novelty, first.novelty)
    assert not np.array_equal(other.error, first.error)


def test_stacked_networks_are_the_networks_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imitate.curation.ensemble.STEPS", 10)
    rng = np.random.default_rng(2)
    state, action = rng.normal(size=(9, 3)).astype(np.float32), rng.normal(size=(9, 2)).astype(np.float32)
    everything = [np.arange(9)] * 2
    ensemble = Ensemble.fit(state, action, everything, seed=0)
    said = []
    for member in range(2 * MEMBERS):
        x = torch.from_numpy(state)
        for i in range(2):
            w = {key: ensemble.weights[f"{key}{i}"][member] for key in ("weight", "bias")}
            x = torch.nn.functional.layer_norm(x @ w["weight"] + w["bias"], (128,))
            x = torch.nn.functional.silu(x)
        said.append(x @ ensemble.weights["weight2"][member] + ensemble.weights["bias2"][member])
    group = torch.stack(said).numpy()[:MEMBERS]
    error, novelty = ensemble.judge(state, action)
    assert error[0] == pytest.approx(((group - action) ** 2).mean(axis=(0, 2)), rel=1e-4)
    assert novelty[0] == pytest.approx(group.std(axis=0).mean(axis=1), rel=1e-3, abs=1e-6)


def test_one_episode_cannot_be_judged_by_others() -> None:
    ones = np.ones((50, 1), np.float32)
    assert cross_fit(Frames(ones, ones, np.array([50]))) is None
