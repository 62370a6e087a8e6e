"""The contract of a policy: what training, rollouts, export and deployment may ask of it."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from imitate.errors import ConfigError
from imitate.normalize import Normalizer
from imitate.types import ActionChunk, Batch, DataSpec


class NoiseSource(ABC):
    """Where noise comes from that was, or is to be, drawn outside the policy: see imitate.export."""

    @abstractmethod
    def take(self, shape: Sequence[int]) -> Tensor:
        """The next noise of `shape` (B, …), standard normal."""

    @abstractmethod
    def rows(self, count: int) -> "Sequence[NoiseSource]":
        """One source for each of the `count` rows of a batch, for policies that act row by row."""


class GivenNoise(NoiseSource):
    """Hands out the columns of noise (B, N), from the first on; raises ConfigError where they run out."""

    def __init__(self, noise: Tensor) -> None:
        self.noise = noise
        self.taken = 0

    def take(self, shape: Sequence[int]) -> Tensor:
        """See NoiseSource."""
        size = math.prod(shape[1:])
        if shape[0] != len(self.noise) or self.taken + size > self.noise.shape[1]:
            raise ConfigError(
                f"noise of {list(shape)} was asked for after {self.taken} of {list(self.noise.shape)}"
            )
        self.taken += size
        return self.noise[:, self.taken - size : self.taken].reshape(tuple(shape))

    def rows(self, count: int) -> Sequence[NoiseSource]:
        """See NoiseSource."""
        if count != len(self.noise):
            raise ConfigError(f"noise for {len(self.noise)} rows for a batch of {count}")
        return [GivenNoise(row) for row in self.noise.split(1)]


class CountedNoise(NoiseSource):
    """For one row: draws noise from a generator and counts how many numbers are asked for, `taken`."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator
        self.taken = 0

    def take(self, shape: Sequence[int]) -> Tensor:
        """See NoiseSource."""
        self.taken += math.prod(shape[1:])
        return torch.randn(tuple(shape), generator=self.generator, device=self.generator.device)

    def rows(self, count: int) -> Sequence[NoiseSource]:
        """See NoiseSource."""
        if count != 1:
            raise ConfigError(f"noise is counted for one row, not for a batch of {count}")
        return [self]


Generator = torch.Generator | Sequence[torch.Generator] | NoiseSource
"""Where a policy's randomness comes from: one generator, or one per row of the batch, or noise itself.

With one per row a row's noise does not depend on what else is in the batch, so an episode can be repeated
alone and gives the same actions.
"""


@dataclass(frozen=True)
class Horizons:
    """obs_steps To, pred_steps Tp and action_steps Ta of a policy, in control steps."""

    obs_steps: int = 2
    pred_steps: int = 16
    action_steps: int = 8

    def __post_init__(self) -> None:
        for name in ("obs_steps", "pred_steps", "action_steps"):
            value = getattr(self, name)
            if value < 1:
                raise ConfigError(f"policy.horizons.{name} is {value}, expected at least 1")
        room = self.pred_steps - self.obs_steps + 1
        if self.action_steps > room:
            raise ConfigError(
                f"policy.horizons.action_steps is {self.action_steps}, but only {room} of the "
                f"{self.pred_steps} predicted steps are not past (pred_steps - obs_steps + 1)"
            )


@dataclass(frozen=True)
class Diagnosis:
    """`figures` go to the log by their names; `warnings` are lines for a person."""

    figures: Mapping[str, float] = field(default_factory=dict)
    warnings: Sequence[str] = ()


