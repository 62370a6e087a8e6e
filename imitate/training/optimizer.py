"""The optimiser and its learning rate: AdamW, warm-up and decay over the share of the run that is done."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers.optimization import get_scheduler
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from imitate.errors import CheckpointError, ConfigError

# The curve is read off diffusers' schedule of a run of this many steps: fine enough to look continuous.
RESOLUTION = 1_000_000

Curve = Callable[[float], float]
"""From the share of the run that is done, in [0, 1], to a factor of the learning rate.

It depends on that share alone: a run limited by minutes follows the same curve as one limited by steps.
"""


@dataclass(frozen=True)
class AdamWConfig:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101) with warm-up, decay and gradient clipping.

    lr: the highest learning rate; None for the one that suits the policy (Policy.learning_rate).
    weight_decay: applies to matrices; biases, norms and other vectors are left alone.
    clip_norm: gradients longer than this are shortened to it.
    schedule: how the rate falls to 0 after the warm-up ("constant" keeps it).
    warmup: the share of the run, of steps or of minutes, over which the rate rises from 0.
    """

    lr: float | None = None
    betas: tuple[float, float] = (0.95, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-6
    clip_norm: float = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.02

    def __post_init__(self) -> None:
        for name in ("lr", "eps", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"optim.{name} is {value}, expected more than 0")
        if not self.weight_decay >= 0:
            raise ConfigError(f"optim.weight_decay is {self.weight_decay}, expected at least 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigError(f"optim.betas is {list(self.betas)}, expected two numbers in [0, 1)")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"optim.warmup is {self.warmup}, expected a share of the run in [0, 1)")

    def build(self, module: nn.Module, lr: float) -> AdamW:
        """The optimiser of the trainable parameters of `module`, at the learning rate `lr`."""
        named = trainable(module)
        fused = all(p.device.type in ("cpu", "cuda") for p in named.values())
        groups: list[dict[str, Any]] = [
            {"params": [p for p in named.values() if p.ndim >= 2]},
            {"params": [p for p in named.values() if p.ndim < 2], "weight_decay": 0.0},
        ]
        settings: dict[str, Any] = {
            "lr": lr,
            "betas": self.betas,
            "eps": self.eps,
            "weight_decay": self.weight_decay,
        }
        return AdamW([group for group in groups if group["params"]], **settings, fused=fused)

    def curve(self) -> Curve:
        """The learning rate over the run, as a share of `lr`."""
        name = "constant_with_warmup" if self.schedule == "constant" else self.schedule
        unused = SGD([torch.zeros((), requires_grad=True)], lr=1.0)
        schedule = get_scheduler(
            name, unused, num_warmup_steps=round(self.warmup * RESOLUTION), num_training_steps=RESOLUTION
        )
        factor = schedule.lr_lambdas[0]
        return lambda progress: float(factor(progress * RESOLUTION))


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of `module` that are trained, by name; tied ones once."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def state_tensors(optimizers: Sequence[Optimizer], module: nn.Module) -> dict[str, Tensor]:
    """What the optimisers remember of each parameter, as "<parameter>/<quantity>" -> tensor."""
    return {
        f"{name}/{key}": value
        for optimizer in optimizers
        for name, parameter in trainable(module).items()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore(
    file: Path, optimizers: Sequence[Optimizer], module: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Undo `state_tensors`; raises CheckpointError naming a tensor that no parameter of this shape owns."""
    owners = {id(p): o for o in optimizers for group in o.param_groups for p in group["params"]}
    parameters = {name: p for name, p in trainable(module).items() if id(p) in owners}
    for optimizer in optimizers:
        optimizer.state.clear()
    for full_name, value in tensors.items():
        name, _, key = full_name.rpartition("/")
        parameter = parameters.get(name)
        if parameter is None or value.shape not in (parameter.shape, torch.Size()):
            expected = "no such parameter" if parameter is None else list(parameter.shape)
            found = list(value.shape)
            raise CheckpointError(
                f"checkpoint {file}: optimiser state {full_name!r} is {found}, expected {expected}"
            )
        owners[id(parameter)].state[parameter][key] = value.to(parameter.device)
