"""LeRobot's side of scripts/benchmarks/loading; runs in LeRobot's own environment.

    lerobot_loading.py EPISODES.npz FOLDER

Writes the episodes as a LeRobot dataset below FOLDER, loads it as lerobot-train does (a torch DataLoader
over LeRobotDataset with delta_timestamps), and writes FOLDER/lerobot.json {workers: windows/s} and
FOLDER/lerobot_windows.npz, the first batch in order.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

SECONDS = 20.0


def main() -> None:
    torch.set_num_threads(1)
    arrays, folder = np.load(sys.argv[1]), Path(sys.argv[2])
    rate_hz, obs_steps, pred_steps = (int(arrays[name]) for name in ("rate_hz", "obs_steps", "pred_steps"))
    write(folder / "lerobot", arrays["state"], arrays["action"], rate_hz)
    windows = {
        "observation.state": [(k - obs_steps + 1) / rate_hz for k in range(obs_steps)],
        "action": [(k - obs_steps + 1) / rate_hz for k in range(pred_steps)],
    }
    dataset = LeRobotDataset("imitate/walks", root=folder / "lerobot", delta_timestamps=windows)
    batch_size = int(arrays["batch_size"])
    first = next(iter(torch.utils.data.DataLoader(dataset, batch_size)))
    np.savez(
        folder / "lerobot_windows.npz",
        state=first["observation.state"].numpy(),
        action=first["action"].numpy(),
        is_pad=first["action_is_pad"].numpy(),
    )
    rates = {workers: rate(dataset, batch_size, workers) for workers in (0, 2)}
    (folder / "lerobot.json").write_text(json.dumps(rates))


def write(root: Path, state: np.ndarray, action: np.ndarray, rate_hz: int) -> None:
    features = {
        name: {"dtype": "float32", "shape": (array.shape[-1],), "names": None}
        for name, array in (("observation.state", state), ("action", action))
    }
    dataset = LeRobotDataset.create("imitate/walks", rate_hz, features, root=root, use_videos=False)
    for episode in range(len(state)):
        for step in range(state.shape[1]):
            frame = {"observation.state": state[episode, step], "action": action[episode, step]}
            dataset.add_frame({**frame, "task": "walk"})
        dataset.save_episode()
    dataset.finalize()


def rate(dataset: LeRobotDataset, batch_size: int, workers: int) -> float:
    """Windows per second after the first two batches, as lerobot-train makes its loader."""
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size,
        shuffle=True,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
    )
    windows, began = 0, 0.0
    for number, batch in enumerate(loader):
        if number == 2:
            windows, began = 0, time.perf_counter()
        windows += len(batch["action"])
        if number > 2 and time.perf_counter() - began > SECONDS:
            break
    return windows / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
