"""Policies over histories: the chunk each step learns, that none sees later steps, and robomimic's case."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, distributions

from imitate.errors import ConfigError
from imitate.policies.bc_rnn import BcRnnConfig
from imitate.policies.bc_transformer import BcTransformerConfig
from imitate.policies.history import HistoryMixture, HistoryMixtureConfig, chunk_of_every_step
from imitate.policies.nets.causal_transformer import CausalTransformerConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
ONE_BY_ONE = Horizons(obs_steps=6, pred_steps=6, action_steps=1)
TINY = CausalTransformerConfig(width=16, layers=2, heads=2, dropout=0.0)
CONFIGS = {
    "bc_rnn": BcRnnConfig(ONE_BY_ONE, width=16),
    "bc_transformer": BcTransformerConfig(ONE_BY_ONE, transformer=TINY),
}


def built(name: str) -> HistoryMixture:
    torch.manual_seed(0)
    return CONFIGS[name].build(SPEC).eval()


def window(actions: list[float], is_pad: list[int]) -> Batch:
    return Batch({}, torch.tensor(actions)[None, :, None], torch.tensor(is_pad).bool()[None], torch.ones(1))


def test_the_example_of_the_start_of_an_episode() -> None:
    chunks = chunk_of_every_step(window([9.0, 0.0, 1.0, 2.0], [1, 0, 0, 0]), Horizons(2, 4, 3))
    assert chunks.action[..., 0].tolist() == [[0, 0, 1], [0, 1, 2]]
    assert chunks.is_pad.tolist() == [[True] * 3, [False] * 3]


def test_the_end_of_an_episode_pads_steps_not_chunks() -> None:
    chunks = chunk_of_every_step(window([0.0, 1.0, 9.0, 9.0], [0, 0, 1, 1]), Horizons(2, 4, 3))
    assert chunks.action[..., 0].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert chunks.is_pad.tolist() == [[False, False, True], [False, True, True]]


@given(st.integers(1, 5), st.integers(0, 6), st.integers(1, 4))
def test_chunks_are_slices_and_keep_their_rows(obs_steps: int, more: int, rows: int) -> None:
    horizons = Horizons(obs_steps, obs_steps + more, 1)
    action = torch.randn(rows, horizons.pred_steps, 2)
    is_pad = torch.zeros(rows, horizons.pred_steps, dtype=torch.bool)
    weight = torch.rand(rows)
    chunks = chunk_of_every_step(Batch({}, action, is_pad, weight), horizons)
    assert chunks.action.shape == (rows * obs_steps, more + 1, 2)
    for row in range(rows):
        for step in range(obs_steps):
            index = row * obs_steps + step
            assert torch.equal(chunks.action[index], action[row, step : step + more + 1])
            assert chunks.weight[index] == weight[row]


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_no_step_sees_later_ones(name: str) -> None:
    policy, obs = built(name), torch.randn(2, 6, 3)
    changed = obs.clone()
    changed[:, 4:] += 1.0
    before, after = policy.network(obs), policy.network(changed)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_step_sees_all_earlier_ones(name: str) -> None:
    obs = torch.randn(1, 6, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(built(name).network(obs)[0, -1].square().sum(), obs)
    assert (gradient.abs().sum(dim=-1) > 0).all()


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_with_chunks_of_one_step_each_observation_predicts_its_action(name: str) -> None:
    policy = built(name)
    obs, action = torch.randn(4, 6, 3), torch.rand(4, 6, 2) * 2 - 1
    is_pad = torch.zeros(4, 6, dtype=torch.bool)
    is_pad[0, :3] = True
    found = policy.loss(Batch({"state": obs}, action, is_pad, torch.ones(4)))["loss"]
    mixture = policy.head(policy.network(obs).flatten(0, 1))
    per_step = distributions.MixtureSameFamily(
        distributions.Categorical(logits=mixture.log_weight),
        distributions.Independent(distributions.Normal(mixture.mean[:, :, 0], mixture.std[:, :, 0]), 1),
    ).log_prob(action.flatten(0, 1))
    torch.testing.assert_close(found, -per_step[~is_pad.flatten()].mean())


def test_it_acts_on_the_newest_step() -> None:
    policy = built("bc_rnn")
    with torch.no_grad():  # the first mode is sure, and stands where the newest features say
        policy.head.parameters_of_mixture.bias[-5:] = torch.tensor([50.0, 0, 0, 0, 0])
    obs = torch.randn(7, 6, 3)
    newest: Tensor = policy.head(policy.network(obs)[:, -1]).mean[:, 0]
    acted = policy.predict({"state": obs}, torch.Generator().manual_seed(0)).values
    assert acted.shape == (7, 1, 2)
    torch.testing.assert_close(acted, newest, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("config", "settings", "message"),
    [
        (HistoryMixtureConfig, {"modes": 0}, r"policy\.modes is 0"),
        (HistoryMixtureConfig, {"action_normalization": "gaussian"}, r"policy\.action_normalization=minmax"),
        (BcRnnConfig, {"width": 0}, r"policy\.width is 0"),
        (BcRnnConfig, {"layers": 0}, r"policy\.layers is 0"),
        (CausalTransformerConfig, {"heads": 7}, r"policy\.transformer\.width is 120.*heads = 7"),
        (CausalTransformerConfig, {"layers": 0}, r"policy\.transformer\.layers is 0"),
        (CausalTransformerConfig, {"dropout": 1.0}, r"policy\.transformer\.dropout is 1\.0"),
    ],
)
def test_wrong_settings_are_refused(config: type, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**settings)
