"""Consistency distillation: a trained diffusion policy taught to arrive in one step, or in a few.

"Consistency Models", Song et al., arXiv 2303.01469, for policies as in "Consistency Policy", Prasad et al.,
arXiv 2405.07503. The student starts as a copy of its teacher. Its function f(x, j) says where the way on
which x lies at noise level j ends, and is x itself where there is no noise. It learns to say the same from
two neighbouring levels: from x_j, and from where one DDIM step of the teacher leads from there. The latter
says a slow copy of the student, the target, whose weights are part of the checkpoint. What differs, and why:

- Levels and network are those of a diffusion policy, not EDM's, so that any of ours can be the teacher.
- One step of the way at a time, as Song et al.; Consistency Policy jumps to any earlier level, and adds the
  teacher's own loss.
- The distance (pseudo-Huber, Song & Dhariwal, arXiv 2310.14189) is of root mean squares over real steps.
"""

import dataclasses
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError, SpecError, TrainingError
from imitate.normalize import Mode
from imitate.policies.diffusion import Diffusion, DiffusionConfig, hold_edges
from imitate.policies.nets.denoiser import Denoiser, DenoiserConfig
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.frozen import FrozenDenoiser
from imitate.policies.nets.noise_schedule import Prediction, Schedule
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.nets.trajectory import Trajectory
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, Policy, TaughtPolicy, draw_noise
from imitate.types import ActionChunk, Batch, DataSpec, require_match

HUBER = 0.00054
"""Below this distance, per element, the loss is a square and above it a length (Song & Dhariwal)."""

FREE = {"action_steps", "inference_steps", "sampler", "dropout", "noise", "goal_dropout"}
"""Settings in which student and teacher may differ: they say nothing about what weights mean."""


@dataclass(frozen=True)
class ConsistencyConfig:
    """Settings of consistency distillation.

    teacher: a run of policy=diffusion, or its checkpoint; training needs it, acting does not.
    horizons … action_normalization: as of the teacher (see DiffusionConfig), but for dropout: each level
        learns from the one below, and what dropout does to one adds up.
    levels: into how many steps the teacher's way is divided in training: more are truer to it, fewer learn
        faster.
    inference_steps: network calls per chunk; each after the first begins with fresh noise on the last result.
    target_decay: share of its weights that the target keeps in each step of training.
    """

    teacher: str | None = None
    horizons: Horizons = field(default_factory=Horizons)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    denoiser: DenoiserConfig = field(default_factory=lambda: FilmMlpConfig(dropout=0.0))
    train_steps: int = 100
    schedule: Schedule = "squaredcos_cap_v2"
    prediction: Prediction = "sample"
    clip_sample: bool = True
    action_normalization: Mode = "minmax"
    levels: int = 10
    inference_steps: int = 1
    target_decay: float = 0.95

    def __post_init__(self) -> None:
        self.diffusion()
        if self.prediction == "epsilon":
            raise ConfigError(
                "policy.prediction is 'epsilon', which says next to nothing about the chunk at the highest "
                "noise level, where one step begins: distil a teacher with policy.prediction=sample"
            )
        if not 1 <= self.levels <= self.train_steps:
            raise ConfigError(
                f"policy.levels is {self.levels}, expected 1 to policy.train_steps = {self.train_steps}"
            )
        if not 1 <= self.inference_steps <= self.levels:
            raise ConfigError(
                f"policy.inference_steps is {self.inference_steps}, "
                f"expected 1 to policy.levels = {self.levels}"
            )
        if not 0 <= self.target_decay < 1:
            raise ConfigError(f"policy.target_decay is {self.target_decay}, expected at least 0 and below 1")

    def diffusion(self) -> DiffusionConfig:
        """What the teacher must be, up to how it samples; raises ConfigError."""
        return DiffusionConfig(
            horizons=self.horizons,
            observation=self.observation,
            denoiser=self.denoiser,
            train_steps=self.train_steps,
            inference_steps=1,
            schedule=self.schedule,
            prediction=self.prediction,
            clip_sample=self.clip_sample,
            action_normalization=self.action_normalization,
        )

    def build(self, spec: DataSpec) -> "Consistency":
        """The policy with fresh weights; see ObservationConfig.build for what it raises."""
        return Consistency(self, spec)


