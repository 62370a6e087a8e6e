"""What each demonstration did for the policy's return, from how rollouts ended.

CUPID (arXiv 2506.19121): the influence of a demonstration ξ on the expected return J of the policy that was
trained on it is ψ(ξ) = -∇J^T H^-1 ∇ℓ(ξ), to first order. ∇J comes from rollouts by REINFORCE, where -∇ℓ of
what was done takes the place of ∇ log π; H, the curvature of the training loss, is the Gauss-Newton matrix
G^T G of the demonstrations' gradients G. All gradients are first projected at random to some hundred
dimensions, as in TRAK (Park et al., arXiv 2303.14186), which keeps inner products up to noise.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from imitate.curation.policy_divergence import per_window
from imitate.datasets.rows import as_tensor
from imitate.datasets.windows import WindowSampler
from imitate.errors import DataError
from imitate.policy import Policy
from imitate.progress import SILENT, Progress, Task
from imitate.types import Batch, Episode

PROJECTED = 256
MAX_WEIGHTS = 65_536
"""A policy with more weights is represented by its last ones; the projection matrix is this × PROJECTED."""
DAMPING = 0.1
DRAWS = 4
BATCH = 128


def influence(
    policy: Policy,
    demonstrations: Sequence[Episode],
    rollouts: Sequence[Episode],
    *,
    projected: int = PROJECTED,
    seed: int = 0,
    progress: Progress = SILENT,
) -> np.ndarray:
    """The influence ψ (E,) float64 of each demonstration on the share of rollouts that succeed.

    Positive: the policy succeeds more often for having learnt from it; negative: less often. Only the order
    and the sign mean something, the scale does not. `policy` was trained on `demonstrations`; `rollouts` are
    its own, with success known and actions as executed. λ is 0.1 times the mean of the diagonal of G^T G.
    Raises DataError where the rollouts do not hold both outcomes.

    Costs one gradient of the loss per step of demonstrations and rollouts and draw of noise (4), about as
    much as some epochs of training: for small policies. Of a larger one than 65,536 weights only the last
    parameters, in the order in which the policy names them, are looked at.
    """
    outcome = np.array([np.nan if one.success is None else float(one.success) for one in rollouts])
    if not len(outcome) or not np.isfinite(outcome).all() or outcome.std() == 0:
        raise DataError("influence needs rollouts of which all are judged, some succeeded and some failed")
    gradients = _Gradients(policy, projected, seed)
    with progress.task("influence", sum(map(len, [*demonstrations, *rollouts])), "steps") as bar:
        learnt = gradients.of(demonstrations, bar)
        done = gradients.of(rollouts, bar)
    curvature = sum((one.T @ one for one in learnt), torch.zeros(projected, projected, dtype=torch.float64))
    damping = DAMPING * curvature.diagonal().mean() + torch.finfo(torch.float64).tiny
    curvature += damping * torch.eye(projected, dtype=torch.float64)
    # Centred, so that what all rollouts have in common speaks neither for nor against anybody.
    advantage = (outcome - outcome.mean()) / len(outcome)
    ascent = -sum(weight * one.sum(dim=0) for weight, one in zip(advantage.tolist(), done, strict=True))
    direction = torch.linalg.solve(curvature, ascent)
    return np.array([float(-(one.sum(dim=0) @ direction)) for one in learnt])


class _Loss(nn.Module):
    """A policy as a module whose call is its loss."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, batch: Batch) -> Tensor:
        return self.policy.loss(batch)["loss"]


class _Gradients:
    """Gradients of the loss of single windows in the last weights of a policy, projected."""

    def __init__(self, policy: Policy, projected: int, seed: int) -> None:
        self.policy, self.module, self.seed = policy, _Loss(policy), seed
        self.weights = last_weights(self.module)
        self.device = next(policy.parameters()).device
        size = sum(value.numel() for value in self.weights.values())
        generator = torch.Generator().manual_seed(seed)
        signs = torch.randint(0, 2, (size, projected), generator=generator, dtype=torch.int8) * 2 - 1
        self.projection = (signs.float() / math.sqrt(projected)).to(self.device)

    def of(self, episodes: Sequence[Episode], bar: Task) -> list[Tensor]:
        """(T, projected) float64 for each episode: one row per step, on the CPU."""
        parts = []
        for batch in _windows(self.policy, episodes):
            gradient = per_window(self._gradient, batch.to(self.device), DRAWS, self.seed)
            parts.append((gradient @ self.projection).double().cpu())
            bar.advance(len(batch))
        return list(torch.cat(parts).split([len(one) for one in episodes]))

    def _gradient(self, window: Batch) -> Tensor:
        def loss(weights: dict[str, Tensor]) -> Tensor:
            value: Tensor = torch.func.functional_call(self.module, weights, (window,))
            return value

        return torch.cat([part.flatten() for part in torch.func.grad(loss)(self.weights).values()])


def last_weights(module: nn.Module) -> dict[str, Tensor]:
    """As many of the last parameters as MAX_WEIGHTS holds, at least one, by name."""
    chosen: dict[str, Tensor] = {}
    size = 0
    for name, value in reversed(list(module.named_parameters())):
        size += value.numel()
        if chosen and size > MAX_WEIGHTS:
            break
        chosen[name] = value.detach()
    return chosen


def _windows(policy: Policy, episodes: Sequence[Episode]) -> Iterator[Batch]:
    """One window per step of all episodes in order, as training sees them."""
    horizons = policy.horizons
    ends = np.cumsum([len(one) for one in episodes])
    sampler = WindowSampler(ends, horizons.obs_steps, horizons.pred_steps)
    obs = {key: np.concatenate([one.obs[key] for one in episodes]) for key in policy.spec.obs}
    action = np.concatenate([one.action for one in episodes])
    for start in range(0, len(sampler), BATCH):
        windows = sampler.windows(np.arange(start, min(start + BATCH, len(sampler))))
        yield Batch(
            {key: as_tensor(values[windows.obs_rows]) for key, values in obs.items()},
            as_tensor(action[windows.action_rows]),
            torch.from_numpy(windows.is_pad),
            torch.ones(len(windows.is_pad)),
        )
