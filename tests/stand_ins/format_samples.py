"""A small valid sample of every foreign format, made afresh in a folder."""

from collections.abc import Callable
from pathlib import Path

SAMPLES: dict[str, Callable[[Path], Path]] = {}
