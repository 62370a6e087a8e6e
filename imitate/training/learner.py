"""One training step, and the whole numerical state that it changes."""

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from imitate.checkpoint import load_weights
from imitate.errors import ConfigError
from imitate.policy import Policy, SelfTrainedPolicy
from imitate.training.compiling import Mode, compile_mode, compiled
from imitate.training.config import TrainConfig
from imitate.training.ema import Ema
from imitate.training.optimizer import AdamWConfig, restore, state_tensors, trainable
from imitate.types import Batch


class Learner:
    """A policy in training: its weights, their average and the optimiser, on the device of `config`.

    Its state is a pure function of the first weights and the batches: the noise of step s comes from a seed
    made of (config.seed, s), so that nothing else has to be remembered to resume.
    """

    def __init__(self, policy: Policy, optim: AdamWConfig, config: TrainConfig) -> None:
        self.config, self.optim = config, optim
        self.learning_rate = policy.learning_rate if optim.lr is None else optim.lr
        self.device = config.torch_device()
        self.policy = policy.to(self.device).train()
        self._self_trained = _self_trained(self.policy, optim, config)
        if self._self_trained is None:
            self.optimizers: Sequence[Optimizer] = [optim.build(self.policy, self.learning_rate)]
        else:
            self.optimizers = self._self_trained.optimizers()
        self.optimizer = self.optimizers[0]
        self.curve = optim.curve()
        self.ema = Ema(self.policy, config.ema_power, config.ema_max_decay)
        self._parameters = list(trainable(self.policy).values())
        self._loss = compiled(policy.loss, self._compile_mode()) if config.compile else policy.loss
        self._dtype = config.autocast_dtype()

    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Tensor]:
        """Learn from `batch` as step number `step`, when `progress` of the run is done.

        Returns the policy's scalars, detached, on the device, and unless it trains itself "grad_norm" (before
        clipping).
        """
        seed_noise(self.config.seed, step, self.device)
        batch = batch.to(self.device)
        if self._self_trained is None:
            metrics = self._descend(batch, progress)
        else:
            metrics = self._self_trained.learn(batch, step)
        self.ema.update(step)
        return {name: value.detach() for name, value in metrics.items()}

    def _descend(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * self.curve(progress)
        # Before the loss, so that nothing of the step before is held when recorded graphs run again.
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            metrics = self._loss(batch)
        metrics["loss"].backward()
        grad_norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.optim.clip_norm)
        self.optimizer.step()
        return {**metrics, "grad_norm": grad_norm}

    def _compile_mode(self) -> Mode:
        return compile_mode(self.policy, self.device)

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision, where the settings ask for it."""
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32)

    def tensors(self, with_optimizer: bool) -> dict[str, Tensor]:
        """Everything to save, by the names that a checkpoint uses."""
        parts = {"live": self.policy.state_dict(), "ema": self.ema.averaged().state_dict()}
        if with_optimizer:
            parts["optim"] = state_tensors(self.optimizers, self.policy)
        return {f"{part}/{name}": value for part, tensors in parts.items() for name, value in tensors.items()}

    def restore(self, file: Path, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors(with_optimizer=True)` gave, read from `file`; raises CheckpointError."""
        load_weights(file, self.policy, _under("live/", tensors))
        load_weights(file, self.ema.policy, _under("ema/", tensors))
        restore(file, self.optimizers, self.policy, _under("optim/", tensors))


def _self_trained(policy: Policy, optim: AdamWConfig, config: TrainConfig) -> SelfTrainedPolicy | None:
    """`policy` where it trains itself; raises ConfigError for settings that would have no influence on it."""
    if not isinstance(policy, SelfTrainedPolicy):
        return None
    for name in (field.name for field in dataclasses.fields(optim)):
        found, default = getattr(optim, name), getattr(AdamWConfig(), name)
        if found != default:
            raise ConfigError(f"optim.{name} is {found}, but {_TRAINS_ITSELF}: leave it at {default}")
    if config.compile or config.precision == "bf16":
        raise ConfigError(f"train.compile or train.precision=bf16 is set, but {_TRAINS_ITSELF} in float32")
    return policy


_TRAINS_ITSELF = "this policy trains itself, by optimisers of its own"


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def seed_noise(seed: int, step: int, device: torch.device) -> None:
    """Fix torch's random numbers on the CPU and `device` from (seed, step)."""
    mixed = int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])
    # Not torch.manual_seed: without a GPU that remembers every call, 0.2 ms and a stack trace each.
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        torch.cuda.manual_seed(mixed)
