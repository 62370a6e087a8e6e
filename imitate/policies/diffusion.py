"""Diffusion Policy: denoise random chunks into actions, given the observation.

"Diffusion Policy: Visuomotor Policy Learning via Action Diffusion", Chi et al., arXiv 2303.04137. Trained as
a DDPM (Ho et al., arXiv 2006.11239): x_k = a_k x_0 + s_k ε with a_k² + s_k² = 1, and a network that
predicts ε, x_0 or v = a_k ε - s_k x_0 from x_k, k and the observation. Sampled by DDIM (arXiv 2010.02502),
DPM-Solver++ (arXiv 2211.01095) or DDPM. All of it happens in normalised actions and float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from imitate.errors import ConfigError
from imitate.history import PLAN
from imitate.normalize import Mode
from imitate.policies.nets.denoiser import DenoiserConfig, Sizes
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.noise_schedule import NoiseSchedule, Prediction, Sampler, Schedule
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, Policy, masked_mean
from imitate.types import ActionChunk, Batch, DataSpec


@dataclass(frozen=True)
class DiffusionConfig:
    """Settings of a diffusion policy over states.

    train_steps noise levels of `schedule` are trained on, inference_steps of them are used to act; the
    network predicts `prediction`. clip_sample keeps every estimate of the clean chunk inside [-1, 1], the
    demonstrated range, and so needs min-max normalisation of actions; epsilon cannot do without it.
    temperature multiplies the noise that chunks are made of: below 1 they are more like the most likely one.
    alternatives chunks are sampled at once, in calls of so many rows, and the most central one is given: that
        with the least mean distance to the others, their medoid. With 1 the sample is taken as it is.
    warm_start: where a last chunk is known, sampling begins at that chunk, moved on and noised up to this
        share of the noise levels, in place of pure noise; 0 always begins anew. What was not executed of it
        is all that is known, so action_steps of the horizons should exceed the steps that are executed.
    """

    horizons: Horizons = field(default_factory=Horizons)
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    denoiser: DenoiserConfig = field(default_factory=FilmMlpConfig)
    train_steps: int = 100
    inference_steps: int = 10
    schedule: Schedule = "squaredcos_cap_v2"
    prediction: Prediction = "sample"
    sampler: Sampler = "ddim"
    clip_sample: bool = True
    temperature: float = 1.0
    alternatives: int = 1
    warm_start: float = 0.0
    action_normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        if self.clip_sample and self.action_normalization != "minmax":
            raise ConfigError(
                f"policy.clip_sample is true, but policy.action_normalization is "
                f"{self.action_normalization!r}, which is not bounded by 1: set policy.clip_sample=false"
            )
        if self.prediction == "epsilon" and not self.clip_sample:
            raise ConfigError(
                "policy.prediction is 'epsilon', which says next to nothing about the chunk at the highest "
                "noise level and so needs policy.clip_sample=true: or use policy.prediction=v_prediction"
            )
        if self.alternatives < 1:
            raise ConfigError(f"policy.alternatives is {self.alternatives}, expected at least 1")
        self.noise_schedule()

    def noise_schedule(self) -> NoiseSchedule:
        """The noise schedule and sampler that these settings describe; raises ConfigError."""
        return NoiseSchedule(
            self.train_steps,
            self.inference_steps,
            self.schedule,
            self.prediction,
            self.sampler,
            self.clip_sample,
            self.temperature,
            self.warm_start,
        )

    def build(self, spec: DataSpec) -> "Diffusion":
        """The policy with fresh weights; see ObservationConfig.build for what it raises."""
        return Diffusion(self, spec)


class Diffusion(ObservingPolicy):
    """A denoiser between normalised observations and normalised chunks."""

    def __init__(self, config: DiffusionConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config = config
        self.noise = config.noise_schedule()
        self.plan_steps = plan_steps(config.warm_start, config.horizons, spec)
        self.denoiser = config.denoiser.build(
            Sizes(
                obs_steps=config.horizons.obs_steps,
                obs_size=self.observation.size,
                pred_steps=config.horizons.pred_steps,
                action_size=spec.action.size,
                train_steps=config.train_steps,
            )
        )
        self.learning_rate = self.denoiser.learning_rate

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Mean squared error of the prediction at random noise levels, over steps that are not padding."""
        clean = self.normalizer.action(hold_edges(batch.action, batch.is_pad))
        noise = torch.randn_like(clean)
        step = torch.randint(self.noise.train_steps, (len(clean),), device=clean.device)
        noisy, target = self.noise.training_pair(clean, noise, step)
        predicted = self.denoiser(noisy, step, self.denoiser.encode(self.observe(batch.obs)))
        error = (predicted.float() - target).square().mean(dim=-1)
        return {"loss": masked_mean(error, batch.is_pad, batch.weight)}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """Sample a chunk, or the medoid of several; see Policy."""
        seen, count = self.observe(obs), self.config.alternatives
        plan = obs.get(PLAN) if self.plan_steps else None
        if count == 1:
            return self._chunk(self._sample(seen, plan, generator))
        if isinstance(generator, Sequence):
            generator = [one for one in generator for _ in range(count)]
        plan = None if plan is None else plan.repeat_interleave(count, dim=0)
        chunks = self._sample(seen.repeat_interleave(count, dim=0), plan, generator)
        return self._chunk(medoid(chunks.unflatten(0, (-1, count)), self.horizons.obs_steps - 1))

    def _sample(self, seen: Tensor, plan: Tensor | None, generator: Generator) -> Tensor:
        """A normalised chunk (Tp, Da) for each row of what is seen and, maybe, of a plan (B, P, Da)."""
        condition = self.denoiser.encode(seen)

        def denoise(noisy: Tensor, step: Tensor) -> Tensor:
            return self.denoiser(noisy, step, condition)

        if plan is not None:
            return self.noise.sample_on(denoise, *moved_on(self, plan), generator)
        shape = (len(seen), self.horizons.pred_steps, self.spec.action.size)
        return self.noise.sample(denoise, shape, generator, seen.device)

    def _chunk(self, chunks: Tensor) -> ActionChunk:
        return ActionChunk(self.executed(self.normalizer.action.inverse(chunks)))


