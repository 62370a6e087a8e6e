"""What turns small camera images into a few numbers: a network trained on them, or one with given weights.

Both take images (B, side, side, 3) uint8 and return (B, D) float32.
"""

import math
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.policies.nets.image_weights import read_weights
from imitate.policies.nets.torchvision_import import import_torchvision

LATENT = 16
SIDE = 32
CHANNELS, WIDTH = (8, 16, 32), 128
STEPS, BATCH, LEARNING_RATE = 400, 64, 2e-3
CHUNK = 512
MEASURED = 1_000
"""Images from which mean and spread are taken."""

RESNET_SIDE = 96
POOLED = 2
"""Parts of either side over which features are averaged: one would forget where things are."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Encoder(Protocol):
    """Something that sees square images of `side` pixels."""

    side: int

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(B, side, side, 3) uint8 -> (B, D) float32."""


class Autoencoder:
    """Three strided convolutions to LATENT numbers, trained so that as many undo them (plain reconstruction).

    Reconstruction, and not a comparison of moments in time: it has no negatives to choose, no time scale to
    set, and cannot learn to tell demonstrations apart by their light instead of by what happens in them. Each
    image is seen as its difference from the mean image, so that what never changes takes up no number.
    """

    side = SIDE

    def __init__(self, images: np.ndarray, seed: int = 0) -> None:
        """Train on `images` (M, SIDE, SIDE, 3) uint8; the same for the same `seed` and number of threads."""
        few = _channels_first(images[:: max(1, len(images) // MEASURED)])
        self.mean = few.mean(dim=0)
        self.scale = max(1e-3, float((few - self.mean).std()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder, decoder = _encoder(), _decoder()
        self._train(decoder, images, torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(B, SIDE, SIDE, 3) uint8 -> (B, LATENT) float32."""
        parts = [self.encoder(self._seen(images[i : i + CHUNK])) for i in range(0, len(images), CHUNK)]
        latent: np.ndarray = torch.cat(parts).numpy()
        return latent

    def _train(self, decoder: nn.Module, images: np.ndarray, generator: torch.Generator) -> None:
        weights = [*self.encoder.parameters(), *decoder.parameters()]
        optimizer = torch.optim.Adam(weights, lr=LEARNING_RATE)
        curve = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2 * LEARNING_RATE, STEPS)
        with torch.enable_grad():
            for _ in range(STEPS):
                rows = torch.randint(len(images), (BATCH,), generator=generator).numpy()
                seen = self._seen(images[rows])
                loss = F.mse_loss(decoder(self.encoder(seen)), seen)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                curve.step()

    def _seen(self, images: np.ndarray) -> Tensor:
        return (_channels_first(images) - self.mean) / self.scale


class GivenResNet:
    """torchvision's ResNet-18 with weights from a file, without its head: 512 features of each quarter."""

    side = RESNET_SIDE

    def __init__(self, path: str) -> None:
        """Raises ConfigError where the file does not fit, MissingExtraError without torchvision."""
        self.network = import_torchvision("images").models.resnet18()
        self.network.fc = nn.Identity()
        self.network.avgpool = nn.AdaptiveAvgPool2d(POOLED)
        read_weights(path, self.network, "images")
        self.network.eval()

    @torch.no_grad()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(B, RESNET_SIDE, RESNET_SIDE, 3) uint8 -> (B, 2048) float32."""
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        step = CHUNK // 8
        parts = [
            self.network((_channels_first(images[i : i + step]) - mean) / std)
            for i in range(0, len(images), step)
        ]
        features: np.ndarray = torch.cat(parts).numpy()
        return features


def _channels_first(images: np.ndarray) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) float32 from 0 to 1."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0


def _encoder() -> nn.Module:
    layers: list[nn.Module] = []
    for a, b in pairwise((3, *CHANNELS)):
        layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.SiLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS[-1] * (SIDE // 8) ** 2, LATENT))


def _decoder() -> nn.Module:
    # Only to train by: two plain layers cost less than convolutions at full size, and lead to the same.
    shape = (3, SIDE, SIDE)
    return nn.Sequential(
        nn.Linear(LATENT, WIDTH), nn.SiLU(), nn.Linear(WIDTH, math.prod(shape)), nn.Unflatten(1, shape)
    )
