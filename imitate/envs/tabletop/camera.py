"""Off-screen pictures of a scene; nothing is opened before the first one is asked for."""

from collections.abc import Sequence

import numpy as np

from imitate.envs.offscreen import mujoco, open_renderer
from imitate.envs.tabletop.scene import Scene
from imitate.types import ArraySpec


class Cameras:
    """Draws the scene; `names` of `size` (height, width) px are observed at every step."""

    def __init__(self, scene: Scene, names: Sequence[str], size: tuple[int, int]) -> None:
        self._scene, self._names, self._size = scene, tuple(names), size
        self._renderers: dict[tuple[int, int], mujoco.Renderer] = {}
        self.specs = {name: ArraySpec((*size, 3), dtype="uint8") for name in self._names}

    def observe(self) -> dict[str, np.ndarray]:
        """{camera: (H, W, 3) uint8} of the observed cameras."""
        return {name: self.draw(name, self._size) for name in self._names}

    def draw(self, camera: str, size: tuple[int, int]) -> np.ndarray:
        """The view (H, W, 3) uint8 of `camera`; raises EnvError where nothing can be drawn."""
        renderer = self._renderer(size)
        renderer.update_scene(self._scene.data, camera)
        return renderer.render().copy()

    def _renderer(self, size: tuple[int, int]) -> mujoco.Renderer:
        if size not in self._renderers:
            self._renderers[size] = open_renderer(self._scene.model, *size)
        return self._renderers[size]

    def close(self) -> None:
        """Close what was opened."""
        for renderer in self._renderers.values():
            renderer.close()
        self._renderers.clear()
