"""MuJoCo, set up to draw without a screen.

MuJoCo decides at its first import how it will draw, so `mujoco` is imported from here: on a Linux machine
without a display, and without a wish in MUJOCO_GL, drawing in memory (OSMesa, else EGL) is chosen where its
library is there. Where neither is, everything but drawing works.
"""

import ctypes
import importlib
import os
import sys
from typing import Any

from imitate.errors import EnvError

BACKENDS = (("osmesa", ("libOSMesa.so.8", "libOSMesa.so")), ("egl", ("libEGL.so.1",)))
REMEDY = "run  apt-get install libosmesa6  (or libegl1 on a machine with a GPU), or set MUJOCO_GL"


def open_renderer(model: Any, height: int, width: int) -> Any:
    """A mujoco.Renderer for pictures (height, width, 3); raises EnvError that says what to install."""
    try:
        return mujoco.Renderer(model, height, width)
    except Exception as error:  # each backend fails in its own way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        chosen = os.environ.get("MUJOCO_GL", "not set")
        raise EnvError(f"cannot draw here (MUJOCO_GL is {chosen}: {reason}): {REMEDY}") from error


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
