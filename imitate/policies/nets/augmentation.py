"""Changes to camera images in training, on the device of the batch: all frames of a window change alike.

A policy that sees To frames at once reads motion from them, so they share one draw: the same shift, the same
light. The draws come from torch's generator, which training seeds for every step.

Shapes: N = B · To images, of B windows with To frames each, which follow one another.
"""

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Of ITU-R BT.601, as torchvision weighs colours into grey."""


def central_crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """The middle (N, C, *size) of (N, C, H, W)."""
    top, left = (x.shape[2] - size[0]) // 2, (x.shape[3] - size[1]) // 2
    return x[:, :, top : top + size[0], left : left + size[1]]


def random_crop(x: Tensor, size: tuple[int, int], frames: int) -> Tensor:
    """A part (N, C, *size) of (N, C, H, W), at a place that is drawn for every `frames` images."""
    room = torch.tensor([x.shape[2] - size[0], x.shape[3] - size[1]], device=x.device)
    corner = (torch.rand(len(x) // frames, 2, device=x.device) * (room + 1)).long()
    corner = corner.repeat_interleave(frames, dim=0)
    rows = corner[:, :1] + torch.arange(size[0], device=x.device)
    columns = corner[:, 1:] + torch.arange(size[1], device=x.device)
    at = torch.arange(len(x), device=x.device)[:, None, None]
    return x.movedim(1, -1)[at, rows[:, :, None], columns[:, None]].movedim(-1, 1)


def jitter(x: Tensor, amount: float, frames: int) -> Tensor:
    """Brightness, contrast and saturation of (N, 3, H, W) in [0, 1], each times 1 ± `amount`.

    As torchvision's ColorJitter defines them, in this order; the factors are drawn for every `frames` images.
    """
    factors = 1 + amount * (2 * torch.rand(3, len(x) // frames, 1, 1, 1, device=x.device) - 1)
    brightness, contrast, saturation = factors.repeat_interleave(frames, dim=1)
    x = (x * brightness).clamp(0, 1)
    x = _blend(x, _grey(x).mean(dim=(2, 3), keepdim=True), contrast)
    return _blend(x, _grey(x), saturation)


def visible(size: tuple[int, int], mask: tuple[float, float, float, float]) -> Tensor:
    """(H, W) float32, 0 in the hidden rectangle `mask` (top, left, bottom, right, as shares), else 1."""
    height, width = size
    top, left, bottom, right = mask
    seen = torch.ones(size)
    seen[round(top * height) : round(bottom * height), round(left * width) : round(right * width)] = 0
    return seen


def _grey(x: Tensor) -> Tensor:
    return (x * x.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)


def _blend(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    return (share * x + (1 - share) * other).clamp(0, 1)