def plan_steps(warm_start: float, horizons: Horizons, spec: DataSpec) -> int:
    """P of a policy that begins at its last plan for `warm_start` above 0; see imitate.policy.Policy.

    Raises ConfigError where an observation has the plan's name.
    """
    if warm_start and PLAN in spec.obs:
        raise ConfigError(
            f"policy.warm_start is {warm_start}, but an observation is called {PLAN!r}, as the last plan is: "
            "rename it"
        )
    return horizons.action_steps if warm_start else 0


def moved_on(policy: Policy, plan: Tensor) -> tuple[Tensor, Tensor]:
    """A plan (B, P, Da) as normalised chunks (B, Tp, Da), and where there is any (B,).

    What was before it, and what comes after it, is as its nearest step.
    """
    before = policy.horizons.obs_steps - 1
    after = policy.horizons.pred_steps - before - plan.shape[1]
    is_known = F.pad(plan.isfinite().all(dim=2), (before, after))
    held = hold_edges(F.pad(plan.nan_to_num(), (0, 0, before, after)), ~is_known)
    return policy.normalizer.action(held), is_known.any(dim=1)


def medoid(chunks: Tensor, now: int = 0) -> Tensor:
    """Of chunks (B, n, Tp, Da) those (B, Tp, Da) with the least mean distance to the others of their row.

    Distances are Euclidean, over the steps from `now` on: what was done before does not matter any more.
    """
    flat = chunks[:, :, now:].flatten(2)
    nearest = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").mean(dim=2).argmin(dim=1)
    return chunks[torch.arange(len(chunks), device=chunks.device), nearest]


def hold_edges(action: Tensor, is_pad: Tensor) -> Tensor:
    """Actions (B, Tp, Da) whose padded steps repeat the nearest real one, whatever stood there.

    A denoiser reads the whole noisy chunk, so masking the loss alone would let padding through.
    """
    is_real = (~is_pad).int()
    steps = torch.arange(action.shape[1], device=action.device)
    first = is_real.argmax(dim=1, keepdim=True)
    last = len(steps) - 1 - is_real.flip(1).argmax(dim=1, keepdim=True)
    nearest = steps.clamp(first, last)
    return action.gather(1, nearest[:, :, None].expand_as(action))
