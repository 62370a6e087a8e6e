"""Distributions of torch that are made to draw from given noise draw what they would have drawn."""

import pytest
import torch
from torch import distributions as D
from torch.distributions import Distribution

from imitate.policies.nets.chunk_heads import draw_category
from imitate.policies.nets.drawn_elsewhere import drawing_from
from imitate.policy import CountedNoise, GivenNoise


def test_samples_have_the_distribution() -> None:
    source = CountedNoise(torch.Generator().manual_seed(0))
    weights, means = torch.tensor([0.2, 0.5, 0.3]), torch.tensor([-1.0, 0.0, 3.0])
    rows = 20_000
    with drawing_from(source):
        component = D.Normal(means.expand(rows, 3), torch.full((rows, 3), 0.1))
        drawn = D.MixtureSameFamily(D.Categorical(probs=weights.expand(rows, 3)), component).sample()
        several = D.Categorical(probs=torch.tensor([[0.25, 0.75]])).sample((rows,))
        eps = torch.randn(rows), torch.empty(rows).normal_(), torch.randn_like(drawn), torch.randn((rows,))
    assert source.taken == rows * (1 + 3) + rows + 4 * rows
    share = torch.stack([((drawn - mean).abs() < 0.5).float().mean() for mean in means])
    torch.testing.assert_close(share, weights, atol=0.02, rtol=0)
    assert drawn[(drawn - 3).abs() < 0.5].std() == pytest.approx(0.1, abs=0.01)
    assert several.float().mean() == pytest.approx(0.75, abs=0.02)
    for each in eps:
        assert float(each.mean()) == pytest.approx(0, abs=0.03) and float(each.std()) == pytest.approx(
            1, abs=0.03
        )


def test_the_same_noise_gives_the_same_and_torchs_generator_stays_as_it_is() -> None:
    noise, state = torch.randn(1, 10), torch.get_rng_state()
    made = []
    for _ in range(2):
        with drawing_from(GivenNoise(noise)):
            made.append(D.Normal(torch.zeros(4), torch.ones(4)).rsample())
    assert torch.equal(*made) and torch.equal(made[0], noise[0, :4])
    assert torch.equal(torch.get_rng_state(), state)


def test_arguments_are_checked_again_afterwards() -> None:
    before = Distribution._validate_args
    with pytest.raises(RuntimeError), drawing_from(GivenNoise(torch.zeros(1, 1))):
        raise RuntimeError
    assert Distribution._validate_args == before


def test_categories_are_those_that_a_search_of_the_edges_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    log_weight = torch.randn(500, 7, generator=generator).log_softmax(dim=-1)
    uniform = torch.rand(500, generator=generator)
    uniform[:2] = torch.tensor([0.0, 1.0])
    edges = log_weight.exp().cumsum(dim=-1)
    expected = torch.searchsorted(edges, uniform[:, None])[:, 0].clamp_max(6)
    assert torch.equal(draw_category(log_weight, uniform), expected)
