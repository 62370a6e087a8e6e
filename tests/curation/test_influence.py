"""Influence where it is known who harms: a linear-Gaussian policy that is to bring a point to the origin."""

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from imitate.curation.influence import influence
from imitate.errors import DataError
from imitate.normalize import Normalizer
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.bc_rnn import BcRnnConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policy import Generator, Horizons, Policy, PolicyConfig, draw_noise, masked_mean
from imitate.types import ActionChunk, ArraySpec, Batch, DataSpec, Episode

SPEC = DataSpec({"x": ArraySpec((2,))}, ArraySpec((2,)))
STEPS = 10
NOISE = 0.15


class Linear(Policy):
    """An action that is linear in the state, plus Gaussian noise when it acts."""

    def __init__(self) -> None:
        super().__init__(SPEC, Horizons(1, 1, 1), Normalizer(SPEC, "identity", "identity"))
        self.net = nn.Linear(2, 2)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        error = (self.net(batch.obs["x"]) - batch.action).square().mean(dim=-1)
        return {"loss": masked_mean(error, batch.is_pad, batch.weight)}

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        values = self.net(obs["x"])
        return ActionChunk(values + NOISE * draw_noise(values.shape, generator, values.device))


def walk(rng: np.random.Generator, gain: np.ndarray, noise: float) -> Episode:
    """A point moved by action = gain · x + noise; success is to end near the origin."""
    x, states, actions = rng.uniform(-1, 1, 2), [], []
    for _ in range(STEPS):
        action = gain @ x + rng.normal(0, noise, 2)
        states.append(x)
        actions.append(action)
        x = x + action
    success = bool(np.linalg.norm(x) < 0.4)
    return Episode("walk", {"x": np.array(states)}, np.array(actions), success)


def planted(seed: int) -> tuple[Policy, list[Episode], list[Episode], np.ndarray]:
    """A policy fitted to demonstrations of which some leave the origin, its rollouts, and which those are."""
    rng = np.random.default_rng(seed)
    harmful = np.arange(30) % 6 == 0
    demonstrations = [walk(rng, np.eye(2) * (0.08 if bad else -0.4), 0.02) for bad in harmful]
    states = np.concatenate([one.obs["x"] for one in demonstrations])
    actions = np.concatenate([one.action for one in demonstrations])
    fitted, *_ = np.linalg.lstsq(np.column_stack([states, np.ones(len(states))]), actions, rcond=None)
    policy = Linear().eval()
    with torch.no_grad():
        policy.net.weight.copy_(torch.from_numpy(fitted[:2].T))
        policy.net.bias.copy_(torch.from_numpy(fitted[2]))
    return policy, demonstrations, [walk(rng, fitted[:2].T, NOISE) for _ in range(400)], harmful


Example = tuple[Policy, list[Episode], list[Episode], np.ndarray]


def exact_gradients(policy: Policy, episodes: list[Episode]) -> np.ndarray:
    """(T, 6): the gradient of each step's loss in weight and bias, by hand."""
    state = np.concatenate([one.obs["x"] for one in episodes])
    action = np.concatenate([one.action for one in episodes])
    weight, bias = (value.detach().double().numpy() for value in policy.parameters())
    error = state @ weight.T + bias - action
    return np.concatenate([(error[:, :, None] * state[:, None]).reshape(len(state), -1), error], axis=1)


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    return float(np.mean(score[positive][:, None] > score[~positive][None]))


@pytest.fixture(scope="module")
def example() -> Example:
    return planted(0)


@pytest.mark.slow
def test_demonstrations_that_lead_away_are_found() -> None:
    found = []
    for seed in range(4):
        policy, demonstrations, rollouts, harmful = planted(seed)
        score = influence(policy, demonstrations, rollouts, projected=64)
        found.append(auroc(-score, harmful))
        assert score[~harmful].mean() > 0 > score[harmful].mean()
    assert np.mean(found) > 0.95 and min(found) > 0.85


def test_projection_keeps_what_exact_gradients_say(example: Example) -> None:
    policy, demonstrations, rollouts, _ = example
    few = rollouts[:40]
    weights = [sum(exact_gradients(policy, [one])) for one in few]
    success = np.array([float(bool(one.success)) for one in few])
    ascent = -((success - success.mean()) / len(few)) @ np.array(weights)
    learnt = [exact_gradients(policy, [one]) for one in demonstrations]
    curvature = sum(one.T @ one for one in learnt)
    # Six weights seen through 512 random directions: the mean of the diagonal is that of 512 entries.
    damping = 0.1 * np.trace(curvature) / 512
    solved = np.linalg.solve(curvature + damping * np.eye(6), ascent)
    exact = np.array([-one.sum(axis=0) @ solved for one in learnt])
    found = influence(policy, demonstrations, few, projected=512)
    assert np.corrcoef(found, exact)[0, 1] > 0.97


def test_only_outcomes_that_differ_tell_anything(example: Example) -> None:
    policy, demonstrations, rollouts, _ = example
    won = [one for one in rollouts if one.success][:3]
    unknown = dataclasses.replace(won[0], success=None)
    for useless in ([], won, [*won, unknown]):
        with pytest.raises(DataError, match="some succeeded"):
            influence(policy, demonstrations[:2], useless)


def test_turned_outcomes_turn_the_sign_and_numbers_repeat(example: Example) -> None:
    policy, demonstrations, rollouts, _ = example
    few, some = rollouts[:40], demonstrations[:6]
    turned = [dataclasses.replace(one, success=not one.success) for one in few]
    found = influence(policy, some, few, projected=16)
    assert np.array_equal(found, influence(policy, some, few, projected=16))
    assert influence(policy, some, turned, projected=16) == pytest.approx(-found)


@pytest.mark.parametrize(
    "config", [BehaviourCloningConfig(width=128), DiffusionConfig(), BcRnnConfig(width=16)]
)
def test_policies_of_the_toolkit_are_taken_as_they_are(config: PolicyConfig, example: Example) -> None:
    _, demonstrations, rollouts, _ = example
    torch.manual_seed(0)
    policy = config.build(SPEC).eval().requires_grad_(False)
    won = [one for one in rollouts if one.success][:1]
    found = influence(policy, demonstrations[:3], rollouts[:12] + won, projected=8)
    assert found.shape == (3,) and np.isfinite(found).all() and (found != 0).all()
