"""Videos of episodes that every browser plays: H.264 in MP4, yuv420p, index at the front."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from imitate.errors import EnvError

UNKNOWN_RATE_HZ = 10.0
"""The frame rate of a video whose environment does not know its own."""

H264 = {"crf": "23", "preset": "veryfast"}


def video_name(seed: int) -> str:
    """The file name of the video of an episode."""
    return f"seed_{seed}.mp4"


@dataclass(frozen=True)
class VideoRecorder:
    """A Recorder (see imitate.rollout) that writes a video per episode to `folder`, which must exist."""

    folder: Path

    def open(self, seed: int, rate_hz: float | None) -> "VideoWriter":
        """A writer of `folder`/seed_S.mp4 at `rate_hz` frames per second: it plays in real time."""
        return VideoWriter(self.folder / video_name(seed), rate_hz or UNKNOWN_RATE_HZ)


class VideoWriter:
    """Encodes RGB frames (H, W, 3) uint8 of one size to an MP4 file."""

    def __init__(self, path: Path, rate_hz: float) -> None:
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream: Any = self._container.add_stream(
            "libx264", rate=Fraction(rate_hz).limit_denominator(1000), options=H264
        )
        # Rollout workers already fill the cores.
        self._stream.codec_context.thread_count = 1
        self._stream.pix_fmt = "yuv420p"
        self._shape: tuple[int, ...] | None = None

    def add(self, frame: np.ndarray) -> None:
        """Append a frame; a side of odd length repeats its last pixel, since yuv420p needs even sides."""
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise EnvError(
                f"render() gave an image {frame.shape} {frame.dtype}, expected (H, W, 3) uint8 RGB"
            )
        height, width = frame.shape[:2]
        if self._shape is None:
            self._shape = frame.shape
            self._stream.height, self._stream.width = height + height % 2, width + width % 2
        if frame.shape != self._shape:
            raise EnvError(f"render() gave an image {frame.shape} after images {self._shape}")
        even = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

    def close(self) -> None:
        """Finish the file."""
        if self._shape is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()
