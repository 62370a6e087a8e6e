"""Small pictures of every episode: camera frames where there are any, else the action as a colour strip."""

from collections.abc import Iterator

import numpy as np

from imitate.curation.measurement import Measurement
from imitate.datasets.episode_store import ACTION, EpisodeStore
from imitate.datasets.stored_array import StoredArray
from imitate.page import Html, image_address, joined, tag, thinned

SIDES = (96, 80, 64, 48)
QUALITY = 55
# All pictures of a page together, so that one of 500 episodes stays easy to send.
BUDGET_BYTES = 2_000_000
MAX_FRAMES, MIN_FRAMES = 7, 3
SAMPLES = 5
STRIP_CELLS, STRIP_ROWS = 40, 8
# Blue below the mean, orange above: apart for colour-blind readers, and the mean pale.
LOW, MIDDLE, HIGH = np.array([[0, 84, 147], [244, 244, 244], [196, 84, 0]], np.float64)


def episode_pictures(store: EpisodeStore, measured: Measurement) -> list[Html]:
    """One picture or row of pictures for each episode.

    Of the first camera, frames evenly spaced from first to last; first, middle and last make up the
    thumbnail, the others wait for the viewer. Without a camera, the action as a strip.
    """
    camera = next((key for key, spec in store.spec.obs.items() if spec.is_image), None)
    if camera is None:
        return [_strip(measured, i) for i in range(len(measured.episodes))]
    frames = store.array(camera)
    count, side = _affordable(frames, len(measured.episodes))
    steps = [_spread(episode.record.steps, count) for episode in measured.episodes]
    rows = np.concatenate([start + own for start, own in zip(measured.starts, steps, strict=True)])
    small = _read(frames, rows, side)
    return [
        joined(_frame(next(small), int(step), step == own[len(own) // 2]) for step in own) for own in steps
    ]


def _spread(steps: int, count: int) -> np.ndarray:
    return np.unique(np.linspace(0, steps - 1, count).round().astype(int))


def _affordable(frames: StoredArray, episodes: int) -> tuple[int, int]:
    """How many frames each episode may have, and their longer side, judged by a few of them."""
    samples = [frames[int(row)] for row in np.linspace(0, len(frames) - 1, SAMPLES)]
    for side in SIDES:
        size = max(len(_small(sample, side)) for sample in samples)
        count = min(MAX_FRAMES, int(BUDGET_BYTES / (size * max(1, episodes))))
        # An odd number, so that one of them is the middle.
        if count >= MIN_FRAMES:
            return count - 1 + count % 2, side
    return MIN_FRAMES, SIDES[-1]


def _read(frames: StoredArray, rows: np.ndarray, side: int) -> Iterator[Html]:
    """The pictures of `rows` (K,), rising. Each chunk is read once: reading one row costs as much."""
    for chunk in np.unique(rows // frames.chunk_rows):
        here = rows[rows // frames.chunk_rows == chunk]
        first = int(here[0])
        block = frames[first : int(here[-1]) + 1]
        yield from (_small(block[row - first], side) for row in here)


def _frame(source: Html, step: int, middle: bool) -> Html:
    look = "middle" if middle else None
    return tag("img", src=source, alt=f"step {step}", data_step=step, class_=look)


def _small(pixels: np.ndarray, side: int) -> Html:
    return image_address(thinned(pixels, side), "webp", quality=QUALITY)


def _strip(measured: Measurement, index: int) -> Html:
    """The action over time, one row per dimension: blue below the mean of the data set, orange above."""
    action = measured.arrays[ACTION][measured.slice_of(index)].reshape(
        measured.episodes[index].record.steps, -1
    )
    cells = np.linspace(0, len(action) - 1, min(STRIP_CELLS, len(action))).round().astype(int)
    ranges = [one for one in measured.ranges[ACTION] if one.std > 0][:STRIP_ROWS]
    columns = [i for i, one in enumerate(measured.ranges[ACTION]) if one.std > 0][:STRIP_ROWS]
    if not columns:
        return Html("")
    mean, std = (np.array([getattr(one, name) for one in ranges]) for name in ("mean", "std"))
    values = np.nan_to_num((action[cells][:, columns].T - mean[:, None]) / std[:, None])
    return tag("img", src=image_address(diverging(values / 2), "png"), alt="action over time", class_="strip")


def diverging(values: np.ndarray) -> np.ndarray:
    """Colours (…, 3) uint8 for `values` in [-1, 1], 0 being pale; values beyond are taken as the end."""
    share = np.clip(np.abs(values), 0, 1)[..., None]
    ends = np.where(values[..., None] < 0, LOW, HIGH)
    return (MIDDLE + share * (ends - MIDDLE)).round().astype(np.uint8)
