"""Writing the videos of a LeRobot dataset: the episodes of a camera end to end in MP4 files."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.formats.lerobot_parquet import EXTRA
from imitate.errors import DataError, import_extra

# LeRobot reads single frames at random, so it keeps every second one as a key frame, and so do we.
GROUP = 2
MOST_FILE_BYTES = 200 * 2**20
BT601, STUDIO_RANGE = 6, 1
FILES_PER_CHUNK = 1000
ENCODERS: dict[str, dict[str, str]] = {
    "libx264": {"crf": "20", "preset": "veryfast", "bf": "0"},
    "libsvtav1": {"crf": "30", "preset": "10"},
}
"""By preference, with their settings; without B frames, frames are stored in the order they are shown."""


@dataclass(frozen=True)
class Place:
    """Where an episode's frames went: the file's numbers, and the times in s within it."""

    chunk: int
    file: int
    start_s: float
    end_s: float


class VideoWriter:
    """One camera's files under `folder`, each closed at the end of an episode once it is large enough."""

    def __init__(self, folder: Path, fps: Fraction, size: tuple[int, ...]) -> None:
        """Write frames of `size` (H, W), both even, at `fps` under `folder`."""
        self._folder, self._fps, self._size = folder, fps, size
        self._av = import_extra("av", EXTRA)
        self._number, self._frames, self._bytes = -1, 0, 0
        self._container: Any = None

    def write(self, images: np.ndarray) -> Place:
        """Append an episode's images (T, H, W, 3) uint8; raises DataError where they cannot be encoded."""
        if self._container is None or self._bytes > MOST_FILE_BYTES:
            self._start_file()
        start = self._frames
        try:
            for image in images:
                self._encode(image, first=self._frames == start)
        except self._av.FFmpegError as error:
            raise DataError(f"{self._path()}: images of {self._size} cannot be encoded ({error})") from error
        return Place(*self._numbers(), float(start / self._fps), float(self._frames / self._fps))

    def close(self) -> None:
        """Finish the file that is open."""
        if self._container is None:
            return
        self._mux(self._stream.encode())
        self._container.close()
        self._container = None

    def describe(self) -> dict[str, Any]:
        """What info.json says of the video."""
        return {
            "video.height": self._size[0],
            "video.width": self._size[1],
            "video.codec": self._stream.codec.canonical_name,
            "video.pix_fmt": "yuv420p",
            "video.is_depth_map": False,
            "video.fps": whole(self._fps),
            "video.channels": 3,
            "has_audio": False,
        }

    def _encode(self, image: np.ndarray, first: bool) -> None:
        frame = self._av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = self._frames, 1 / self._fps
        if first:  # so that files can be cut between episodes without encoding them again
            frame.pict_type = self._av.video.frame.PictureType.I
        self._mux(self._stream.encode(frame))
        self._frames += 1

    def _mux(self, packets: Any) -> None:
        self._bytes += sum(packet.size for packet in packets)
        self._container.mux(packets)

    def _start_file(self) -> None:
        self.close()
        self._number, self._frames, self._bytes = self._number + 1, 0, 0
        self._path().parent.mkdir(parents=True, exist_ok=True)
        name = _encoder(self._av)
        self._container = self._av.open(str(self._path()), "w", format="mp4")
        self._stream = self._container.add_stream(
            name, self._fps, options={**ENCODERS[name], "g": str(GROUP)}
        )
        self._stream.height, self._stream.width = self._size
        self._stream.pix_fmt = "yuv420p"
        # Said, since players assume another colour matrix for large images where a file does not say.
        self._stream.codec_context.colorspace, self._stream.codec_context.color_range = BT601, STUDIO_RANGE
        self._stream.time_base = 1 / self._fps

    def _numbers(self) -> tuple[int, int]:
        return divmod(self._number, FILES_PER_CHUNK)

    def _path(self) -> Path:
        return self._folder / "chunk-{:03d}/file-{:03d}.mp4".format(*self._numbers())


def whole(rate: Fraction) -> int | float:
    """The rate as LeRobot keeps it: a whole number where it is one."""
    return int(rate) if rate.denominator == 1 else float(rate)


def _encoder(av: Any) -> str:
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise DataError(f"PyAV has none of the encoders {', '.join(ENCODERS)}; install its wheel from PyPI")
