"""Experts of a fixed noise schedule, chosen and joined before the first observation.

A router that sees the noise level only says the same at step i of every chunk. So it is asked once per layer
and step, and the experts that it names become one feed-forward net whose hidden features are theirs side by
side, scaled by their gates: no router, no selection, one pair of matrix products instead of one per expert
(MoDE, arXiv 2412.12953, section 3.3). Tables are looked up by the number of the step, not by the value of σ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.policies.nets.moe import MoeFeedForward


@dataclass(frozen=True)
class FusedExperts:
    """Some experts as one: enter (D, 2H), its bias (2H,), leave (H, D), a gate per hidden feature (H,).

    Matrices lie in memory as they are multiplied, the transpose of nn.Linear's: for the few rows of one
    chunk a CPU needs half the time or less.
    """

    enter: Tensor
    bias: Tensor
    leave: Tensor
    gate: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """What the routed layer makes of x (B, T, D) at this step."""
        value, inner = torch.addmm(self.bias, x.flatten(0, 1), self.enter).chunk(2, dim=-1)
        return (value * self.gate * F.silu(inner)).mm(self.leave).view(x.shape)


def cacheable(layer: MoeFeedForward) -> bool:
    """Whether the noise level alone decides which experts run: not where each token is routed."""
    return layer.config.routing != "token"


@torch.no_grad()
def fuse(layer: MoeFeedForward, levels: Tensor) -> list[FusedExperts]:
    """`layer`, in evaluation mode, at each of the embedded noise levels (S, D).

    Steps with the same experts share their joined weights and differ in their gates.
    """
    gates = levels.new_ones(len(levels), 1) if layer.router is None else layer.router(levels).gates
    joined: dict[tuple[int, ...], tuple[Tensor, Tensor, Tensor]] = {}
    fused = []
    for row in gates:
        names = tuple(row.nonzero()[:, 0].tolist())
        if names not in joined:
            joined[names] = _side_by_side(layer, names)
        hidden = layer.experts.leave.shape[-1]
        gate = row[list(names)].repeat_interleave(hidden)
        fused.append(FusedExperts(*joined[names], F.pad(gate, (0, layer.shared_hidden), value=1.0)))
    return fused


def _side_by_side(layer: MoeFeedForward, names: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    """enter, bias and leave of the experts `names`, and behind them of the shared ones."""
    members = [(layer.experts, index) for index in names]
    if layer.shared is not None:
        members.append((layer.shared, 0))
    if not members:  # a step that chose null experts only
        width = layer.experts.leave.shape[1]
        empty = layer.experts.leave.new_zeros
        return empty(width, 0), empty(0), empty(0, width)
    halves = (0, 1)  # all values first, then all their gates
    enter = [experts.enter[index].chunk(2)[half] for half in halves for experts, index in members]
    bias = [experts.enter_bias[index].chunk(2)[half] for half in halves for experts, index in members]
    leave = torch.cat([experts.leave[index] for experts, index in members], dim=1)
    return torch.cat(enter).T.contiguous(), torch.cat(bias), leave.T.contiguous()


@dataclass(frozen=True)
class FixedStep:
    """One step of a noise schedule: its embedded noise level (1, D), and the experts of each layer."""

    level: Tensor
    layers: list[FusedExperts]


@torch.no_grad()
def fixed_steps(layers: Sequence[MoeFeedForward], levels: Tensor) -> list[FixedStep]:
    """`layers`, in evaluation mode, at the embedded noise levels (S, D), one entry per level."""
    by_layer = [fuse(layer, levels) for layer in layers]
    return [FixedStep(levels[i : i + 1], [steps[i] for steps in by_layer]) for i in range(len(levels))]


class ExpertCache:
    """The fixed steps of a network, made anew when the schedule or the weights change.

    Weights count as changed by anything that PyTorch counts: an optimiser's step, loading, moving to another
    device; not by writing through `.data`.
    """

    def __init__(self) -> None:
        self._made_from: object = None
        self._steps: list[FixedStep] = []

    def steps(
        self, network: nn.Module, schedule: Sequence[float], make: Callable[[], list[FixedStep]]
    ) -> list[FixedStep]:
        """What `make`() gives for the weights of `network` and the noise levels of `schedule`."""
        weights = [(id(p), p.data_ptr(), p._version) for p in network.parameters()]
        made_from = (tuple(schedule), weights)
        if made_from != self._made_from:
            self._steps, self._made_from = make(), made_from
        return self._steps
