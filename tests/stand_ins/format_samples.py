"""A small valid sample of every foreign format, made afresh in a folder."""

from collections.abc import Callable
from pathlib import Path

from hdf5_samples import write_minari, write_robomimic, write_robosuite
from recorded_session import record, record_steps
from replay_buffers import write_buffer, write_store
from sample_arrays import npz_sample, rlds_sample
from small_lerobot import lerobot_sample
from written_bags import bag_sample

SAMPLES: dict[str, Callable[[Path], Path]] = {}
SAMPLES["bag"] = bag_sample
SAMPLES["npz"] = npz_sample
SAMPLES["rlds"] = rlds_sample
SAMPLES["robomimic"] = lambda folder: write_robomimic(folder / "low_dim.hdf5")
SAMPLES["robosuite"] = lambda folder: write_robosuite(folder / "demo.hdf5")
SAMPLES["minari"] = lambda folder: write_minari(folder / "reach-v0")
SAMPLES["diffusion_policy"] = lambda folder: write_buffer(folder / "replay.zarr")
SAMPLES["imitate"] = lambda folder: write_store(folder / "demos.zarr")
SAMPLES["session"] = lambda folder: record(
    folder / "session.mcap", lambda recorder: record_steps(recorder, range(6))
)
SAMPLES["lerobot"] = lerobot_sample
