"""How far a trained policy is from each step of the data: its loss there, window by window.

A policy's contract gives the loss of a batch as one number. Here each window is a batch of its own, of which
torch.func.vmap evaluates many at once. All windows get the same noise, several draws of it (common random
numbers): for a policy that denoises, frames then differ by what they hold and not by what was drawn for them,
and nothing is said against a frame because it has several good answers. The alternative, the distance between
the recorded chunk and the nearest of several predicted ones, asks for many sampled chunks and still rewards
luck. For policies that predict one chunk the loss is its squared error, which punishes every mode but one.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.rows import open_rows
from imitate.datasets.windows import WindowSampler
from imitate.policy import Policy
from imitate.progress import SILENT, Progress
from imitate.types import Batch

DRAWS = 8
BATCH = 256
MEMORY_GIB = 4.0


@torch.no_grad()
def policy_divergence(
    policy: Policy,
    store: EpisodeStore,
    episodes: Sequence[int] | None = None,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Progress = SILENT,
) -> np.ndarray:
    """The loss of `policy` on the window of each step, (N,) float32, mean over `draws` of the noise.

    The third form of action divergence in Belkhale, Cui & Sadigh (arXiv 2306.02437): of the fitted policy
    from the data. In the unit of the policy's own loss, so figures of different policies do not compare.
    `policy` is on its device, in evaluation mode. NaN for steps of episodes other than `episodes`. A policy
    fits what it was trained on: judge held-out episodes, or compare steps of the same set only.

    Costs `draws` evaluations of the network per step. Networks that vmap cannot take (recurrent ones) are
    evaluated window by window, which is slower some hundred times.
    """
    horizons = policy.horizons
    sampler = WindowSampler(store.episode_ends, horizons.obs_steps, horizons.pred_steps, episodes)
    rows = open_rows(store, [*policy.spec.obs, ACTION], MEMORY_GIB)
    device = next(policy.parameters()).device
    found = np.full(store.steps, np.nan, np.float32)
    with progress.task("policy", len(sampler), "steps") as bar:
        for start in range(0, len(sampler), BATCH):
            indices = np.arange(start, min(start + BATCH, len(sampler)))
            windows = sampler.windows(indices)
            batch = Batch(
                {key: rows[key].take(windows.obs_rows) for key in policy.spec.obs},
                rows[ACTION].take(windows.action_rows),
                torch.from_numpy(windows.is_pad),
                torch.ones(len(indices)),
            ).to(device)
            found[windows.obs_rows[:, -1]] = window_losses(policy, batch, draws, seed).cpu().numpy()
            bar.advance(len(indices))
    return found


@torch.no_grad()
def window_losses(policy: Policy, batch: Batch, draws: int, seed: int) -> Tensor:
    """The policy's loss of each window of `batch` alone, (B,), mean over `draws` of noise that all share."""
    return per_window(lambda window: policy.loss(window)["loss"], batch, draws, seed)


def per_window(value: Callable[[Batch], Tensor], batch: Batch, draws: int, seed: int) -> Tensor:
    """What `value` says of each window of `batch` as a batch of its own, (B, …), mean over `draws` of noise.

    Every window gets the same noise, drawn from torch's random state, which is left as it was.
    """

    def one(obs: dict[str, Tensor], action: Tensor, is_pad: Tensor) -> Tensor:
        alone = {key: value[None] for key, value in obs.items()}
        return value(Batch(alone, action[None], is_pad[None], torch.ones(1, device=action.device)))

    with torch.random.fork_rng(devices=[batch.action.device] if batch.action.is_cuda else []):
        return torch.stack([_drawn(one, batch, seed * draws + draw) for draw in range(draws)]).mean(dim=0)


def _drawn(one: Callable[..., Tensor], batch: Batch, seed: int) -> Tensor:
    torch.manual_seed(seed)
    try:
        with warnings.catch_warnings():
            # About single operations that vmap takes one by one: slower, but right.
            warnings.filterwarnings("ignore", "There is a performance drop")
            together: Tensor = torch.func.vmap(one, randomness="same")(batch.obs, batch.action, batch.is_pad)
        return together
    except RuntimeError:  # an operation that vmap cannot take at all
        return torch.stack([_seeded(one, batch, i, seed) for i in range(len(batch))])


def _seeded(one: Callable[..., Tensor], batch: Batch, index: int, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return one(
        {key: value[index] for key, value in batch.obs.items()}, batch.action[index], batch.is_pad[index]
    )