class Consistency(ObservingPolicy, TaughtPolicy):
    """A student; `target` follows it, and the teacher is there in training only."""

    teacher_mark: Tensor
    shardable = recordable = False  # the target follows in `loss`

    def __init__(self, config: ConsistencyConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config = config
        fresh = config.diffusion().build(spec)
        self.trajectory = Trajectory(fresh.noise, config.levels)
        self.denoiser = fresh.denoiser
        self.target = FrozenDenoiser(fresh.denoiser, saved=True)
        self.register_buffer("teacher_mark", torch.zeros((), dtype=torch.int64))
        self._teacher: FrozenDenoiser | None = None
        self._mark_of_teacher = 0
        # The teacher says how chunks end given what it sees; a student that saw otherwise would mislead it.
        self.observation.requires_grad_(False)
        self.register_load_state_dict_post_hook(_require_the_same_teacher)
        # A student has less far to go than a fresh network, and errors of one level reach all above it.
        self.learning_rate = 0.3 * self.denoiser.learning_rate

    @property
    def teacher(self) -> str | None:
        """See TaughtPolicy."""
        return self.config.teacher

    def prepare(self, windows: Iterable[Batch]) -> list[str]:
        """Nothing: weights of image networks are the teacher's; see Policy."""
        return []

    def learn_from(self, teacher: Policy) -> None:
        """Take over normaliser and weights of `teacher`; see TaughtPolicy."""
        where = f"policy.teacher={self.config.teacher}"
        if not isinstance(teacher, Diffusion):
            raise ConfigError(f"{where} is a {type(teacher).__name__}, expected a run of policy=diffusion")
        if list(teacher.spec.obs) != list(self.spec.obs):
            raise SpecError(f"{where} sees {list(teacher.spec.obs)}, but the data has {list(self.spec.obs)}")
        require_match(teacher.spec, self.spec, where)
        if found := difference(self.config.diffusion(), teacher.config, "policy"):
            raise ConfigError(f"{where} was trained with other settings: {found}")
        self.normalizer.load_state_dict(teacher.normalizer.state_dict())
        self.observation.load_state_dict(teacher.observation.state_dict())
        self.denoiser.load_state_dict(teacher.denoiser.state_dict())
        self.target = FrozenDenoiser(teacher.denoiser, saved=True)
        self._teacher = FrozenDenoiser(teacher.denoiser, saved=False)
        self._mark_of_teacher = mark(teacher.denoiser)
        self.teacher_mark.fill_(self._mark_of_teacher)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Distance between where the student and, a level nearer, the target say that the way ends.

        In training the target first follows the student.
        """
        if self._teacher is None:
            raise TrainingError("consistency distillation has no teacher: call learn_from first")
        if self.training:
            self.target.follow(self.denoiser, self.config.target_decay)
        clean = self.normalizer.action(hold_edges(batch.action, batch.is_pad))
        seen = self.observe(batch.obs)
        level = torch.randint(1, self.config.levels + 1, (len(clean),), device=clean.device)
        noisy = self.trajectory.noised(clean, torch.randn_like(clean), level)
        with torch.no_grad():
            teacher, target = self._teacher.network, self.target.network
            aim = self._bounded(self._estimate(teacher, noisy, level, teacher.encode(seen)))
            nearer = self.trajectory.next(noisy, aim, level)
            goal = self._bounded(self._end(target, nearer, level - 1, target.encode(seen)))
        # Not bounded: where it is outside it must learn to come back.
        end = self._end(self.denoiser, noisy, level, self.denoiser.encode(seen))
        error = pseudo_huber(end - goal, batch.is_pad)
        return {"loss": (error * batch.weight).sum() / batch.weight.sum().clamp_min(1e-8)}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """Jump from noise to a chunk; see Policy."""
        seen = self.observe(obs)
        condition = self.denoiser.encode(seen)
        shape = (len(seen), self.horizons.pred_steps, self.spec.action.size)
        chunk = seen.new_zeros(shape)
        for stop in self.trajectory.stops(self.config.inference_steps):
            level = torch.full((1,), stop, device=seen.device)
            noisy = self.trajectory.noised(chunk, draw_noise(shape, generator, seen.device), level)
            chunk = self._bounded(self._end(self.denoiser, noisy, level, condition))
        return ActionChunk(self.executed(self.normalizer.action.inverse(chunk)))

    def _estimate(self, network: Denoiser, noisy: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """The clean chunk as `network` sees it at `level`."""
        predicted = network(noisy, self.trajectory.step[level], condition)
        return self.trajectory.clean(predicted, noisy, level)

    def _end(self, network: Denoiser, noisy: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """f(noisy, level): where its way ends."""
        return self.trajectory.skip(noisy, self._estimate(network, noisy, level, condition), level)

    def _bounded(self, chunk: Tensor) -> Tensor:
        return chunk.clamp(-1.0, 1.0) if self.config.clip_sample else chunk


def pseudo_huber(error: Tensor, is_pad: Tensor) -> Tensor:
    """sqrt(m + c²) - c (B,), with m the mean square of `error` (B, Tp, Da) over steps not padding."""
    square = error.square().mean(dim=-1).masked_fill(is_pad, 0.0).sum(dim=-1)
    mean = square / (~is_pad).sum(dim=-1).clamp_min(1)
    return (mean + HUBER**2).sqrt() - HUBER


def difference(mine: Any, theirs: Any, where: str) -> str | None:
    """The first setting under `where`, besides those in FREE, in which two configs differ, for a person."""
    if dataclasses.is_dataclass(mine) and type(mine) is type(theirs):
        names = [f.name for f in dataclasses.fields(mine) if f.name not in FREE]
        found = (difference(getattr(mine, name), getattr(theirs, name), f"{where}.{name}") for name in names)
        return next(filter(None, found), None)
    if mine == theirs:
        return None
    shown = [type(x).__name__ if dataclasses.is_dataclass(x) else repr(x) for x in (mine, theirs)]
    return f"{where} is {shown[0]}, but the teacher's is {shown[1]}"


def mark(network: nn.Module) -> int:
    """A checksum of the weights of `network`."""
    value = 0
    for weight in network.parameters():
        value = zlib.crc32(weight.detach().cpu().contiguous().numpy().tobytes(), value)
    return value


def _require_the_same_teacher(policy: nn.Module, _: object) -> None:
    """Refuse to go on with a teacher that is not the one with which the loaded weights were trained."""
    assert isinstance(policy, Consistency)
    if policy._teacher is not None and int(policy.teacher_mark) != policy._mark_of_teacher:
        raise ConfigError(
            f"policy.teacher={policy.config.teacher} has changed since this run began: start a new one"
        )
