"""How well the averaged policy explains episodes that it was not trained on.

For watching only: the checkpoint with the lowest validation loss is often far from the one that acts best
(Mandlekar et al., arXiv 2108.03298), so `best` is chosen by rollouts.
"""

from typing import Protocol

import torch
from torch import Tensor

from imitate.policy import Policy
from imitate.types import Batch, DataSpec

# Enough for a smooth curve; sampling chunks costs many times what a loss costs.
WINDOWS = 512


class Batches(Protocol):
    """Batches of windows in random order."""

    def batch(self, step: int) -> Batch:
        """One of them, the same every time."""


@torch.no_grad()
def validate(policy: Policy, batches: Batches, device: torch.device) -> dict[str, float]:
    """The loss, and the mean absolute difference of predicted and recorded actions per dimension.

    Action errors are in physical units over the executed steps; padded steps do not count. The noise is the
    same every time, and torch's random state is left as it was.
    """
    losses: list[dict[str, Tensor]] = []
    errors = torch.zeros(policy.spec.action.size, device=device)
    steps = torch.zeros((), device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.random.default_generator.manual_seed(0)
        generator = torch.Generator().manual_seed(0)
        seen = 0
        while seen < WINDOWS:
            batch = batches.batch(len(losses)).to(device)
            losses.append(policy.loss(batch))
            error, is_pad = action_error(policy, batch, generator)
            errors += error.masked_fill(is_pad[..., None], 0.0).sum(dim=(0, 1))
            steps += (~is_pad).sum()
            seen += len(batch)
    row = {f"validation/{name}": float(torch.stack([x[name] for x in losses]).mean()) for name in losses[0]}
    mean = (errors / steps).tolist()
    return row | {f"action_error/{name}": e for name, e in zip(action_names(policy.spec), mean, strict=True)}


def action_error(policy: Policy, batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """|predicted - recorded| of the executed steps (B, Ta, Da), and which of them are padding (B, Ta)."""
    predicted = policy.predict(batch.obs, generator).values
    return (predicted - policy.executed(batch.action)).abs(), policy.executed(batch.is_pad)


def action_names(spec: DataSpec) -> list[str]:
    """The name of every action element, with its unit where known: "x [m]"."""
    action = spec.action
    names = action.names or tuple(str(index) for index in range(action.size))
    units = action.units or ("",) * action.size
    return [f"{name} [{unit}]" if unit else name for name, unit in zip(names, units, strict=True)]
