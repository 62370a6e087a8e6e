"""Convolutions over the few steps of a chunk, as products of matrices where that is faster."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHORT = 8
"""Steps: on a CPU a convolution of 1024 channels over 4 steps reaches a third of the speed of a product of
matrices, over 8 steps two thirds, over 16 nine tenths (forward and backward, 64 rows, one core)."""
FEWEST = 64
"""Rows times steps: with fewer, as where one robot is driven, weights are read and hardly multiplied."""


def _is_short(x: Tensor, steps: int) -> bool:
    """Whether `steps` results for each row of `x` are computed faster as a product of matrices."""
    return steps <= SHORT and len(x) * steps >= FEWEST and x.device.type == "cpu"


class Conv1d(nn.Conv1d):
    """torch's Conv1d (one group, undilated, zero padding): its weights, and its results but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) to (B, C', T')."""
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        steps = (x.shape[2] + 2 * padding - kernel) // stride + 1
        if not _is_short(x, steps):
            return super().forward(x)
        seen = F.pad(x, (padding, padding)).unfold(2, kernel, stride)
        rows = seen.transpose(1, 2).reshape(len(x) * steps, -1)
        product = F.linear(rows, self.weight.flatten(1), self.bias)
        return product.view(len(x), steps, -1).transpose(1, 2)


class Doubling(nn.ConvTranspose1d):
    """torch's ConvTranspose1d of 4 weights, 2 steps apart, cut by one at each end: twice as many steps."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width, 4, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(B, C, T) to (B, C, 2 T)."""
        if not _is_short(x, x.shape[2]):
            return super().forward(x, output_size)
        # What each step adds to the one before it, the two that it becomes, and the one behind them.
        rows = x.transpose(1, 2) @ self.weight.flatten(1)
        before, first, second, behind = rows.unflatten(2, (-1, 4)).unbind(3)
        first = first + F.pad(behind, (0, 0, 1, -1))
        second = second + F.pad(before, (0, 0, -1, 1))
        doubled = torch.stack([first, second], dim=2).flatten(1, 2)
        if self.bias is not None:
            doubled = doubled + self.bias
        return doubled.transpose(1, 2)
