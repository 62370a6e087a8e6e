"""Pictures of a scene; nothing is opened before the first one is asked for."""

from collections.abc import Sequence

import numpy as np

from imitate.envs.offscreen import Offscreen
from imitate.envs.tabletop.scene import Scene
from imitate.types import ArraySpec

FILM_SIZE = (480, 640)
FILM_SAMPLES = 4
"""Smooth edges double the time of a picture drawn without a GPU, so only people get them."""


class Cameras:
    """Draws the scene; `names` of `size` (height, width) px are observed at every step.

    Every picture raises EnvError where nothing can be drawn.
    """

    def __init__(self, scene: Scene, names: Sequence[str], size: tuple[int, int]) -> None:
        self._scene, self._names, self._size = scene, tuple(names), size
        self._open: dict[tuple[tuple[int, int], int], Offscreen] = {}
        self.specs = {name: ArraySpec((*size, 3), dtype="uint8") for name in self._names}

    def observe(self) -> dict[str, np.ndarray]:
        """{camera: (H, W, 3) uint8} of the observed cameras."""
        return {name: self._draw(name, self._size, 0) for name in self._names}

    def film(self) -> np.ndarray:
        """The whole scene from the side (480, 640, 3) uint8, for people to look at."""
        return self._draw("scene", FILM_SIZE, FILM_SAMPLES)

    def _draw(self, camera: str, size: tuple[int, int], samples: int) -> np.ndarray:
        if (size, samples) not in self._open:
            self._open[size, samples] = Offscreen(self._scene.model, *size, samples)
        return self._open[size, samples].draw(self._scene.data, camera)

    def renew_textures(self) -> None:
        """See Offscreen.renew_textures."""
        for offscreen in self._open.values():
            offscreen.renew_textures()

    def close(self) -> None:
        """Close what was opened."""
        for offscreen in self._open.values():
            offscreen.close()
        self._open.clear()
