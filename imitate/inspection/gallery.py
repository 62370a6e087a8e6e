"""Pictures of the shown episodes: frames of every camera from first to last, and short videos that play."""

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imitate.evaluation.video import UNKNOWN_RATE_HZ, VideoWriter
from imitate.inspection.reading import Look, Rows
from imitate.page import Html, grid, image_address, joined, paragraph, section, tag, thinned, video
from imitate.types import DataSpec

FRAMES = 5
SIDES = (144, 96, 64)
FEW, MANY = 60, 160
QUALITY = 60
PICTURE_BYTES = 700_000
"""Of all frames together, as they stand in the page."""

VIDEO_EPISODES, VIDEO_CAMERAS = 3, 4
VIDEO_SIDES = (240, 160, 112)
VIDEO_FRAMES = 240
VIDEO_BYTES = 1_400_000
"""Of all video files together; in the page they take a third more."""

BLOCK = 16


@dataclass
class Gallery:
    """Fills while episodes are read: `add` every shown one, then ask for the `section`.

    folder: where videos are made; they are read again by `section`. episodes: how many will come.
    """

    folder: Path
    spec: DataSpec
    episodes: int
    frames: dict[str, list[Html]] = field(default_factory=dict)
    videos: list[Html] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    picture_bytes: int = 0
    video_bytes: int = 0

    @property
    def cameras(self) -> list[str]:
        """The observations that are images."""
        return [key for key, spec in self.spec.obs.items() if spec.is_image]

    def add(self, look: Look) -> None:
        """Take frames and, of the first few episodes, videos."""
        for camera in self.cameras:
            self._add_frames(camera, look)
        if len(next(iter(self.frames.values()), [])) <= VIDEO_EPISODES:
            for camera in self.cameras[:VIDEO_CAMERAS]:
                self._add_video(camera, look)

    def section(self) -> Html | None:
        """All of it; None where there is no camera."""
        if not self.cameras:
            return None
        parts: list[object] = [
            joined([tag("h3", camera), tag("div", *rows, class_="film")])
            for camera, rows in self.frames.items()
        ]
        if self.videos:
            parts.append(tag("h3", "Videos"))
            parts.append(grid(self.videos, columns=4 if len(self.videos) > 3 else 3))
        parts += [paragraph(f"{text}.", class_="note") for text in self.left_out]
        return section("Cameras", *parts, intro=self._intro())

    def _intro(self) -> str:
        cameras = len(self.cameras)
        said = (
            f"{cameras} camera{'s' if cameras > 1 else ''}; {FRAMES} frames of each episode, first to last."
        )
        return said + (
            f" Videos of the first {VIDEO_EPISODES} of them." if self.episodes > VIDEO_EPISODES else ""
        )

    def _add_frames(self, camera: str, look: Look) -> None:
        at = np.unique(np.linspace(0, look.record.steps - 1, FRAMES).round().astype(int))
        count = self.episodes * FRAMES * len(self.cameras)
        side = SIDES[0] if count <= FEW else SIDES[1] if count <= MANY else SIDES[2]
        rate = look.record.rate_hz or self.spec.rate_hz
        shown = []
        for step, pixels in zip(at.tolist(), look.wide[camera][at], strict=True):
            address = image_address(thinned(pixels, side), "webp", quality=QUALITY)
            when = f"{step / rate:.1f} s" if rate else f"step {step}"
            if self.picture_bytes + len(address) > PICTURE_BYTES:
                self._leave_out("Some frames are left out, to keep the page small")
                break
            self.picture_bytes += len(address)
            caption = tag("figcaption", when)
            shown.append(tag("figure", tag("img", src=address, alt=f"{look.record.id}, {when}"), caption))
        rows = self.frames.setdefault(camera, [])
        rows.append(tag("div", tag("div", look.record.id, class_="of"), tag("div", *shown, class_="frames")))

    def _add_video(self, camera: str, look: Look) -> None:
        videos = min(self.episodes, VIDEO_EPISODES) * min(len(self.cameras), VIDEO_CAMERAS)
        allowed = (VIDEO_BYTES - self.video_bytes) / max(1, videos - len(self.videos))
        path = self.folder / f"{len(self.videos)}.mp4"
        for attempt, side in enumerate(VIDEO_SIDES):
            every = film(look, camera, path, self.spec.rate_hz, side, VIDEO_FRAMES >> attempt)
            if path.stat().st_size <= allowed:
                break
        else:
            self._leave_out("Some videos are left out, to keep the page small")
            return
        self.video_bytes += path.stat().st_size
        thin = f", every {_ordinal(every)} picture" if every > 1 else ""
        known = look.record.rate_hz or self.spec.rate_hz
        speed = "" if known else f", at {UNKNOWN_RATE_HZ:g} Hz since its rate is unknown"
        failed = None if look.record.success is None else not look.record.success
        self.videos.append(video(path, f"{look.record.id}, {camera}{thin}{speed}", failed))

    def _leave_out(self, text: str) -> None:
        if text not in self.left_out:
            self.left_out.append(text)


def film(look: Look, camera: str, path: Path, rate_hz: float | None, side: int, frames: int) -> int:
    """Write at most `frames` pictures of about `side` px, evenly spaced, playing in real time.

    Gives n where every n-th step is shown. A few pictures are in memory at a time.
    """
    every = max(1, math.ceil(look.record.steps / frames))
    steps = np.arange(0, look.record.steps, every)
    writer = VideoWriter(path, (look.record.rate_hz or rate_hz or UNKNOWN_RATE_HZ) / every)
    try:
        for first in range(0, len(steps), BLOCK):
            for pixels in _pictures(look.wide[camera], steps[first : first + BLOCK]):
                writer.add(thinned(pixels, side))
    finally:
        writer.close()
    return every


def _pictures(rows: Rows, steps: np.ndarray) -> np.ndarray:
    return np.asarray(rows[steps])


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10 if number % 100 not in (11, 12, 13) else 0, "th")
    return f"{number}{ending}"
