"""Small HDF5 files as others write them: robomimic, robosuite's recorder, Minari."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

ENV_ARGS = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20, "robots": ["Panda"]}}
Change = Callable[[h5py.File], Any]


def unchanged(file: h5py.File) -> None:
    """Leave the file as it is."""


def write_robomimic(path: Path, change: Change = unchanged) -> Path:
    """A file as robomimic's dataset_states_to_obs writes it; in the file demo_10 comes before demo_2."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs["env_args"] = json.dumps(ENV_ARGS)
        for number, steps in ((0, 5), (1, 8), (2, 6), (10, 7)):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["num_samples"] = steps
            demo.attrs["model_file"] = "<mujoco/>"
            demo["actions"] = rng.normal(size=(steps, 7))
            demo["states"] = rng.normal(size=(steps, 32))
            demo["rewards"] = (np.arange(steps) >= steps - 1).astype(float) * (number != 1)
            demo["dones"] = (np.arange(steps) == steps - 1).astype(int)
            for group in ("obs", "next_obs"):
                demo[f"{group}/robot0_eef_pos"] = rng.normal(size=(steps, 3))
                demo[f"{group}/gripper"] = rng.normal(size=steps)
                demo[f"{group}/agentview_image"] = rng.integers(0, 256, (steps, 6, 6, 3)).astype(np.uint8)
        data.attrs["total"] = 26
        file["mask/train"] = np.array([b"demo_0", b"demo_10"])
        file["mask/better"] = np.array([b"demo_10"])
        change(file)
    return path


def write_robosuite(path: Path, change: Change = unchanged) -> Path:
    """A file as robosuite's collect_human_demonstrations writes it: 20 Hz, three demonstrations."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for key, value in {
            "date": "11-16-2022",
            "time": "14:13:58",
            "repository_version": "1.4.0",
            "env": "Lift",
            "env_info": json.dumps({"env_name": "Lift", "robots": "Panda"}),
        }.items():
            data.attrs[key] = value
        for number, steps in ((1, 5), (2, 8), (3, 6)):
            demo = data.create_group(f"demo_{number}")
            demo.attrs["model_file"] = "<mujoco/>"
            demo["actions"] = rng.normal(size=(steps, 7))
            seconds = np.arange(steps)[:, None] * 0.05
            demo["states"] = np.concatenate([seconds, rng.normal(size=(steps, 31))], axis=1)
        change(file)
    return path


MINARI_STATE = {"type": "Box", "dtype": "float32", "shape": [3], "low": [-1, -2, -3], "high": [1, 2, 3]}
MINARI_CAMERA = {
    "type": "Box",
    "dtype": "uint8",
    "shape": [32, 40, 3],
    "low": np.zeros((32, 40, 3), int).tolist(),
    "high": np.full((32, 40, 3), 255).tolist(),
}
MINARI_SPACES = {
    "observation_space": {
        "type": "Dict",
        "subspaces": {
            "state": MINARI_STATE,
            "camera": MINARI_CAMERA,
            "goal": {"type": "Tuple", "subspaces": [MINARI_STATE, {"type": "Discrete", "n": 4, "start": 1}]},
            "mission": {"type": "Text", "max_length": 9, "min_length": 1, "charset": "abc"},
        },
    },
    "action_space": {"type": "Box", "dtype": "float32", "shape": [2], "low": [-1, -1], "high": [1, 1]},
}


def write_minari(folder: Path, change: Change = unchanged, spaces: dict[str, Any] = MINARI_SPACES) -> Path:
    """A data set as Minari 0.5.4 writes it: JPEG images, Tuple parts named _index_0, T + 1 observations."""
    (folder / "data").mkdir(parents=True)
    rng = np.random.default_rng(0)
    about = {"total_episodes": 5, "total_steps": 21, "data_format": "hdf5", "jpeg_encoding": True}
    about |= {"dataset_id": "test/reach-v0", "author": ["A. Author"], "minari_version": "0.5.4"}
    about |= {name: json.dumps(space) for name, space in spaces.items()}
    (folder / "data/metadata.json").write_text(json.dumps(about))
    with h5py.File(folder / "data/main_data.hdf5", "w", track_order=True) as file:
        for number in (0, 1, 2, 3, 10):
            _write_minari_episode(file.create_group(f"episode_{number}"), number, rng)
        change(file)
    return folder


def _write_minari_episode(group: h5py.Group, number: int, rng: np.random.Generator) -> None:
    steps = 1 + number % 11
    group.attrs.update({"id": number, "seed": 100 + number, "total_steps": steps, "options/level": 2})
    group["observations/state"] = rng.uniform(-1, 1, (steps + 1, 3)).astype(np.float32)
    group["observations/goal/_index_0"] = rng.uniform(-1, 1, (steps + 1, 3)).astype(np.float32)
    group["observations/goal/_index_1"] = rng.integers(1, 5, steps + 1)
    frames = [
        cv2.imencode(".jpg", np.full((32, 40, 3), (0, 20 * number % 256, 250), np.uint8))[1].ravel()
        for _ in range(steps + 1)
    ]
    images = group.create_dataset("observations/camera", (steps + 1,), h5py.vlen_dtype(np.uint8))
    for row, frame in enumerate(frames):
        images[row] = frame
    group.create_dataset("observations/mission", data=["abc"] * (steps + 1), dtype=h5py.string_dtype())
    group["actions"] = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
    group["rewards"] = np.zeros(steps)
    group["terminations"] = np.arange(steps) == steps - 1
    group["truncations"] = np.zeros(steps, bool)
    group["infos/success"] = np.append(np.zeros(steps, bool), number % 2 == 0)
