"""A small valid sample of every foreign format, made afresh in a folder."""

from collections.abc import Callable
from pathlib import Path

from sample_arrays import npz_sample, rlds_sample

SAMPLES: dict[str, Callable[[Path], Path]] = {}
SAMPLES["npz"] = npz_sample
SAMPLES["rlds"] = rlds_sample
