"""Bringing camera images that others stored in another order of axes to (H, W, 3) RGB."""

from dataclasses import dataclass

import numpy as np

SMALLEST_SIDE = 5
"""Arrays with a shorter side are matrices, not images: a pose is 4 × 4."""


@dataclass(frozen=True)
class ImageLayout:
    """How stored images become (H, W, 3): `said` tells in words what is done, "" where nothing is.

    channels: stored ones (1, 3 or 4). channels_first: stored as (channels, H, W).
    """

    height: int
    width: int
    channels: int
    channels_first: bool

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3), as images are delivered."""
        return (self.height, self.width, 3)

    @property
    def said(self) -> str:
        """What delivering changes, "" for nothing."""
        changes = []
        if self.channels_first:
            changes.append(f"turned from ({self.channels}, H, W) to (H, W, {self.channels})")
        if self.channels == 1:
            changes.append("grey repeated as red, green and blue")
        if self.channels == 4:
            changes.append("the fourth channel (alpha) left out")
        return "; ".join(changes)

    def deliver(self, images: np.ndarray) -> np.ndarray:
        """(T, …) as stored -> (T, H, W, 3)."""
        images = np.moveaxis(images, 1, -1) if self.channels_first else images
        images = np.repeat(images, 3, -1) if self.channels == 1 else images[..., :3]
        return np.ascontiguousarray(images)


def image_layout(shape: tuple[int, ...]) -> ImageLayout | None:
    """The layout of images of `shape` per step; None where it is no image.

    Where first and last axis could both be the channels, the last one is.
    """
    if len(shape) != 3:
        return None
    if shape[2] in (1, 3, 4):
        found = ImageLayout(shape[0], shape[1], shape[2], channels_first=False)
    elif shape[0] in (1, 3, 4):
        found = ImageLayout(shape[1], shape[2], shape[0], channels_first=True)
    else:
        return None
    return found if min(found.height, found.width) >= SMALLEST_SIDE else None
