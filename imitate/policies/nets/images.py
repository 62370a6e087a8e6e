"""What policies see in a camera image: a ResNet-18 or a small network with spatial softmax, or a ViT.

As Diffusion Policy does (Chi et al., arXiv 2303.04137): one network per camera, group instead of batch
normalisation, which an average of weights needs, and a crop that is random in training and central when
acting. Spatial softmax (Finn et al., arXiv 1509.06113; as in robomimic) turns each of `keypoints` heat maps
into the place it looks at. With `film` a goal scales and shifts the features inside (Perez et al., arXiv
1709.07871). The large networks are torchvision's, and so are the names of weights in a file that is given.

Shapes: N images, H height, W width, C channels, G goal features.
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError, SpecError, nearest
from imitate.policies.nets.augmentation import central_crop, jitter, random_crop, visible
from imitate.policies.nets.image_weights import read_weights
from imitate.policies.nets.keypoint_network import CHANNELS, KeypointNetwork, spatial_softmax
from imitate.policies.nets.torchvision_import import import_torchvision
from imitate.types import ArraySpec

Network = Literal["resnet18", "vit_tiny", "vit_b_16", "small"]
Norm = Literal["group", "frozen_batch"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours: what given weights were trained with, and no harm to others."""

RESNET_STRIDE = 32
"""Pixels to one place of its last features."""

VIT = {
    "vit_tiny": {"image_size": 96, "patch_size": 12, "num_layers": 4, "num_heads": 3, "hidden_dim": 192},
    "vit_b_16": {"image_size": 224, "patch_size": 16, "num_layers": 12, "num_heads": 12, "hidden_dim": 768},
}


@dataclass(frozen=True)
class ImageConfig:
    """How camera images become features; every camera has a network of its own.

    network: resnet18, vit_tiny (96 px, 2 M weights), vit_b_16 (224 px, 86 M weights), or small (0.1 M
        weights), which learns on a CPU and needs no torchvision.
    resize: [height, width] in px of what the network is to work on, before the crop; null leaves images as
        they are.
    crop: share of either side that is cut out, at a random place in training and in the middle when acting;
        1 takes all.
    jitter: by how much brightness, contrast and saturation are changed in training, each by a random factor
        of 1 ± jitter; 0 leaves colours alone. All frames of a window get the same crop and the same factors.
    masked: cameras of which a fixed part is hidden, in training and when acting; such as those in the hand,
        which see a gripper that looks different elsewhere (Kim et al., arXiv 2307.05959).
    mask: that part: top, left, bottom and right edge as shares of height and width.
    norm: of resnet18; frozen_batch keeps the statistics of given weights and needs them.
    keypoints: heat maps of resnet18 and small, each of which gives the place it looks at.
    features: how many numbers a policy gets per image.
    film: let the goal scale and shift the features inside; policy.observation.goal must name one.
    weights: a .safetensors file with torchvision's names for the network's weights; empty starts from
        random ones. It is read before the first step of training, and not needed to act.
    """

    network: Network = "resnet18"
    resize: tuple[int, int] | None = None
    crop: float = 0.9
    jitter: float = 0.0
    masked: tuple[str, ...] = ()
    mask: tuple[float, float, float, float] = (0.0, 0.0, 0.36, 1.0)
    norm: Norm = "group"
    keypoints: int = 32
    features: int = 64
    film: bool = False
    weights: str = ""

    def __post_init__(self) -> None:
        for name, known in (("network", get_args(Network)), ("norm", get_args(Norm))):
            found = getattr(self, name)
            if found not in known:
                raise ConfigError(f"policy.observation.image.{name} is {found!r}{nearest(found, known)}")
        for name in ("keypoints", "features"):
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"policy.observation.image.{name} is {getattr(self, name)}, expected at least 1"
                )
        if not 0.1 <= self.crop <= 1:
            raise ConfigError(f"policy.observation.image.crop is {self.crop}, expected 0.1 to 1")
        if not 0 <= self.jitter < 1:
            raise ConfigError(
                f"policy.observation.image.jitter is {self.jitter}, expected at least 0 and below 1"
            )
        if len(self.mask) != 4 or not (
            0 <= self.mask[0] < self.mask[2] <= 1 and 0 <= self.mask[1] < self.mask[3] <= 1
        ):
            raise ConfigError(
                f"policy.observation.image.mask is {list(self.mask)}, expected [top, left, bottom, right] "
                "from 0 to 1, the first two below the others"
            )
        if self.resize is not None and min(self.resize) < 16:
            raise ConfigError(
                f"policy.observation.image.resize is {list(self.resize)}, expected [height, width] of 16 "
                "or more"
            )
        if self.network == "small" and self.weights:
            raise ConfigError(
                "policy.observation.image.weights names a file, but policy.observation.image.network is "
                "small, for which nobody has any: leave it empty, or choose resnet18"
            )
        if self.norm == "frozen_batch" and not (self.weights and self.network == "resnet18"):
            raise ConfigError(
                "policy.observation.image.norm is frozen_batch, which takes its statistics from "
                "policy.observation.image.weights of a resnet18: name a file, or set it to group"
            )

    def build(self, key: str, array: ArraySpec, goal_size: int) -> "ImageEncoder":
        """An encoder for the camera `key`.

        Raises SpecError where its images are too small, MissingExtraError without torchvision.
        """
        if self.network == "resnet18" and min(self.seen(array)) <= RESNET_STRIDE:
            height, width = self.seen(array)
            raise SpecError(
                f"observation {key!r}: resnet18 would see {height} x {width} px of {array.shape[0]} x "
                f"{array.shape[1]}, expected more than {RESNET_STRIDE} px, or all that it finds is in one "
                "place: set policy.observation.image.resize, or network=vit_tiny"
            )
        size = array.shape[0], array.shape[1]
        shown = visible(size, self.mask) if key in self.masked else None
        return ImageEncoder(self, goal_size if self.film else 0, shown)

    def seen(self, array: ArraySpec) -> tuple[int, int]:
        """Height and width in px of what the network gets to see."""
        height, width = self.resize or array.shape[:2]
        return round(height * self.crop), round(width * self.crop)


