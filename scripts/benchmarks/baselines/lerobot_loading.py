"""LeRobot's side of scripts/benchmarks/loading; runs in LeRobot's own environment.

    lerobot_loading.py SETTINGS.json

Writes the episodes beside the settings as a LeRobot dataset (cameras as video, as LeRobot does by default),
loads it as lerobot-train does (a torch DataLoader over LeRobotDataset with delta_timestamps), prints
{workers: windows/s}, and writes lerobot_windows.npz, the first batch in order, for data without cameras.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset

RUNS = 5


def main() -> None:
    torch.set_num_threads(1)
    path = Path(sys.argv[1])
    settings, folder = json.loads(path.read_text()), path.parent
    if not (folder / "lerobot").exists():
        write(folder, settings)
    rate_hz, observed = settings["rate_hz"], range(1 - settings["obs_steps"], 1)
    windows = {
        name: [k / rate_hz for k in observed] for name in features(folder, settings) if name != "action"
    }
    first = 1 - settings["obs_steps"]
    windows["action"] = [(first + k) / rate_hz for k in range(settings["pred_steps"])]
    dataset = LeRobotDataset(
        "imitate/walks", root=folder / "lerobot", delta_timestamps=windows, video_backend=backend()
    )
    if not settings["cameras"]:
        write_first_batch(dataset, folder, settings["batch_size"])
    # With workers first: they are forked, and must not share video files that this process has opened.
    found = {workers: rate(dataset, settings, workers) for workers in (2, 0)}
    print(json.dumps(found | share(folder)))


def backend() -> str:
    try:
        from torchcodec.decoders import VideoDecoder  # noqa: F401
    except Exception:
        return "pyav"
    return "torchcodec"


def features(folder: Path, settings: dict) -> dict[str, dict]:
    found = {}
    for name in settings["keys"]:
        array = np.load(folder / f"{name}.npy", mmap_mode="r")
        if name in settings["cameras"]:
            names = ["height", "width", "channels"]
            found[f"observation.images.{name}"] = {"dtype": "video", "shape": array.shape[1:], "names": names}
        else:
            key = name if name == "action" else f"observation.{name}"
            found[key] = {"dtype": "float32", "shape": array.shape[1:], "names": None}
    return found


def write(folder: Path, settings: dict) -> None:
    keys = features(folder, settings)
    arrays = {key: np.load(folder / f"{key.rpartition('.')[2]}.npy", mmap_mode="r") for key in keys}
    dataset = LeRobotDataset.create(
        "imitate/walks",
        int(settings["rate_hz"]),
        keys,
        root=folder / "lerobot",
        use_videos=bool(settings["cameras"]),
    )
    for row in range(len(arrays["action"])):
        dataset.add_frame({**{key: np.array(array[row]) for key, array in arrays.items()}, "task": "walk"})
        if (row + 1) % settings["steps"] == 0:
            dataset.save_episode()
    dataset.finalize()


def share(folder: Path) -> dict[str, float]:
    """Bytes of the videos, of those of their pixels."""
    videos = sum(file.stat().st_size for file in (folder / "lerobot").rglob("*.mp4"))
    pixels = sum(
        np.load(file, mmap_mode="r").nbytes
        for file in folder.glob("*.npy")
        if file.stem in ("front", "wrist")
    )
    return {"share": videos / pixels} if pixels else {}


def write_first_batch(dataset: LeRobotDataset, folder: Path, batch_size: int) -> None:
    first = next(iter(torch.utils.data.DataLoader(dataset, batch_size)))
    np.savez(
        folder / "lerobot_windows.npz",
        state=first["observation.state"].numpy(),
        action=first["action"].numpy(),
        is_pad=first["action_is_pad"].numpy(),
    )


def rate(dataset: LeRobotDataset, settings: dict, workers: int) -> float:
    """Windows per second, the median of five runs after the first two batches, as lerobot-train loads."""
    loader = torch.utils.data.DataLoader(
        dataset,
        settings["batch_size"],
        shuffle=True,
        num_workers=workers,
        prefetch_factor=2 if workers else None,
    )
    return median_rate((batch for _ in range(10**6) for batch in loader), settings["seconds"])


def median_rate(batches, seconds: float) -> float:
    for _ in range(2):
        next(batches)
    rates = []
    for _ in range(RUNS):
        windows, began = 0, time.perf_counter()
        while windows == 0 or time.perf_counter() - began < seconds / RUNS:
            windows += len(next(batches)["action"])
        rates.append(windows / (time.perf_counter() - began))
    return statistics.median(rates)


if __name__ == "__main__":
    main()
