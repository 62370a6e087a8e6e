"""What policies see in a set of points: a PointNet.

"PointNet", Qi et al., arXiv 1612.00593, in the small form of 3D Diffusion Policy (Ze et al., arXiv
2403.03954): the same MLP with layer normalisation for every point, the largest value of each feature over
all points, and a projection. Neither the order of the points nor doubling one makes a difference.
"""

import itertools
from dataclasses import dataclass

from torch import Tensor, nn

from imitate.errors import ConfigError


@dataclass(frozen=True)
class PointsConfig:
    """How sets of points become features; every set has a network of its own.

    keys: the observations that are sets of points, each (points, channels), the first three channels of
        which are a place in metres; others may follow, such as colours.
    width: of the MLP's last layer; features: how many numbers a policy gets per set.
    """

    keys: tuple[str, ...] = ()
    width: int = 256
    features: int = 64

    def __post_init__(self) -> None:
        for name in ("width", "features"):
            if getattr(self, name) < 4:
                raise ConfigError(
                    f"policy.observation.points.{name} is {getattr(self, name)}, expected at least 4"
                )

    def build(self, channels: int) -> "PointNet":
        """An encoder for one set."""
        return PointNet(self, channels)


class PointNet(nn.Module):
    """(…, points, channels), normalised -> (…, features)."""

    def __init__(self, config: PointsConfig, channels: int) -> None:
        super().__init__()
        sizes = (channels, config.width // 4, config.width // 2, config.width)
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU()]
        self.each = nn.Sequential(*layers)
        self.out = nn.Sequential(nn.Linear(config.width, config.features), nn.LayerNorm(config.features))

    def forward(self, points: Tensor) -> Tensor:
        """Features of the sets; see the class."""
        return self.out(self.each(points).amax(dim=-2))
