"""Camera images as a few numbers for each step, so that what compares states can compare pictures.

Each camera is embedded on its own. Images are read in blocks, made small at once, and forgotten, so that a
store may be larger than memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.linalg import eigh

from imitate.curation.image_encoders import Autoencoder, Encoder, GivenResNet
from imitate.datasets.episode_store import EpisodeStore
from imitate.datasets.quality.features import standardize
from imitate.datasets.rows import blocks
from imitate.datasets.stored_array import StoredArray
from imitate.errors import ConfigError
from imitate.progress import SILENT, Progress, Task

AUTO, ALWAYS, NEVER = "auto", "always", "never"
COLUMNS = 16
DRAWN = 20_000
DRAWN_FOR_GIVEN = 2_000
"""Larger images, from which only principal components are taken."""


@dataclass(frozen=True)
class Embedding:
    """features: {camera: (N, 16) float32}, principal components of what `encoder` makes of it, the largest
    first, in its own units. encoder: its name in words, "" where nothing was embedded. asked: the setting.
    """

    features: Mapping[str, np.ndarray]
    encoder: str = ""
    asked: str = AUTO


def embed(
    store: EpisodeStore, images: str = AUTO, *, seed: int = 0, progress: Progress = SILENT
) -> Embedding:
    """Embed the cameras of `store` where `images` asks for it.

    images: "auto", only where there are no states; "always"; "never"; or always, by the ResNet-18 of
    torchvision with weights from this .safetensors file. Raises ConfigError for anything else. On one slow
    core training takes seconds for each camera, whatever N, and so does reading it.
    """
    given = _given(images)
    cameras = [key for key, spec in store.spec.obs.items() if spec.is_image]
    has_states = len(cameras) < len(store.spec.obs)
    if not cameras or not store.steps or images == NEVER or (images == AUTO and has_states):
        return Embedding({}, asked=images)
    work = sum(2 * len(blocks(store.array(key))) + 1 for key in cameras)
    with progress.task("embed", work) as bar:
        features = {key: _embedded(store.array(key), given, seed, bar, key) for key in cameras}
    name = f"ResNet-18 with the weights of {images}" if given else "an autoencoder trained on these images"
    return Embedding(features, name, images)


def side_by_side(states: np.ndarray, cameras: Sequence[np.ndarray]) -> np.ndarray:
    """States (N, F), standardised per column, beside embedded cameras (N, 16), all float64: (N, D).

    All states together and every camera count alike: in a distance between two rows each has the same share
    on average. A camera keeps the proportions of its own columns. The mean square of all columns stays 1.
    What never changes is left out.
    """
    groups = [standardize(states), *(_varying(camera) for camera in cameras)]
    groups = [group for group in groups if group.shape[1]]
    width = sum(group.shape[1] for group in groups)
    parts = [group * np.sqrt(width / len(groups) / np.mean(np.sum(group**2, axis=1))) for group in groups]
    return np.concatenate([*parts, np.empty((len(states), 0))], axis=1)


def _varying(camera: np.ndarray) -> np.ndarray:
    moving = camera.astype(np.float64) - camera.mean(axis=0, dtype=np.float64)
    return moving[:, moving.std(axis=0) > 1e-6]


def _given(images: str) -> Encoder | None:
    if images in (AUTO, ALWAYS, NEVER):
        return None
    if not images.endswith(".safetensors"):
        raise ConfigError(
            f"images is {images!r}, expected auto, always, never, or a .safetensors file with the weights of "
            "torchvision's ResNet-18"
        )
    return GivenResNet(images)


def _embedded(array: StoredArray, given: Encoder | None, seed: int, bar: Task, key: str) -> np.ndarray:
    side = given.side if given else Autoencoder.side
    count = DRAWN_FOR_GIVEN if given else DRAWN
    rows = np.unique(np.linspace(0, len(array) - 1, min(count, len(array))).round().astype(np.int64))
    drawn = np.concatenate(list(_small(array, rows, side, bar, f"reading {key}")))
    bar.advance(note=f"learning {key}")
    encode = given or Autoencoder(drawn, seed)
    mean, axes = _principal(encode(drawn))
    every = np.arange(len(array))
    parts = [(encode(part) - mean) @ axes for part in _small(array, every, side, bar, f"embedding {key}")]
    return np.concatenate(parts).astype(np.float32)


def _small(array: StoredArray, rows: np.ndarray, side: int, bar: Task, note: str) -> Iterator[np.ndarray]:
    """The images `rows`, rising, made (side, side), block by block."""
    for start, stop in blocks(array):
        chosen = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start
        if len(chosen):
            block = array[start:stop]
            yield np.stack([cv2.resize(block[i], (side, side), interpolation=cv2.INTER_AREA) for i in chosen])
        bar.advance(note=note)


def _principal(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and the COLUMNS principal directions (D, COLUMNS), the largest first, of features (M, D).

    Each is signed so that its largest entry is positive; missing ones are 0.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    size = centred.shape[1]
    chosen = (max(0, size - COLUMNS), size - 1)
    _, axes = eigh(centred.T @ centred, subset_by_index=chosen)
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0)
    axes = (axes * np.sign(largest))[:, ::-1]
    return mean, np.pad(axes, ((0, 0), (0, COLUMNS - axes.shape[1])))