class Policy(nn.Module, ABC):
    """A network from observations to an action chunk, both in raw physical units.

    It normalises inside and holds no rollout state. A subclass sets up its networks in `__init__` from the
    spec alone; `normalizer` is fitted afterwards by training, or filled by a checkpoint. `learning_rate` is
    the highest one that suits it, for AdamW. Where `needs_outcome`, training batches tell what came of the
    actions (Batch.outcome). `shardable`: whether training may spread its weights over machines; not where
    `loss` does more with them than to call its networks. `recordable`: whether a GPU may record `loss` as
    CUDA graphs; not where it keeps or changes tensors of its own. `plan_steps`: P where predict may be told
    what is planned already, else 0.
    """

    learning_rate: float = 1e-3
    needs_outcome: bool = False
    shardable: bool = True
    recordable: bool = True
    plan_steps: int = 0

    def __init__(self, spec: DataSpec, horizons: Horizons, normalizer: Normalizer) -> None:
        super().__init__()
        self.spec = spec
        self.horizons = horizons
        self.normalizer = normalizer

    def prepare(self, windows: Iterable[Batch]) -> list[str]:
        """Fit what is taken from data before the first step (anchors, codebooks); by default nothing.

        `windows` are the training windows once, shuffled, as training will see them; they are made as they
        are asked for, so that a policy reads as many as it needs. `normalizer` is fitted already. What is
        fitted belongs into buffers or weights: a resumed run and a checkpoint load it from there. Returns
        lines that tell a person what was found.
        """
        return []

    @abstractmethod
    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of one batch; "loss" is the one to minimise. Padded steps have no influence."""

    def diagnose(self) -> Diagnosis:
        """What training should log and say about the policy besides its loss; by default nothing.

        Covers what happened since the last call, which training makes whenever it writes a row of its log.
        """
        return Diagnosis()

    @abstractmethod
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """The chunk (B, Ta, Da) to execute after observing {name: (B, To, …)}.

        Deterministic given `generator`. The first value belongs to the newest observation's step. A policy
        with plan_steps also takes obs["plan"] (B, P, Da), in physical units: what the last chunk says of the
        steps from that one on, NaN where it says nothing. Without it, or without a number, it begins anew.
        """

    def executed(self, predicted: Tensor) -> Tensor:
        """The slice [To-1, To-1+Ta) of a prediction (B, Tp, Da): what is executed."""
        start = self.horizons.obs_steps - 1
        return predicted[:, start : start + self.horizons.action_steps]


class SelfTrainedPolicy(Policy):
    """A policy that changes its own weights, with its own optimisers, where one gradient step will not do.

    Several networks that learn from one another by turns are such. Training calls `learn` for each batch in
    place of following the gradient of `loss`; averaging, saving and resuming are as for every policy.
    """

    @abstractmethod
    def optimizers(self) -> Sequence[Optimizer]:
        """The optimisers that `learn` uses; no two of them hold the same weights."""

    @abstractmethod
    def learn(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Learn from `batch` as step number `step`; scalars to log, "loss" among them.

        Its result depends on weights, optimisers, arguments and torch's random state alone, so that a
        resumed run goes on as if it had not been interrupted.
        """


class TaughtPolicy(Policy):
    """A policy that learns from another one, its teacher, which is trained; acting does without it."""

    @property
    @abstractmethod
    def teacher(self) -> str | None:
        """The run folder or checkpoint of the teacher; None where the settings name none."""

    @abstractmethod
    def learn_from(self, teacher: Policy) -> None:
        """Take over what `teacher` knows, and keep what of it `loss` asks.

        Training calls this once the normaliser is fitted, whenever a run begins or goes on; in the second
        case what was learnt since is loaded afterwards. Raises ConfigError or SpecError for a policy that
        cannot teach this one.
        """


class PolicyConfig(Protocol):
    """The frozen dataclass that a YAML names with `_target_`; it validates itself."""

    @property
    def horizons(self) -> Horizons:
        """The windows that the policy is trained on."""

    def build(self, spec: DataSpec) -> Policy:
        """The policy with fresh weights; raises SpecError where it cannot serve `spec`."""


@runtime_checkable
class CompletedConfig(Protocol):
    """Settings of a TaughtPolicy that are known in full only with its teacher."""

    @property
    def teacher(self) -> str | None:
        """The run folder or checkpoint of the teacher; None where nobody named one."""

    def completed(self, teacher: PolicyConfig, spec: DataSpec) -> PolicyConfig:
        """The same with what a teacher of these settings, over `spec`, says; twice is as once."""


def draw_noise(shape: Sequence[int], generator: Generator, device: torch.device) -> Tensor:
    """Standard normal noise of `shape` (B, …) on `device`, from one generator, one per row, or as given.

    Noise is drawn on the generator's own device, so that a CPU generator gives the same actions on a GPU.
    """
    if isinstance(generator, NoiseSource):
        return generator.take(shape).to(device)
    if isinstance(generator, torch.Generator):
        return torch.randn(tuple(shape), generator=generator, device=generator.device).to(device)
    if len(generator) != shape[0]:
        raise ConfigError(f"{len(generator)} generators for a batch of {shape[0]}")
    rows = [torch.randn(tuple(shape[1:]), generator=g, device=g.device) for g in generator]
    return torch.stack(rows).to(device)


def masked_mean(per_step: Tensor, is_pad: Tensor, weight: Tensor) -> Tensor:
    """The weighted mean of (B, Tp) losses over the steps that are not padding."""
    keep = (~is_pad).to(per_step.dtype) * weight.to(per_step.dtype)[:, None]
    return (torch.where(is_pad, 0.0, per_step) * keep).sum() / keep.sum().clamp_min(1e-8)
