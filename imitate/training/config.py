"""The settings of a training run that do not belong to the policy, the data or the optimiser."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch

from imitate.device import chosen_device
from imitate.errors import ConfigError

Precision = Literal["auto", "bf16", "fp32"]


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast and how closely watched a policy is trained.

    max_steps, max_minutes: training ends with whichever comes first; null is no limit, and one must be set.
        Minutes count from the first step, periodic rollouts and saves included, the last rollouts excluded.
    batch_size: windows per step.
    seed: fixes first weights, order of the data and noise of every step.
    device: "auto" takes a GPU where there is one.
    precision: "bf16" is mixed precision with float32 weights; "auto" takes it where the hardware multiplies
        it, since elsewhere it is several times slower than "fp32".
    compile: compile the loss with torch.compile; needs a C++ compiler and a minute at the start.
    ema_power, ema_max_decay: the averaged weights of step s keep min(1 - (1 + s)^-ema_power, ema_max_decay)
        of what they were.
    log_every: steps between two rows of the log.
    save_minutes: time between two saves of `last`.
    validations: how many times, evenly over the run, loss and action error on validation episodes are logged.
    evaluations: how many times, evenly over the run, the policy is rolled out; 0 never.
    eval_episodes, eval_seed: each evaluation runs these many episodes from these seeds on, apart from the
        seeds of demonstrations (from 0) and of final evaluations (from 100000).
    eval_workers: simulator processes of an evaluation, 0 for none besides this one.
    checkpoints: how many times, evenly over the run, the averaged weights are kept, so that several can be
        evaluated later; each takes about a quarter of the space of `last`; 0 never.
    wandb: the project at Weights & Biases to log to; empty for none.
    """

    max_steps: int | None = None
    max_minutes: float | None = 10.0
    batch_size: int = 256
    seed: int = 0
    device: str = "auto"
    precision: Precision = "auto"
    compile: bool = False
    ema_power: float = 0.75
    ema_max_decay: float = 0.9999
    log_every: int = 100
    save_minutes: float = 2.0
    validations: int = 10
    evaluations: int = 4
    eval_episodes: int = 20
    eval_seed: int = 50_000
    eval_workers: int = 2
    checkpoints: int = 0
    wandb: str = ""

    def __post_init__(self) -> None:
        if self.max_steps is None and self.max_minutes is None:
            raise ConfigError("train.max_steps and train.max_minutes are both null: set at least one")
        for name in ("max_steps", "batch_size", "log_every", "eval_episodes"):
            _require(name, getattr(self, name), lambda v: v is None or v >= 1, "at least 1")
        counts = ("validations", "evaluations", "checkpoints")
        for name in ("seed", "eval_seed", "eval_workers", "save_minutes", *counts):
            _require(name, getattr(self, name), lambda v: v >= 0, "at least 0")
        for name in ("max_minutes", "ema_power"):
            _require(name, getattr(self, name), lambda v: v is None or v > 0, "more than 0")
        _require("ema_max_decay", self.ema_max_decay, lambda v: 0 <= v < 1, "in [0, 1)")
        self.torch_device()

    def torch_device(self) -> torch.device:
        """The device to train on."""
        return chosen_device(self.device, "train.device")

    def autocast_dtype(self) -> torch.dtype:
        """What matrices are multiplied in: bfloat16 or float32."""
        if self.precision == "auto":
            return torch.bfloat16 if multiplies_bf16(self.torch_device()) else torch.float32
        return torch.bfloat16 if self.precision == "bf16" else torch.float32

    def progress(self, step: int, elapsed_s: float) -> float:
        """The share of the run that is done after `step` steps and `elapsed_s` seconds, at most 1."""
        by_steps = step / self.max_steps if self.max_steps else 0.0
        by_time = elapsed_s / (60.0 * self.max_minutes) if self.max_minutes else 0.0
        return min(1.0, max(by_steps, by_time))


def multiplies_bf16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices faster than those of float32.

    A CPU does with AMX. AVX512_BF16 alone is not enough: 512 x 512 x 512 ran at 84 GFLOP/s in bfloat16 and
    at 160 in float32 on one core of an Intel Xeon at 2.3 GHz that has it; without it, operands are
    converted.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def _require(name: str, value: float, holds: Callable[[Any], bool], expected: str) -> None:
    if not holds(value):
        raise ConfigError(f"train.{name} is {value}, expected {expected}")
