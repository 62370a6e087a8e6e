"""The loop over noise levels in several ways: in a plain loop with diffusers, ours, compiled, exported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from clock import CPU, SQUARE, seconds
from diffusers import DDIMScheduler, EDMDPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
from operations import operations
from policy_cost import calls_of_denoiser
from torch import Tensor

from imitate.export.tracing import noise_size
from imitate.policies.diffusion import Diffusion, DiffusionConfig
from imitate.policies.flow import TIMES, Flow
from imitate.policies.mode import Mode
from imitate.policies.truncated import Truncated
from imitate.policy import GivenNoise, Policy
from imitate.runtime import BundlePolicy

Way = Callable[[dict[str, Tensor], Tensor], Any]
"""From observations (B, To, …) and noise (B, N) to a chunk."""

OURS, EXPORTED, COMPILED = "PyTorch", "exported", "compiled"


@dataclass(frozen=True)
class Eager:
    """The same network in a plain loop, which does all of it in every step, and what that is called."""

    label: str
    way: Way


def eager_loop(policy: Policy) -> Eager | None:
    """None for a policy without a loop that diffusers has.

    For truncated diffusion: DDIM-20 of the same body, from pure noise.
    """
    if isinstance(policy, Diffusion) and policy.config.sampler == "ddim":
        return Eager("diffusers' loop", ddim(policy))
    if isinstance(policy, Truncated):
        return Eager("diffusers' loop, DDIM-20 of the same body", ddim(body_of(policy)))
    if isinstance(policy, Mode):
        return Eager("diffusers' loop", edm(policy))
    if isinstance(policy, Flow):
        return Eager("diffusers' loop", euler(policy))
    return None


def body_of(policy: Truncated) -> Diffusion:
    """Diffusion from pure noise in 20 steps with the decoder of `policy`, without its experts."""
    config = DiffusionConfig(
        horizons=policy.config.horizons,
        observation=policy.config.observation,
        denoiser=replace(policy.config.denoiser, moe=None),
        inference_steps=20,
    )
    body = config.build(policy.spec).eval()
    body.normalizer.load_state_dict(policy.normalizer.state_dict())
    return body


def ddim(policy: Diffusion) -> Way:
    """DDIM as diffusers does it; the clipped estimate says what noise is there, as in ours."""
    config = policy.config
    scheduler = DDIMScheduler(
        config.train_steps,
        beta_schedule=config.schedule,
        prediction_type=config.prediction,
        clip_sample=config.clip_sample,
        timestep_spacing="trailing",
    )
    shape = (config.horizons.pred_steps, policy.spec.action.size)

    @torch.no_grad()
    def way(obs: dict[str, Tensor], noise: Tensor) -> Tensor:
        seen = policy.observe(obs)
        x = noise[:, : shape[0] * shape[1]].reshape(-1, *shape)
        scheduler.set_timesteps(config.inference_steps, device=x.device)
        for level in scheduler.timesteps:
            predicted = policy.denoiser(x, level[None], policy.denoiser.encode(seen))
            x = scheduler.step(predicted, level, x, use_clipped_model_output=True).prev_sample
        return policy.executed(policy.normalizer.action.inverse(x))

    return way


def edm(policy: Mode) -> Way:
    """EDM's loop as diffusers does it, the routers asked in every step; estimates are not clipped."""
    noise_config = policy.noise
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=noise_config.sigma_min,
        sigma_max=noise_config.sigma_max,
        sigma_data=noise_config.sigma_data,
        sigma_schedule=noise_config.spacing,
        solver_order=1 if noise_config.sampler == "ddim" else 2,
        final_sigmas_type="zero",
    )
    shape = (policy.horizons.pred_steps, policy.spec.action.size)

    @torch.no_grad()
    def way(obs: dict[str, Tensor], noise: Tensor) -> Tensor:
        seen = policy.observe(obs)
        scheduler.set_timesteps(noise_config.steps, device=noise.device)
        x = noise_config.sigma_max * noise.reshape(-1, *shape)
        for level in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, level)
            embedded = policy.denoiser.embed(level[None].float())
            x = scheduler.step(policy.denoiser(scaled, embedded, policy.denoiser.encode(seen)), level, x)[0]
        return policy.executed(policy.normalizer.action.inverse(x))

    return way


