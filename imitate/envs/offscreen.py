"""MuJoCo, set up to draw without a screen.

MuJoCo decides at its first import how it will draw, so `mujoco` is imported from here: on a Linux machine
without a display, and without a wish in MUJOCO_GL, drawing in memory (OSMesa, else EGL) is chosen where its
library is there. Where neither is, everything but drawing works.
"""

import contextlib
import ctypes
import importlib
import os
import sys
from typing import Any

import numpy as np

from imitate.errors import EnvError

BACKENDS = (("osmesa", ("libOSMesa.so.8", "libOSMesa.so")), ("egl", ("libEGL.so.1",)))
REMEDY = "run  apt-get install libosmesa6  (or libegl1 on a machine with a GPU), or set MUJOCO_GL"


class Offscreen:
    """Draws pictures (height, width, 3) of one model in memory, edges smoothed by `samples` per pixel.

    mujoco.Renderer frees its OpenGL objects while another context may be the current one, which garbles the
    pictures of every other renderer in the process; this one does not. Raises EnvError where nothing can
    be drawn, with what to install.
    """

    def __init__(self, model: Any, height: int, width: int, samples: int = 0) -> None:
        self._model = model
        self._area = mujoco.MjrRect(0, 0, width, height)
        self._context: Any = None
        # A buffer of just this size: clearing and blending a larger one takes time in software.
        model.vis.global_.offheight, model.vis.global_.offwidth = height, width
        model.vis.quality.offsamples = samples
        try:
            self._gl = mujoco.GLContext(width, height)
            self._gl.make_current()
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        except Exception as error:  # each backend fails in its own way
            reason = str(error).partition("\n")[0] or type(error).__name__
            chosen = os.environ.get("MUJOCO_GL", "not set")
            raise EnvError(f"cannot draw here (MUJOCO_GL is {chosen}: {reason}): {REMEDY}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=1000)
        self._options = mujoco.MjvOption()

    def draw(self, data: Any, camera: Any) -> np.ndarray:
        """The view (height, width, 3) uint8 of `camera`: a name in the model, or a mujoco.MjvCamera."""
        view = self._fixed(camera) if isinstance(camera, str) else camera
        kinds = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._options, None, view, kinds, self._scene)
        self._gl.make_current()
        mujoco.mjr_render(self._area, self._scene, self._context)
        picture = np.empty((self._area.height, self._area.width, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, self._area, self._context)
        return np.ascontiguousarray(picture[::-1])

    def renew_textures(self) -> None:
        """Draw with the model's textures as they are now: a copy of them was made at the start."""
        self._gl.make_current()
        for texture in range(self._model.ntex):
            mujoco.mjr_uploadTexture(self._model, self._context, texture)

    def _fixed(self, name: str) -> Any:
        view = mujoco.MjvCamera()
        view.type = mujoco.mjtCamera.mjCAMERA_FIXED
        view.fixedcamid = self._model.camera(name).id
        return view

    def close(self) -> None:
        """Give the memory back; may be called twice."""
        if self._context is not None:
            self._gl.make_current()
            self._context.free()
            self._gl.free()
            self._context = None

    def __del__(self) -> None:
        # Modules may be gone already when the interpreter ends.
        with contextlib.suppress(Exception):
            self.close()


def _choose_backend() -> None:
    has_display = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if sys.platform != "linux" or has_display or "MUJOCO_GL" in os.environ or "mujoco" in sys.modules:
        return
    for backend, libraries in BACKENDS:
        if any(_loads(library) for library in libraries):
            os.environ["MUJOCO_GL"] = backend
            try:
                importlib.import_module("mujoco")
                return
            except (ImportError, AttributeError):  # the library is there, but nothing to draw with
                del os.environ["MUJOCO_GL"]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


_choose_backend()

import mujoco  # noqa: E402
