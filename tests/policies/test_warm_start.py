"""Policies that go on with their last plan: what they take of it, row by row, by diffusion and by flow."""

import numpy as np
import pytest
import torch

from imitate.errors import ConfigError
from imitate.history import PLAN
from imitate.normalize import ArrayStatistics
from imitate.policies.diffusion import Diffusion, DiffusionConfig, moved_on
from imitate.policies.flow import Flow, FlowConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
TINY = FilmMlpConfig(width=16, blocks=1, condition_width=8)
HORIZONS = Horizons(2, 8, 7)
WARM = {
    "diffusion": DiffusionConfig(HORIZONS, denoiser=TINY, inference_steps=2, warm_start=0.3),
    "flow": FlowConfig(HORIZONS, denoiser=TINY, inference_steps=2, warm_start=0.3),
    "flow of velocities": FlowConfig(
        HORIZONS, denoiser=TINY, inference_steps=2, warm_start=0.3, prediction="velocity"
    ),
}


@pytest.fixture(params=WARM)
def policy(request: pytest.FixtureRequest) -> Diffusion | Flow:
    torch.manual_seed(0)
    policy = WARM[request.param].build(SPEC)
    torch.nn.init.normal_(policy.denoiser.head.weight)
    wide = ArrayStatistics(np.full(2, -50.0), np.full(2, 150.0), np.zeros(2), np.ones(2))
    near = ArrayStatistics(np.full(3, -1.0), np.ones(3), np.zeros(3), np.ones(3))
    policy.normalizer.fit({"state": near, "action": wide})
    return policy


def test_a_plan_of_nothing_is_no_plan(policy: Diffusion | Flow) -> None:
    obs = {"state": torch.randn(3, 2, 3)}
    without = policy.predict(obs, torch.Generator().manual_seed(0)).values
    nothing = {**obs, PLAN: torch.full((3, policy.plan_steps, 2), torch.nan)}
    found = policy.predict(nothing, torch.Generator().manual_seed(0)).values
    torch.testing.assert_close(found, without, atol=1e-3, rtol=1e-5)


def test_a_plan_enters_at_its_steps_and_its_ends_are_held(policy: Diffusion | Flow) -> None:
    """Steps 1 and 2 of a chunk of 8 are known, in physical units, and the rest is as they are."""
    plan = torch.full((2, 7, 2), torch.nan)
    plan[0, :2] = torch.tensor([[50.0, 150.0], [-50.0, 50.0]])
    planned, is_known = moved_on(policy, plan)
    assert is_known.tolist() == [True, False]
    expected = torch.tensor([[0.0, 1.0]] * 2 + [[-1.0, 0.0]] * 6)
    torch.testing.assert_close(planned[0], expected)


def test_rows_with_and_without_a_plan_repeat_alone(policy: Diffusion | Flow) -> None:
    obs = torch.randn(4, 2, 3)
    plan = 100 * torch.rand(4, 7, 2)
    plan[::2] = torch.nan

    def chunk(rows: slice) -> torch.Tensor:
        generators = [torch.Generator().manual_seed(i) for i in range(4)][rows]
        return policy.predict({"state": obs[rows], PLAN: plan[rows]}, generators).values

    together = chunk(slice(None))
    for i in range(4):
        torch.testing.assert_close(chunk(slice(i, i + 1))[0], together[i], atol=1e-2, rtol=1e-4)
    plan[1] += 10
    changed = (chunk(slice(None)) - together).abs().amax(dim=(1, 2)) > 0.1
    assert changed.tolist() == [False, True, False, False]


@pytest.mark.parametrize("name", WARM)
def test_an_observation_may_not_be_called_as_the_plan_is(name: str) -> None:
    with pytest.raises(ConfigError, match="an observation is called 'plan'"):
        WARM[name].build(DataSpec({PLAN: ArraySpec((3,))}, ArraySpec((2,))))
