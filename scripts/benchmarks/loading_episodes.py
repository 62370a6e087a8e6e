"""The episodes of scripts/benchmarks/loading: the same numbers and pictures for every loader."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from imitate.types import ArraySpec, DataSpec, Episode

RATE_HZ, SEED = 10, 0
CAMERAS = ("front", "wrist")
NOISE = 2.0
"""Standard deviation of a drawn camera's noise, of 255: about that of a webcam indoors."""


@dataclass(frozen=True)
class Case:
    """What is loaded: `side` px of both cameras (0: none), and how much of it."""

    name: str
    side: int
    episodes: int
    steps: int
    batch_size: int

    @property
    def spec(self) -> DataSpec:
        """39-d state and 4-d action, and the cameras."""
        shape = (self.side, self.side, 3)
        cameras = {name: ArraySpec(shape, "uint8") for name in CAMERAS} if self.side else {}
        return DataSpec({"state": ArraySpec((39,)), **cameras}, ArraySpec((4,)), RATE_HZ)


def episodes(case: Case, video: Path | None = None) -> Iterator[Episode]:
    """The episodes of `case`; pictures are frames of `video`, or drawn where there is none."""
    rng = np.random.default_rng(SEED)
    pictures = video_or_drawn(video, case.side)
    for number in range(case.episodes):
        state, action = (walk(rng, case.steps, size) for size in (39, 4))
        obs = {"state": state}
        if case.side:
            front = np.stack([next(pictures) for _ in range(case.steps)])
            obs |= {"front": front, "wrist": np.ascontiguousarray(front[:, ::-1, ::-1])}
        yield Episode(f"walk_{number}", obs, action)


def video_or_drawn(video: Path | None, side: int) -> Iterator[np.ndarray]:
    return video_frames(video, side) if video else drawn_frames(side)


def walk(rng: np.random.Generator, steps: int, size: int) -> np.ndarray:
    return np.cumsum(0.05 * rng.normal(size=(steps, size)), axis=0).astype(np.float32)


def video_frames(video: Path, side: int) -> Iterator[np.ndarray]:
    """Frames of a video, resized; from the start again after the last."""
    while True:
        with av.open(str(video)) as container:
            for frame in container.decode(video=0):
                picture = frame.to_ndarray(format="rgb24")
                yield cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def drawn_frames(side: int) -> Iterator[np.ndarray]:
    """A textured table under a moving camera, with a moving block and a camera's noise."""
    rng = np.random.default_rng(SEED)
    table = cv2.resize(rng.integers(60, 200, (40, 40, 3), np.uint8), (2 * side, 2 * side))
    table = cv2.add(table, cv2.GaussianBlur(rng.integers(0, 60, table.shape, np.uint8), (0, 0), 1.0))
    for step in range(10**9):
        x, y = (int(side / 2 * (1 + np.sin(step / period))) for period in (37, 53))
        picture = table[y : y + side, x : x + side].astype(np.float32)
        cv2.rectangle(picture, (x // 2, side // 3), (x // 2 + side // 6, side // 2), (210, 60, 40), -1)
        yield np.clip(picture + NOISE * rng.standard_normal(picture.shape, np.float32), 0, 255).astype(
            np.uint8
        )
