"""Frames of the MP4 files of a LeRobot dataset, each decoded once, in order, for the rows they belong to."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.formats.lerobot_episodes import Stretch
from imitate.datasets.formats.lerobot_parquet import EXTRA, damaged, room
from imitate.errors import DataError, import_extra
from imitate.types import ArraySpec

# LeRobot's own loader refuses frames that are further than this from their row.
LEROBOT_TOLERANCE_S = 1e-4


@dataclass
class CameraVideo:
    """One camera, over all its files.

    unused: frames that no row belongs to. worst_s: the largest distance between a frame's time and its row's.
    """

    key: str
    spec: ArraySpec
    fps: float
    unused: int = 0
    worst_s: float = 0.0
    _file: "_VideoFile | None" = field(default=None, repr=False)

    def take(self, stretch: Stretch, stamps_s: np.ndarray, episode: int) -> np.ndarray:
        """The images (T, H, W, 3) of the rows at `stamps_s` (T,), counted from the stretch's start.

        One frame per row, in order. Raises DataError where the stretch has more or fewer frames, or one is
        more than half a period from its row.
        """
        file = self._at(stretch)
        self.unused += file.skip_until(stretch.start_s - 0.5 / self.fps)
        images = room(len(stamps_s), self.spec, f"{stretch.path}, episode {episode}")
        count = 0
        for time_s, frame in file.until(None if stretch.end_s is None else stretch.end_s - 0.5 / self.fps):
            if count < len(images):
                self._compare(time_s - stretch.start_s, stamps_s[count], count, stretch, episode)
                images[count] = file.pixels(frame)
            count += 1
        if count != len(images):
            raise DataError(
                f"{stretch.path} has {count} frames for episode {episode}, whose rows are {len(images)}; "
                "copy it again, or remove the episode from the dataset"
            )
        return images

    def close(self) -> None:
        """Close the open file; its remaining frames count as unused."""
        if self._file is not None:
            self.unused += self._file.close()
            self._file = None

    def _at(self, stretch: Stretch) -> "_VideoFile":
        if self._file is None or self._file.path != stretch.path or self._file.is_past(stretch.start_s):
            self.close()
            self._file = _VideoFile(stretch.path, self.spec)
        return self._file

    def _compare(self, time_s: float, stamp_s: float, row: int, stretch: Stretch, episode: int) -> None:
        distance = abs(time_s - float(stamp_s))
        if not distance <= 0.5 / self.fps:
            raise DataError(
                f"{stretch.path}: frame {row} of episode {episode} is shown at {time_s:.4f} s, "
                f"its row says {float(stamp_s):.4f} s; expected less than half a period apart"
            )
        self.worst_s = max(self.worst_s, distance)


class _VideoFile:
    """An MP4 file that is being decoded from its beginning."""

    def __init__(self, path: Path, spec: ArraySpec) -> None:
        av = import_extra("av", EXTRA)
        self.path = path
        self._spec = spec
        self._seen = 0
        self._reformatter = av.video.reformatter.VideoReformatter()
        try:
            # Other demuxers (playlists) would open further files that the file names.
            self._container = av.open(str(path), format="mp4", options={"protocol_whitelist": "file"})
            self._stream = self._container.streams.video[0]
            self._stream.thread_type = "AUTO"
            size = self._stream.height, self._stream.width
        except Exception as error:
            raise damaged(path, error) from error
        if size != spec.shape[:2]:
            raise DataError(f"{path} has frames of {size}, info.json says {spec.shape[:2]}")
        self._frames = self._decoded()
        self._next = next(self._frames, None)

    def is_past(self, start_s: float) -> bool:
        """Whether frames from `start_s` on were given already."""
        return self._seen > 0 and (self._last_s >= start_s + 1e-9)

    def skip_until(self, time_s: float) -> int:
        """Drop the frames before `time_s`; gives their number."""
        return sum(1 for _ in self.until(time_s))

    def until(self, time_s: float | None) -> Iterator[tuple[float, Any]]:
        """(time in s, frame) of those still to come before `time_s`."""
        while self._next is not None and (time_s is None or self._next[0] < time_s):
            found = self._next
            self._seen += 1
            self._last_s = found[0]
            yield found
            self._next = next(self._frames, None)

    def pixels(self, frame: Any) -> np.ndarray:
        """The frame as (H, W, 3) uint8 RGB."""
        if (frame.height, frame.width) != self._spec.shape[:2]:
            raise DataError(f"{self.path}: a frame is {frame.height}×{frame.width}, others are not")
        converted = self._reformatter.reformat(frame, format="rgb24")
        return np.asarray(converted.to_ndarray())

    def close(self) -> int:
        """Close the file; gives how many of its frames were not given."""
        left = max(0, int(self._stream.frames) - self._seen)
        self._frames.close()
        self._container.close()
        return left

    def _decoded(self) -> Generator[tuple[float, Any], None, None]:
        try:
            for frame in self._container.decode(self._stream):
                if frame.pts is None:
                    raise ValueError("a frame without a time")
                yield float(frame.pts * frame.time_base), frame
        except Exception as error:
            raise damaged(self.path, error) from error
