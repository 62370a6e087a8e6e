"""robomimic's side of scripts/benchmarks/loading; runs with robomimic on its path.

    robomimic_loading.py SETTINGS.json

Loads demo.hdf5 beside the settings as robomimic trains: SequenceDataset, everything in memory without
cameras (hdf5_cache_mode "all"), the numbers in memory and images from the file with them ("low_dim"). Its
windows hold the observations of all steps, not only of those that a policy sees. Prints {workers: windows/s}.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import robomimic.utils.obs_utils as obs_utils
import torch
from robomimic.utils.dataset import SequenceDataset

RUNS = 5


def main() -> None:
    torch.set_num_threads(1)
    path = Path(sys.argv[1])
    settings = json.loads(path.read_text())
    cameras = settings["cameras"]
    keys = [key for key in settings["keys"] if key != "action"]
    modalities = {"low_dim": [key for key in keys if key not in cameras], "rgb": cameras}
    sys.stdout = sys.stderr  # robomimic prints
    obs_utils.initialize_obs_utils_with_obs_specs([{"obs": modalities}])
    dataset = SequenceDataset(
        hdf5_path=str(path.parent / "demo.hdf5"),
        obs_keys=keys,
        dataset_keys=("actions",),
        frame_stack=settings["obs_steps"],
        seq_length=settings["pred_steps"] - settings["obs_steps"] + 1,
        hdf5_cache_mode="low_dim" if cameras else "all",
        hdf5_use_swmr=False,
        load_next_obs=False,
    )
    found = {workers: rate(dataset, settings, workers) for workers in (2, 0)}
    sys.stdout = sys.__stdout__
    print(json.dumps(found))


def rate(dataset: SequenceDataset, settings: dict, workers: int) -> float:
    """Windows per second, the median of five runs after the first two batches."""
    loader = torch.utils.data.DataLoader(
        dataset, settings["batch_size"], shuffle=True, num_workers=workers, drop_last=True
    )
    batches = (batch for _ in range(10**6) for batch in loader)
    for _ in range(2):
        next(batches)
    rates = []
    for _ in range(RUNS):
        windows, began = 0, time.perf_counter()
        while windows == 0 or time.perf_counter() - began < settings["seconds"] / RUNS:
            windows += len(next(batches)["actions"])
        rates.append(windows / (time.perf_counter() - began))
    return statistics.median(rates)


if __name__ == "__main__":
    main()
