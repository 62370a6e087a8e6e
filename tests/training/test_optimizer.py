"""AdamW: which parameters decay, how the rate runs, and that its memory survives being stored."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from imitate.errors import CheckpointError, ConfigError
from imitate.training.optimizer import AdamWConfig, restore, state_tensors


def small_net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1))


def step(net: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    x = torch.randn(8, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    net(x).pow(2).mean().backward()
    optimizer.step()


def test_only_matrices_decay() -> None:
    net = small_net()
    optimizer = AdamWConfig(weight_decay=0.5).build(net, 0.1)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in net.named_parameters():
        factor = 0.95 if parameter.ndim >= 2 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


@given(warmup=st.floats(0.001, 0.5), progress=st.floats(0, 1))
def test_cosine_rises_then_falls_to_zero(warmup: float, progress: float) -> None:
    curve = AdamWConfig(warmup=warmup).curve()
    if progress < warmup:
        expected = progress / warmup
    else:
        expected = 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
    assert curve(progress) == pytest.approx(expected, abs=2e-3)
    assert curve(0.0) == 0.0
    assert curve(warmup) == pytest.approx(1.0, abs=2e-3)
    assert curve(1.0) == pytest.approx(0.0, abs=1e-9)


def test_other_schedules_end_where_they_say() -> None:
    assert AdamWConfig(schedule="constant").curve()(1.0) == 1.0
    assert AdamWConfig(schedule="linear", warmup=0.0).curve()(0.25) == pytest.approx(0.75)
    assert AdamWConfig(schedule="constant", warmup=0.0).curve()(0.0) == 1.0


def test_restored_memory_goes_on_the_same() -> None:
    whole, part = small_net(), small_net()
    of_whole, of_part = AdamWConfig().build(whole, 1e-3), AdamWConfig().build(part, 1e-3)
    for seed in range(3):
        step(whole, of_whole, seed)
        step(part, of_part, seed)
    stored = {name: value.clone() for name, value in state_tensors([of_part], part).items()}
    fresh = AdamWConfig().build(part, 1e-3)
    restore("x", [fresh], part, stored)
    step(whole, of_whole, 3)
    step(part, fresh, 3)
    for a, b in zip(whole.parameters(), part.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("0.weight/exp_avg", torch.ones(2), r"'0.weight/exp_avg' is \[2\], expected \[4, 3\]"),
        ("9.weight/exp_avg", torch.ones(2), r"'9.weight/exp_avg' is \[2\], expected no such parameter"),
    ],
)
def test_memory_of_another_net_is_refused(name: str, value: torch.Tensor, message: str) -> None:
    net = small_net()
    with pytest.raises(CheckpointError, match=message):
        restore("x", [AdamWConfig().build(net, 1e-3)], net, {name: value})


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": 0.0},
        {"betas": (0.9, 1.0)},
        {"weight_decay": -1.0},
        {"warmup": 1.0},
        {"clip_norm": 0.0},
        {"lr": math.nan},
    ],
)
def test_impossible_settings_name_the_key(settings: dict) -> None:
    with pytest.raises(ConfigError, match=rf"optim\.{next(iter(settings))} is"):
        AdamWConfig(**settings)
