"""Run by the Python that has the real lerobot package: reads datasets as its users do, and makes one.

python lerobot_package.py read FOLDER OUT.npz
python lerobot_package.py make FOLDER
"""

import json
import sys
from pathlib import Path

import numpy as np

LENGTHS, FPS = (6, 4, 5), 10
FEATURES = {
    "observation.state": {"dtype": "float32", "shape": (3,), "names": ["a", "b", "c"]},
    "observation.speed": {"dtype": "float64", "shape": (1,), "names": ["v"]},
    "observation.grid": {"dtype": "int64", "shape": (2, 3), "names": None},
    "observation.images.front": {
        "dtype": "video",
        "shape": (64, 96, 3),
        "names": ["height", "width", "channels"],
    },
    "observation.images.wrist": {
        "dtype": "image",
        "shape": (9, 15, 3),
        "names": ["height", "width", "channels"],
    },
    "next.success": {"dtype": "bool", "shape": (1,), "names": None},
    "action": {"dtype": "float32", "shape": (2,), "names": ["x", "y"]},
}


def frame(episode: int, step: int) -> dict[str, np.ndarray]:
    """What the step holds, without lerobot's bookkeeping."""
    rng = np.random.default_rng(100 * episode + step)
    return {
        "observation.state": rng.normal(size=3).astype(np.float32),
        "observation.speed": rng.normal(size=1),
        "observation.grid": rng.integers(0, 99, (2, 3)),
        "observation.images.front": np.full((64, 96, 3), 20 + 10 * (10 * episode + step) % 200, np.uint8),
        "observation.images.wrist": rng.integers(0, 256, (9, 15, 3), np.uint8),
        "next.success": np.array([episode != 1 and step == LENGTHS[episode] - 1]),
        "action": rng.normal(size=2).astype(np.float32),
    }


def task(episode: int) -> str:
    return f"task {episode % 2}"


def make(folder: Path) -> None:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset.create("someone/made", FPS, FEATURES, root=folder, vcodec="h264")
    for episode, steps in enumerate(LENGTHS):
        for step in range(steps):
            dataset.add_frame({**frame(episode, step), "task": task(episode)})
        dataset.save_episode()
    dataset.finalize()


def read(folder: Path, out: Path) -> None:
    """Every frame of every feature, stacked, and what the package says of the whole."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    dataset = LeRobotDataset("someone/read", root=folder, video_backend="pyav")
    windows = LeRobotDataset(
        "someone/read",
        root=folder,
        video_backend="pyav",
        delta_timestamps={"action": [0, 1 / dataset.fps], "observation.state": [-1 / dataset.fps, 0]},
    )
    items = [dataset[index] for index in range(len(dataset))]
    tasks = [item.pop("task") for item in items]
    arrays = {key: np.stack([item[key].numpy() for item in items]) for key in items[0]}
    arrays["window_action"] = np.stack([windows[i]["action"].numpy() for i in range(len(windows))])
    told = {
        "tasks": tasks,
        "ends": [int(end) for end in dataset.meta.episodes["dataset_to_index"]],
        "episode_tasks": dataset.meta.episodes["tasks"][:],
        "features": sorted(dataset.features),
        "fps": dataset.fps,
        "robot_type": dataset.meta.robot_type,
        "stats": {key: sorted(found) for key, found in dataset.meta.stats.items()},
    }
    np.savez(out, told=json.dumps(told), **arrays)


if __name__ == "__main__":
    verb, *paths = sys.argv[1:]
    {"read": read, "make": make}[verb](*(Path(path) for path in paths))
