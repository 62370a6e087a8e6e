"""One training step, and the whole numerical state that it changes."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from imitate.checkpoint import load_weights
from imitate.errors import TrainingError
from imitate.policy import Policy
from imitate.training.config import TrainConfig
from imitate.training.ema import Ema
from imitate.training.optimizer import AdamWConfig, restore, state_tensors, trainable
from imitate.types import Batch

Loss = Callable[[Batch], dict[str, Tensor]]


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
        self.optimizer = optim.build(self.policy, self.learning_rate)
        self.curve = optim.curve()
        self.ema = Ema(self.policy, config.ema_power, config.ema_max_decay)
        self._parameters = list(trainable(self.policy).values())
        self._loss = compiled(policy.loss) if config.compile else policy.loss
        self._dtype = config.autocast_dtype()

    def step(self, batch: Batch, step: int, progress: float) -> dict[str, Tensor]:
        """Learn from `batch` as step number `step`, when `progress` of the run is done.

        Returns the policy's scalars and "grad_norm" (before clipping), detached, on the device.
        """
        seed_noise(self.config.seed, step, self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * self.curve(progress)
        with self.autocast():
            metrics = self._loss(batch.to(self.device))
        self.optimizer.zero_grad(set_to_none=True)
        metrics["loss"].backward()
        grad_norm = torch.nn.utils.clip_grad_norm_(self._parameters, self.optim.clip_norm)
        self.optimizer.step()
        self.ema.update(step)
        return {**{name: value.detach() for name, value in metrics.items()}, "grad_norm": grad_norm}

    def autocast(self) -> AbstractContextManager[None]:
        """Mixed precision, where the settings ask for it."""
        return torch.autocast(self.device.type, self._dtype, enabled=self._dtype != torch.float32)

    def tensors(self, with_optimizer: bool) -> dict[str, Tensor]:
        """Everything to save, by the names that a checkpoint uses."""
        parts = {"live": self.policy.state_dict(), "ema": self.ema.averaged().state_dict()}
        if with_optimizer:
            parts["optim"] = state_tensors(self.optimizer, self.policy)
        return {f"{part}/{name}": value for part, tensors in parts.items() for name, value in tensors.items()}

    def restore(self, file: Path, tensors: Mapping[str, Tensor]) -> None:
        """Take over what `tensors(with_optimizer=True)` gave, read from `file`; raises CheckpointError."""
        load_weights(file, self.policy, _under("live/", tensors))
        load_weights(file, self.ema.policy, _under("ema/", tensors))
        restore(file, self.optimizer, self.policy, _under("optim/", tensors))


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def compiled(loss: Loss) -> Loss:
    """The same, compiled when it is first called; raises TrainingError where that cannot be done here."""
    fast = torch.compile(loss)

    def call(batch: Batch) -> dict[str, Tensor]:
        try:
            return fast(batch)
        except torch._dynamo.exc.TorchDynamoException as error:
            cause = str(error).strip().splitlines()[0]
            raise TrainingError(f"train.compile=true does not work here, set it to false: {cause}") from error

    return call


def seed_noise(seed: int, step: int, device: torch.device) -> None:
    """Fix torch's random numbers on the CPU and `device` from (seed, step)."""
    mixed = int(np.random.SeedSequence((seed, step)).generate_state(1, np.uint64)[0])
    # Not torch.manual_seed: without a GPU that remembers every call, 0.2 ms and a stack trace each.
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        torch.cuda.manual_seed(mixed)
