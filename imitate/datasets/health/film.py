"""What a camera showed during an episode, in few numbers: frames are looked at one by one and not kept."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

MOST_FRAMES = 128
"""Frames of an episode and camera that are looked at: a stretch of a sixteenth of it holds eight."""
BYTES_AT_ONCE = 16 << 20
"""Of frames that are read together: stores keep many small frames in one chunk."""
THUMBNAIL = (16, 12)  # width, height


@dataclass(frozen=True)
class Film:
    """Of K frames, evenly spread: steps (K,); change (K,): mean absolute difference to the frame before, in
    grey levels (0 for the first); spread (K,): standard deviation over the pixels of a frame;
    brightness (K,): their mean; mean (12, 16, 3) float32: the mean thumbnail.
    """

    steps: np.ndarray
    change: np.ndarray
    spread: np.ndarray
    brightness: np.ndarray
    mean: np.ndarray


def film(read: Callable[[np.ndarray], np.ndarray], steps: int, frame_bytes: int) -> Film:
    """The film of an episode of `steps` steps; `read` gives the frames (n, H, W, 3) uint8 at steps (n,)."""
    at_once = max(1, BYTES_AT_ONCE // frame_bytes)
    rows = np.unique(np.linspace(0, steps - 1, min(steps, MOST_FRAMES)).round().astype(int))
    facts, thumbnails, before = [], np.zeros((*THUMBNAIL[::-1], 3), np.float64), None
    for low in range(0, len(rows), at_once):
        for frame in read(rows[low : low + at_once]):
            change = 0.0 if before is None else float(np.mean(cv2.absdiff(frame, before)))
            mean, spread = cv2.meanStdDev(frame)
            facts.append((change, float(np.max(spread)), float(np.mean(mean))))
            thumbnails += cv2.resize(frame, THUMBNAIL, interpolation=cv2.INTER_AREA)
            before = frame
    change, spread, brightness = np.array(facts, np.float32).T
    return Film(rows, change, spread, brightness, (thumbnails / len(rows)).astype(np.float32))
