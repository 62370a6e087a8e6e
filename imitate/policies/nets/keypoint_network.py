"""A small convolutional network that says where things are: for cameras, on a processor without a GPU.

Three convolutions bring an image to a quarter of its side and two more to an eighth, which see further; what
they find is added back at the quarter, where heat maps become places by spatial softmax (Finn et al., arXiv
1509.06113; as in robomimic). 0.1 M weights and 24 M multiplications for an image of 96 x 96 px, where a
ResNet-18 takes 333 M.

Shapes: N images, H height, W width, C channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (16, 32, 64)
"""At a half, a quarter and an eighth of the side."""


class KeypointNetwork(nn.Module):
    """(N, 3, H, W) -> (N, 2 · keypoints); `film`, where there is one, acts on the features at an eighth."""

    def __init__(self, keypoints: int, film: nn.Module | None = None) -> None:
        super().__init__()
        half, quarter, eighth = CHANNELS
        self.near = nn.Sequential(
            _layer(3, half, 5, 2), _layer(half, quarter, 3, 2), _layer(quarter, quarter, 3, 1)
        )
        self.far = nn.Sequential(_layer(quarter, eighth, 3, 2), _layer(eighth, eighth, 3, 1))
        self.film = film
        self.back = nn.Conv2d(eighth, quarter, 1)
        self.heat = nn.Conv2d(quarter, keypoints, 3, padding=1)
        self.size = 2 * keypoints

    def forward(self, x: Tensor, goal: Tensor) -> Tensor:
        """Where each heat map looks: x, then y, from -1 to 1."""
        near = self.near(x)
        far = self.far(near)
        if self.film is not None:
            far = self.film(far, goal)
        seen = F.interpolate(self.back(far), near.shape[2:], mode="bilinear")
        return spatial_softmax(self.heat(F.relu(near + seen)).float())


def _layer(before: int, after: int, size: int, stride: int) -> nn.Module:
    # Group normalisation, since an average of weights cannot follow the statistics of a batch.
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride, size // 2), nn.GroupNorm(after // 8, after), nn.ReLU()
    )


def spatial_softmax(heat: Tensor) -> Tensor:
    """The expected place (N, 2C) under the softmax of each heat map (N, C, H, W); edges are at -1 and 1."""
    height, width = heat.shape[2:]
    share = heat.flatten(2).softmax(dim=-1).unflatten(-1, (height, width))
    x = (share.sum(dim=2) * torch.linspace(-1, 1, width, device=heat.device)).sum(dim=-1)
    y = (share.sum(dim=3) * torch.linspace(-1, 1, height, device=heat.device)).sum(dim=-1)
    return torch.cat([x, y], dim=1)
