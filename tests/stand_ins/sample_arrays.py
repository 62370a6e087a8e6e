"""Small samples of RLDS and npz, with images where the format has them."""

from pathlib import Path
from typing import Any

import numpy as np
import sample_tfrecord as tf

LENGTHS = (5, 3, 4)
SIZE = (16, 24)

STEPS: dict[str, Any] = {
    "observation": tf.group(
        {
            "state": tf.tensor([3]),
            "camera": tf.image([*SIZE, 3]),
            "depth": tf.image([*SIZE, 1], "png", "uint16"),
            "gripper": tf.tensor([], "int32"),
        }
    ),
    "action": tf.tensor([2]),
    "reward": tf.tensor([]),
    "is_first": tf.tensor([], "bool"),
    "is_last": tf.tensor([], "bool"),
    "language_instruction": tf.TEXT,
    "language_embedding": tf.tensor([4]),
}
EPISODE: dict[str, Any] = {"episode_id": tf.tensor([], "int32"), "file_path": tf.TEXT}


def smooth_images(rng: np.random.Generator, steps: int) -> np.ndarray:
    """(steps, H, W, 3) uint8 that JPEG hardly changes."""
    corners = rng.uniform(20, 235, (steps, 1, 1, 3)) + np.zeros((1, *SIZE, 1))
    slope = np.linspace(-15, 15, SIZE[1])[None, None, :, None]
    return np.clip(corners + slope, 0, 255).astype(np.uint8)


def rlds_episode(number: int) -> dict[str, Any]:
    """What a record holds, before images are encoded; the same whenever it is made."""
    rng, steps = np.random.default_rng(number), LENGTHS[number % len(LENGTHS)]
    return {
        "steps/observation/state": rng.normal(size=(steps, 3)).astype(np.float32),
        "steps/observation/camera": smooth_images(rng, steps),
        "steps/observation/depth": rng.integers(0, 2**16, (steps, *SIZE, 1)).astype(np.uint16),
        "steps/observation/gripper": rng.integers(-3, 3, steps),
        "steps/action": rng.normal(size=(steps, 2)).astype(np.float32),
        "steps/reward": np.eye(steps, dtype=np.float32)[-1] * (number != 1),
        "steps/is_first": np.eye(steps, dtype=np.int64)[0],
        "steps/is_last": np.eye(steps, dtype=np.int64)[-1],
        "steps/language_instruction": [f"reach {number}".encode()] * steps,
        "steps/language_embedding": rng.normal(size=(steps, 4)).astype(np.float32),
        "episode_metadata/episode_id": np.array([number]),
        "episode_metadata/file_path": [b"/recorded/here"],
    }


def rlds_record(number: int) -> bytes:
    found = rlds_episode(number)
    for name, kind in (("camera", ".jpg"), ("depth", ".png")):
        found[f"steps/observation/{name}"] = tf.encoded(found[f"steps/observation/{name}"], kind)
    return tf.example(found)


def rlds_sample(folder: Path) -> Path:
    records = [rlds_record(number) for number in range(len(LENGTHS))]
    return tf.write_folder(folder / "reach" / "1.0.0", records, STEPS, EPISODE)


def npz_arrays(seed: int = 0, rows: int = sum(LENGTHS)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "action": rng.normal(size=(rows, 2)),
        "obs": rng.normal(size=(rows, 3)).astype(np.float32),
        "camera": rng.integers(0, 256, (rows, *SIZE, 3)).astype(np.uint8),
        "reward": rng.normal(size=rows),
    }


def npz_sample(folder: Path) -> Path:
    """One file of three episodes."""
    folder.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum(LENGTHS)
    rng = np.random.default_rng(1)
    facts = {"init_qpos": rng.normal(size=(3, 4)), "success": np.array([True, False, True]), "fps": 10.0}
    np.savez_compressed(folder / "demos.npz", **npz_arrays(), episode_ends=ends, **facts)
    return folder / "demos.npz"