class ImageEncoder(nn.Module):
    """(N, H, W, 3) uint8 and a goal (N, G) -> (N, features) float32."""

    mean: Tensor
    std: Tensor
    shown: Tensor | None

    def __init__(self, config: ImageConfig, goal_size: int, shown: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        self.network = _network(config, goal_size)
        self.out = nn.Linear(self.network.size, config.features)
        for name, value in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(value)[:, None, None], persistent=False)
        self.register_buffer("shown", shown, persistent=False)

    def load_weights(self) -> None:
        """Take over the weights of the file that is named, if any; raises ConfigError if they do not fit."""
        if self.config.weights:
            assert not isinstance(self.network, KeypointNetwork)
            read_weights(self.config.weights, self.network.body, "policy.observation.image.weights")

    def forward(self, image: Tensor, goal: Tensor, frames: int = 1) -> Tensor:
        """Features of the images; see the class. Every `frames` of them are a window and change alike."""
        x = image.movedim(-1, 1).float() / 255
        if self.shown is not None:
            x = x * self.shown
        if self.config.resize is not None:
            x = F.interpolate(x, self.config.resize, mode="bilinear", antialias=True)
        x = (self._augmented(x, frames) - self.mean) / self.std
        return self.out(self.network(x, goal))

    def _augmented(self, x: Tensor, frames: int) -> Tensor:
        size = round(x.shape[2] * self.config.crop), round(x.shape[3] * self.config.crop)
        if not self.training:
            return central_crop(x, size)
        x = random_crop(x, size, frames)
        return jitter(x, self.config.jitter, frames) if self.config.jitter else x


def _network(config: ImageConfig, goal_size: int) -> "ResNet | VisionTransformer | KeypointNetwork":
    if config.network == "small":
        film = Film(goal_size, CHANNELS[-1]) if goal_size else None
        return KeypointNetwork(config.keypoints, film)
    made = ResNet if config.network == "resnet18" else VisionTransformer
    return made(import_torchvision("images"), config, goal_size)


class ResNet(nn.Module):
    """torchvision's ResNet-18 without its head, then spatial softmax: (N, 3, H, W) -> (N, 2 · keypoints)."""

    def __init__(self, torchvision: Any, config: ImageConfig, goal_size: int) -> None:
        super().__init__()
        frozen = torchvision.ops.FrozenBatchNorm2d
        norm = frozen if config.norm == "frozen_batch" else (lambda size: nn.GroupNorm(size // 16, size))
        self.body = torchvision.models.resnet18(norm_layer=norm)
        del self.body.fc
        self.film = (
            nn.ModuleList(Film(goal_size, size) for size in (64, 128, 256, 512)) if goal_size else None
        )
        self.heat = nn.Conv2d(512, config.keypoints, 1)
        self.size = 2 * config.keypoints

    def forward(self, x: Tensor, goal: Tensor) -> Tensor:
        """Where each heat map looks: x, then y, from -1 to 1."""
        body = self.body
        x = body.maxpool(body.relu(body.bn1(body.conv1(x))))
        for index, layer in enumerate((body.layer1, body.layer2, body.layer3, body.layer4)):
            x = layer(x)
            if self.film is not None:
                x = self.film[index](x, goal)
        return spatial_softmax(self.heat(x).float())


class VisionTransformer(nn.Module):
    """torchvision's vision transformer without its head: (N, 3, H, W) -> (N, hidden_dim)."""

    def __init__(self, torchvision: Any, config: ImageConfig, goal_size: int) -> None:
        super().__init__()
        sizes = VIT[config.network]
        self.size, self.side = sizes["hidden_dim"], sizes["image_size"]
        self.body = torchvision.models.VisionTransformer(**sizes, mlp_dim=4 * self.size)
        self.body.heads = nn.Identity()
        self.film = Film(goal_size, self.size) if goal_size else None

    def forward(self, x: Tensor, goal: Tensor) -> Tensor:
        """The class token; the images are scaled to the side that the network knows."""
        body = self.body
        x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        x = body.conv_proj(x)
        if self.film is not None:
            x = self.film(x, goal)
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([body.class_token.expand(len(x), -1, -1), x], dim=1)
        return body.encoder(x)[:, 0]


class Film(nn.Module):
    """Scales and shifts the channels of (N, C, H, W) by a goal (N, G); at first it changes nothing."""

    def __init__(self, goal_size: int, channels: int) -> None:
        super().__init__()
        self.modulation = nn.Linear(goal_size, 2 * channels)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x: Tensor, goal: Tensor) -> Tensor:
        """(1 + scale) · x + shift."""
        scale, shift = self.modulation(goal)[:, :, None, None].chunk(2, dim=1)
        return x * (1 + scale) + shift
