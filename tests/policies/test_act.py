"""ACT: the latent, its divergence, and what padding may do."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.policies.act import Act, ActConfig, kl_to_standard_normal
from imitate.policy import Horizons
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
TINY = ActConfig(Horizons(2, 8, 7), width=16, heads=2, feedforward=32, encoder_layers=1, latent_size=4)
OBS = {"state": torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))}


def built(config: ActConfig = TINY) -> Act:
    torch.manual_seed(0)
    policy = config.build(SPEC).eval()
    torch.nn.init.normal_(policy.head.weight)
    return policy


@given(st.floats(-3, 3), st.floats(-2, 2))
def test_divergence_is_that_of_gaussians(mean: float, log_std: float) -> None:
    parameters = torch.tensor([[mean]], dtype=torch.float64), torch.tensor([[log_std]], dtype=torch.float64)
    ours = kl_to_standard_normal(*parameters).item()
    normal = torch.distributions.Normal(parameters[0], parameters[1].exp())
    standard = torch.distributions.Normal(torch.zeros(1, 1).double(), torch.ones(1, 1).double())
    theirs = torch.distributions.kl_divergence(normal, standard).item()
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert ours >= -1e-12


def test_no_divergence_from_itself() -> None:
    assert kl_to_standard_normal(torch.zeros(2, 4), torch.zeros(2, 4)).tolist() == [0.0, 0.0]


def test_the_posterior_does_not_see_padding() -> None:
    policy, seen = built(), torch.randn(3, 2, 3)
    action, is_pad = torch.randn(3, 8, 2), torch.zeros(3, 8, dtype=torch.bool)
    is_pad[:, 5:] = True
    disturbed = torch.where(is_pad[:, :, None], torch.tensor(float("inf")), action)
    told, told_again = policy.posterior(seen, action, is_pad), policy.posterior(seen, disturbed, is_pad)
    torch.testing.assert_close(told, told_again)
    action[:, 4] += 1.0
    assert not torch.allclose(policy.posterior(seen, action, is_pad)[0], told[0])


def test_a_latent_of_zero_draws_nothing_and_a_drawn_one_matters() -> None:
    def chunks(config: ActConfig, seed: int) -> torch.Tensor:
        return built(config).predict(OBS, torch.Generator().manual_seed(seed)).values

    assert torch.equal(chunks(TINY, 0), chunks(TINY, 1))
    drawn = replace(TINY, latent="sample")
    assert torch.equal(chunks(drawn, 0), chunks(drawn, 0))
    assert not torch.allclose(chunks(drawn, 0), chunks(drawn, 1))


def test_loss_is_its_parts() -> None:
    batch = Batch(OBS, torch.randn(5, 8, 2), torch.zeros(5, 8, dtype=torch.bool), torch.ones(5))
    parts = built(replace(TINY, kl_weight=3.0)).loss(batch)
    torch.testing.assert_close(parts["loss"], parts["l1"] + 3.0 * parts["kl"])


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"policy\.width is 256, which policy\.heads = 3 does not"):
        ActConfig(heads=3)
    with pytest.raises(ConfigError, match=r"policy\.kl_weight is -1, expected 0 or more"):
        ActConfig(kl_weight=-1)
    with pytest.raises(ConfigError, match=r"policy\.latent is 'smaple' \(did you mean 'sample'\?\)"):
        ActConfig(latent="smaple")  # type: ignore[arg-type]
