"""The arithmetic that all policies share: horizons, noise per row, masks."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from imitate.errors import ConfigError
from imitate.policy import Horizons, draw_noise, masked_mean

CPU = torch.device("cpu")


def generators(seeds: list[int]) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


@given(st.integers(1, 8), st.integers(1, 32), st.integers(1, 32))
def test_executed_steps_lie_inside_the_prediction_or_are_refused(to: int, tp: int, ta: int) -> None:
    if to - 1 + ta <= tp:
        assert Horizons(to, tp, ta).action_steps == ta
    else:
        with pytest.raises(ConfigError, match=r"policy\.horizons\.action_steps"):
            Horizons(to, tp, ta)


@pytest.mark.parametrize("name", ["obs_steps", "pred_steps", "action_steps"])
def test_a_horizon_of_no_steps_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"policy.horizons.{name} is 0, expected at least 1"):
        Horizons(**{name: 0})


@given(st.lists(st.integers(0, 2**31), min_size=2, max_size=6, unique=True))
def test_noise_of_a_row_depends_on_its_own_generator_only(seeds: list[int]) -> None:
    together = draw_noise((len(seeds), 4, 2), generators(seeds), CPU)
    backwards = draw_noise((len(seeds), 4, 2), generators(seeds[::-1]), CPU)
    assert torch.equal(together, backwards.flip(0))
    for row, seed in zip(together, seeds, strict=True):
        assert torch.equal(row, draw_noise((1, 4, 2), generators([seed]), CPU)[0])
    assert not torch.equal(together[0], together[1])


def test_one_generator_serves_the_whole_batch() -> None:
    one, other = (draw_noise((3, 5), generators([7])[0], CPU) for _ in range(2))
    assert torch.equal(one, other) and not torch.equal(one[0], one[1])


def test_noise_is_standard_normal() -> None:
    noise = draw_noise((4, 50_000), generators([0, 1, 2, 3]), CPU)
    assert noise.mean(1).abs().max() < 0.02 and (noise.std(1) - 1).abs().max() < 0.02


def test_as_many_generators_as_rows() -> None:
    with pytest.raises(ConfigError, match="2 generators for a batch of 3"):
        draw_noise((3, 5), generators([0, 1]), CPU)


@st.composite
def masked(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    rows, steps = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    torch.manual_seed(draw(st.integers(0, 2**31)))
    is_pad = torch.rand(rows, steps) < draw(st.floats(0, 1))
    return torch.rand(rows, steps), is_pad, torch.rand(rows) + 0.1


@given(masked(), st.sampled_from([math.nan, math.inf, 1e30]))
def test_padded_steps_have_no_influence_whatever_they_hold(
    case: tuple[Tensor, Tensor, Tensor], rubbish: float
) -> None:
    per_step, is_pad, weight = case
    dirty = per_step.masked_fill(is_pad, rubbish).requires_grad_()
    mean = masked_mean(dirty, is_pad, weight)
    assert torch.equal(mean, masked_mean(per_step, is_pad, weight))
    mean.backward()
    assert dirty.grad is not None and dirty.grad.isfinite().all() and not dirty.grad[is_pad].any()


@given(masked(), st.floats(0.5, 10))
def test_masked_mean_is_the_weighted_mean_of_the_kept_steps(
    case: tuple[Tensor, Tensor, Tensor], scale: float
) -> None:
    per_step, is_pad, weight = case
    kept = [
        (float(weight[i]), float(per_step[i, t]))
        for i in range(len(weight))
        for t in range(per_step.shape[1])
        if not is_pad[i, t]
    ]
    expected = sum(w * x for w, x in kept) / sum(w for w, _ in kept) if kept else 0.0
    assert float(masked_mean(per_step, is_pad, weight)) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    assert float(masked_mean(per_step, is_pad, weight * scale)) == pytest.approx(expected, rel=1e-4, abs=1e-6)