def euler(policy: Flow) -> Way:
    """Euler steps as diffusers does them, whose time runs from noise at 1 to a chunk at 0."""
    config, shape = policy.config, (policy.horizons.pred_steps, policy.spec.action.size)
    scheduler = FlowMatchEulerDiscreteScheduler(TIMES)
    sigmas = np.linspace(1.0, 1.0 / config.inference_steps, config.inference_steps)

    @torch.no_grad()
    def way(obs: dict[str, Tensor], noise: Tensor) -> Tensor:
        seen = policy.observe(obs)
        scheduler.set_timesteps(sigmas=sigmas.tolist(), device=noise.device)
        x = noise.reshape(-1, *shape)
        for level in scheduler.timesteps:
            step = (TIMES - level).round().long()[None]
            predicted = policy.denoiser(x, step, policy.denoiser.encode(seen)).float()
            left = level / TIMES
            clean = predicted if config.prediction == "sample" else x + left * predicted
            clean = clean.clamp(-1.0, 1.0) if config.clip_sample else clean
            x = scheduler.step((x - clean) / left, level, x).prev_sample
        return policy.executed(policy.normalizer.action.inverse(x))

    return way


def ways(
    policy: Policy, exported: BundlePolicy | None, rows: int, compiled: bool = False
) -> tuple[dict[str, Way], str | None]:
    """Every way to a chunk by its name, and the name of the plain loop among them.

    `compiled` by torch.compile as a whole, which a GPU records as a CUDA graph.
    """
    found: dict[str, Way] = {OURS: lambda obs, noise: policy.predict(obs, GivenNoise(noise)).values}
    if compiled:
        found[COMPILED] = torch.compile(found[OURS], mode="reduce-overhead", dynamic=False)
    if exported is not None and rows == 1:
        found[EXPORTED] = lambda obs, noise: exported.predict_with(
            {key: value[0].numpy() for key, value in obs.items()}, noise[0].numpy()
        )
    eager = eager_loop(policy)
    if eager is not None:
        found[eager.label] = eager.way
    return found, eager.label if eager else None


def times_ms(
    policy: Policy, every: Mapping[str, Way], rows: int, chunks: int, device: torch.device = CPU
) -> dict[str, np.ndarray]:
    """Time of each way's chunks (chunks,) on `device`, where the policy is; they take turns."""
    random = torch.Generator().manual_seed(0)
    wanted = noise_size(policy)
    size = max(wanted, policy.horizons.pred_steps * policy.spec.action.size)
    times: dict[str, list[float]] = {name: [] for name in every}
    for index in range(-3, chunks):
        obs = {
            key: (2 * torch.rand(rows, policy.horizons.obs_steps, *array.shape, generator=random) - 1).to(
                device
            )
            for key, array in policy.spec.obs.items()
        }
        noise = torch.randn(rows, size, generator=random).to(device)
        for name, way in every.items():
            given = noise if "diffusers" in name else noise[:, :wanted]
            began = seconds(device)
            way(obs, given)
            if index >= 0:
                times[name].append(1000 * (seconds(device) - began))
    return {name: np.array(values) for name, values in times.items()}


def least_ms(policy: Policy, rows: int, device: torch.device = CPU) -> tuple[float, float]:
    """Million multiply-adds of a chunk of `rows` rows, and the least time that they take on one core or GPU.

    That is the time of as many in a product of two large matrices, or of reading the network's weights once
    in every call of it, as a sum reads as many numbers, whichever is longer.
    """
    obs = {
        key: torch.zeros(rows, policy.horizons.obs_steps, *array.shape, device=device)
        for key, array in policy.spec.obs.items()
    }

    def chunk() -> None:
        policy.predict(obs, torch.Generator().manual_seed(0))

    macs, side = operations(chunk) / 2, SQUARE[device.type]
    square = torch.rand(side, side, device=device)
    weights = torch.rand(weights_per_call(policy), device=device)
    multiplying = macs / side**3 * best_s(lambda: square @ square, device)
    reading = calls_of_denoiser(policy, chunk) * best_s(weights.sum, device)
    return macs / 1e6, 1000 * max(multiplying, reading)


def weights_per_call(policy: Policy) -> int:
    """Weights that every denoising step must read; what the condition takes is read once per chunk."""
    network = getattr(policy, "denoiser", policy)
    total = sum(p.numel() for name, p in network.named_parameters() if not name.startswith("condition."))
    idle = sum(p.numel() for p in policy.parameters()) - getattr(policy, "active_weights", 0)
    return total - idle if hasattr(policy, "active_weights") else total


def best_s(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of seven times of `work`."""
    times = []
    for _ in range(7):
        began = seconds(device)
        work()
        times.append(seconds(device) - began)
    return min(times)
