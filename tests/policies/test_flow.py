"""Flow matching: it carries noise where the velocity field says, exactly where that is straight."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from imitate.errors import ConfigError
from imitate.history import PLAN
from imitate.policies.flow import TIMES, Flow, FlowConfig, Prediction
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
TINY = FilmMlpConfig(width=16, blocks=1, condition_width=8)
OBS = {"state": torch.zeros(2000, 2, 3)}
MEAN, STD = 0.3, 0.2


class Exact(nn.Module):
    """The true prediction for chunks of independent N(MEAN, STD²) values, or for one point where STD is 0."""

    def __init__(self, prediction: Prediction, std: float) -> None:
        super().__init__()
        self.prediction, self.std, self.times = prediction, std, []

    def encode(self, obs: Tensor) -> Tensor:
        return obs

    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        self.times.append(step[0].item() / TIMES)
        t = step[:, None, None] / TIMES
        # E[x | x_t] of jointly Gaussian x and x_t = (1 - t) ε + t x.
        variance = t**2 * self.std**2 + (1 - t) ** 2
        clean = MEAN + t * self.std**2 / variance * (noisy - t * MEAN)
        return clean if self.prediction == "sample" else (clean - noisy) / (1 - t)


def sampled(prediction: Prediction, std: float, steps: int) -> tuple[Tensor, Exact]:
    config = FlowConfig(
        denoiser=TINY, prediction=prediction, inference_steps=steps, clip_sample=False,
        action_normalization="identity",
    )  # fmt: skip
    policy = config.build(SPEC).eval()
    exact = Exact(prediction, std)
    policy.denoiser = exact  # type: ignore[assignment]
    return policy.predict(OBS, torch.Generator().manual_seed(0)).values, exact


@pytest.mark.parametrize("prediction", ["velocity", "sample"])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_single_point_is_reached_exactly(prediction: Prediction, steps: int) -> None:
    values, exact = sampled(prediction, 0.0, steps)
    torch.testing.assert_close(values, torch.full_like(values, MEAN))
    assert exact.times == [i / steps for i in range(steps)]


@pytest.mark.parametrize("prediction", ["velocity", "sample"])
def test_many_steps_give_the_distribution(prediction: Prediction) -> None:
    values, _ = sampled(prediction, STD, 200)
    assert values.mean() == pytest.approx(MEAN, abs=0.01)
    assert values.std() == pytest.approx(STD, rel=0.03)


def gone_on(share: float, steps: int, prediction: Prediction = "sample") -> tuple[Tensor, Exact]:
    """Chunks whose plan is MEAN + STD in every second row, and nothing in the others."""
    config = FlowConfig(
        denoiser=TINY, prediction=prediction, inference_steps=steps, clip_sample=False,
        action_normalization="identity", warm_start=share,
    )  # fmt: skip
    policy = config.build(SPEC).eval()
    exact = Exact(prediction, STD)
    policy.denoiser = exact  # type: ignore[assignment]
    plan = torch.full((2000, policy.plan_steps, 2), MEAN + STD)
    plan[1::2] = torch.nan
    return policy.predict({**OBS, PLAN: plan}, torch.Generator().manual_seed(0)).values, exact


@pytest.mark.parametrize("prediction", ["velocity", "sample"])
def test_a_warm_start_keeps_more_of_the_plan_the_less_noise_it_begins_with(prediction: Prediction) -> None:
    """The way of a Gaussian is known: what is above the mean stays so in units of its spread at that time."""
    for share in (0.1, 0.5, 1.0):
        values, _ = gone_on(share, 50, prediction)
        assert values[1::2].mean() == pytest.approx(MEAN, abs=0.02)
        spread = math.hypot((1 - share) * STD, share)
        kept = (values[::2].mean() - MEAN).item() / STD
        assert kept == pytest.approx((1 - share) * STD / spread, abs=0.02)


@given(st.floats(1e-3, 1.0), st.sampled_from([1, 2, 4, 5, 8, 10, 20]))
def test_a_warm_start_takes_even_steps_on_the_grid_from_its_share_of_noise(share: float, steps: int) -> None:
    stride, warm = FlowConfig(warm_start=share, inference_steps=steps).strides()
    assert stride * steps == TIMES
    assert 1 <= warm <= stride
    assert abs(warm * steps / TIMES - share) <= max(0.5, 1 - share * TIMES / steps) * steps / TIMES + 1e-9


def test_times_of_a_warm_start_end_as_those_of_the_others() -> None:
    class PerRow(Exact):
        def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
            self.times.append(step[:2].tolist())
            return torch.full_like(noisy, MEAN)

    policy = FlowConfig(denoiser=TINY, inference_steps=2, warm_start=0.3, clip_sample=False,
                        action_normalization="identity").build(SPEC).eval()  # fmt: skip
    policy.denoiser = network = PerRow("sample", 0.0)  # type: ignore[assignment]
    plan = torch.zeros(2000, policy.plan_steps, 2)
    plan[1::2] = torch.nan
    policy.predict({**OBS, PLAN: plan}, torch.Generator().manual_seed(0))
    assert network.times == [[700, 0], [850, 500]]


def drawn(**settings: str) -> Tensor:
    torch.manual_seed(0)
    policy = FlowConfig(denoiser=TINY, **settings).build(SPEC)  # type: ignore[arg-type]
    assert isinstance(policy, Flow)
    return policy._draw_times(20000, torch.device("cpu")).double() / TIMES


def test_times_are_drawn_from_the_grid() -> None:
    for time, mean in (("uniform", 0.5), ("beta", 0.4)):  # E[Beta(1.5, 1)] = 0.6
        times = drawn(time=time)
        assert times.min() >= 0 and times.max() < 1
        assert times.mean() == pytest.approx(mean, abs=0.01)


def test_both_targets_have_the_same_best_prediction() -> None:
    """The error of the velocity is that of the sample over (1 - t)²: perfect networks have neither."""
    torch.manual_seed(0)
    batch = Batch(
        {"state": torch.zeros(64, 2, 3)},
        torch.full((64, 16, 2), MEAN),
        torch.zeros(64, 16, dtype=torch.bool),
        torch.ones(64),
    )
    predictions: tuple[Prediction, ...] = ("velocity", "sample")
    for prediction in predictions:
        policy = FlowConfig(
            denoiser=TINY, prediction=prediction, clip_sample=False, action_normalization="identity"
        ).build(SPEC)

        class PerRow(Exact):
            def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
                t = step[:, None, None] / TIMES
                return (
                    torch.full_like(noisy, MEAN) if self.prediction == "sample" else (MEAN - noisy) / (1 - t)
                )

        policy.denoiser = PerRow(prediction, 0.0)  # type: ignore[assignment]
        assert math.isclose(policy.loss(batch)["loss"].item(), 0.0, abs_tol=1e-6)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"policy\.inference_steps is 7, expected a divisor of 1000"):
        FlowConfig(inference_steps=7)
    with pytest.raises(ConfigError, match=r"policy\.prediction is 'velocty' \(did you mean 'velocity'\?\)"):
        FlowConfig(prediction="velocty")  # type: ignore[arg-type]
    with pytest.raises(
        ConfigError, match=r"policy\.warm_start is 1\.5, expected a share of noise from 0 to 1"
    ):
        FlowConfig(warm_start=1.5)
    with pytest.raises(ConfigError, match=r"policy\.clip_sample=false"):
        FlowConfig(action_normalization="gaussian")
