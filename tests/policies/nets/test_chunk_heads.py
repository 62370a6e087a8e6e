"""Heads over chunks: the mixture against torch.distributions, and the choice of modes."""

import pytest
import torch
from torch import distributions

from imitate.policies.nets.chunk_heads import Mixture

B, K, T, D = 6, 5, 4, 3


def mixture() -> Mixture:
    torch.manual_seed(0)
    return Mixture(
        torch.randn(B, K).log_softmax(dim=-1), torch.randn(B, K, T, D), torch.rand(B, K, T, D) + 0.1
    )


def reference(m: Mixture, steps: slice = slice(None)) -> distributions.MixtureSameFamily:
    components = distributions.Independent(distributions.Normal(m.mean[:, :, steps], m.std[:, :, steps]), 2)
    return distributions.MixtureSameFamily(distributions.Categorical(logits=m.log_weight), components)


def test_log_likelihood_equals_torch_distributions() -> None:
    m, action = mixture(), torch.randn(B, T, D)
    found = m.log_likelihood(action, torch.zeros(B, T, dtype=torch.bool))
    torch.testing.assert_close(found, reference(m).log_prob(action))


def test_log_likelihood_of_a_padded_chunk_is_that_of_its_real_steps() -> None:
    m, action = mixture(), torch.randn(B, T, D)
    is_pad = torch.tensor([True, False, False, True]).expand(B, T)
    real = slice(1, 3)
    expected = reference(m, real).log_prob(action[:, real])
    torch.testing.assert_close(m.log_likelihood(action, is_pad), expected)


def test_modes_are_chosen_by_their_weight() -> None:
    weight = torch.tensor([0.1, 0.0, 0.6, 0.3])
    count = 1000
    means = torch.arange(4.0).view(1, 4, 1, 1).expand(count, 4, 1, 1)
    m = Mixture(weight.log().expand(count, 4), means, torch.ones_like(means))
    uniform = (torch.arange(count) + 0.5) / count
    found = torch.bincount(m.choose(uniform).flatten().long(), minlength=4) / count
    torch.testing.assert_close(found, weight, atol=2e-3, rtol=0)


@pytest.mark.parametrize("edge", [0.0, 1.0])
def test_the_ends_of_the_unit_interval_choose_a_mode(edge: float) -> None:
    m = mixture()
    chosen = m.choose(torch.full((B,), edge))
    expected = m.mean[:, 0 if edge == 0 else K - 1]
    assert torch.equal(chosen, expected)
