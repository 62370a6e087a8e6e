"""Flow matching: it carries noise where the velocity field says, exactly where that is straight."""

import math

import pytest
import torch
from torch import Tensor, nn

from imitate.errors import ConfigError
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
        self.times.append(step.item() / TIMES)
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
    with pytest.raises(ConfigError, match=r"policy\.clip_sample=false"):
        FlowConfig(action_normalization="gaussian")
