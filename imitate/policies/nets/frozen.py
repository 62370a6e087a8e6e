"""A denoiser that is asked and not trained: a teacher, or the slow copy that a student learns from."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from imitate.policies.nets.denoiser import Denoiser


class FrozenDenoiser(nn.Module):
    """A copy of a denoiser, `network`, for good in evaluation mode; its weights are buffers.

    So no optimiser trains them, and averaging the weights of a policy takes no time for them. `saved` tells
    whether they are part of the state dict.
    """

    def __init__(self, denoiser: Denoiser, saved: bool) -> None:
        super().__init__()
        self.network = copy.deepcopy(denoiser)
        for module in self.network.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, weight.detach(), persistent=saved)
        self.eval()

    def train(self, mode: bool = True) -> "FrozenDenoiser":
        """Stay in evaluation mode, whatever the policy around it does."""
        return super().train(False)

    @torch.no_grad()
    def follow(self, denoiser: Denoiser, decay: float) -> None:
        """Keep the share `decay` of the weights and take the rest from `denoiser`, of the same kind."""
        mine = dict(self.network.named_buffers())
        weights = dict(denoiser.named_parameters())
        get_ema_multi_avg_fn(decay)([mine[name] for name in weights], list(weights.values()), None)
