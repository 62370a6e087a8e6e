"""What makes training fast changes nothing that is learnt: the loss after 40 steps is a plain loop's."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from imitate.errors import ConfigError
from imitate.export.compiling import require_compiler
from imitate.normalize import ArrayStatistics
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets import convolution
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.transformer import TransformerConfig
from imitate.policies.nets.unet1d import UNet1dConfig
from imitate.policy import Policy
from imitate.training import learner
from imitate.training.compiling import Mode
from imitate.training.config import TrainConfig
from imitate.training.learner import Learner, seed_noise
from imitate.training.optimizer import AdamWConfig
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
STEPS, ROWS = 40, 64
RATE = 1e-3
OPTIM = AdamWConfig(lr=RATE)
DENOISERS = {
    "unet": UNet1dConfig(widths=(16, 32)),
    "mlp": FilmMlpConfig(width=32, blocks=2),
    "transformer": TransformerConfig(width=32, layers=2, dropout=0.0),
}


def made(name: str) -> Policy:
    torch.manual_seed(0)
    policy = DiffusionConfig(denoiser=DENOISERS[name]).build(SPEC)
    one = torch.ones(3).double().numpy()
    policy.normalizer.fit(
        {
            key: ArrayStatistics(-one[:n], one[:n], 0 * one[:n], one[:n])
            for key, n in (("state", 3), ("action", 2))
        }
    )
    return policy


def batch(step: int) -> Batch:
    """Straight lines from where the state says."""
    state = torch.rand(ROWS, 2, 3, generator=torch.Generator().manual_seed(step)) * 2 - 1
    action = state[:, -1:, :2] * torch.linspace(0, 1, 16)[None, :, None]
    return Batch({"state": state}, action, torch.zeros(ROWS, 16, dtype=torch.bool), torch.ones(ROWS))


def plain(name: str) -> tuple[list[float], dict[str, Tensor]]:
    """Losses and averaged weights of a loop without anything that makes it fast."""
    policy, optim, config = made(name).train(), OPTIM, TrainConfig(device="cpu")
    weights = list(policy.parameters())
    groups = [
        {"params": [w for w in weights if w.ndim >= 2], "weight_decay": optim.weight_decay},
        {"params": [w for w in weights if w.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(
        groups, lr=RATE, betas=optim.betas, eps=optim.eps, foreach=False, fused=False
    )
    curve, losses = optim.curve(), []
    average = {key: w.detach().clone() for key, w in policy.named_parameters()}
    for step in range(STEPS):
        seed_noise(config.seed, step, torch.device("cpu"))
        for group in optimizer.param_groups:
            group["lr"] = RATE * curve(step / STEPS)
        loss = policy.loss(batch(step))["loss"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, optim.clip_norm, foreach=False)
        optimizer.step()
        decay = min(config.ema_max_decay, max(0.0, 1 - (1 + step) ** -config.ema_power))
        for key, w in policy.named_parameters():
            average[key] = decay * average[key] + (1 - decay) * w.detach()
        losses.append(float(loss.detach()))
    return losses, average


def fast(name: str, compile: bool = False) -> tuple[list[float], dict[str, Tensor]]:
    """The same by the learner that `imitate train` uses."""
    made_fast = Learner(made(name), OPTIM, TrainConfig(device="cpu", precision="fp32", compile=compile))
    losses = [float(made_fast.step(batch(step), step, step / STEPS)["loss"]) for step in range(STEPS)]
    return losses, dict(made_fast.ema.averaged().named_parameters())


def require_same(
    found: tuple[list[float], dict[str, Tensor]], wanted: tuple[list[float], dict[str, Tensor]]
) -> None:
    assert found[0] == pytest.approx(wanted[0], rel=2e-3)
    for name, value in wanted[1].items():
        torch.testing.assert_close(found[1][name], value, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("name", DENOISERS)
def test_the_learner_learns_what_a_plain_loop_learns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = fast(name)
    with monkeypatch.context() as slow:
        slow.setattr(convolution, "SHORT", 0)
        wanted = plain(name)
    require_same(found, wanted)
    # The others take longer before they learn anything.
    assert name != "mlp" or wanted[0][-1] < 0.9 * wanted[0][0]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", get_args(Mode))
def test_the_compiled_loss_learns_the_same(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU nothing is recorded, but all that is done for it beside is done."""
    from torch._inductor import config as settings

    try:
        require_compiler()
    except ConfigError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(learner, "compile_mode", lambda *_: mode)
    # The compiler draws noise of its own, unless told to draw what the plain loop draws.
    with settings.patch({"fallback_random": True}):
        require_same(fast("mlp", compile=True), plain("mlp"))
