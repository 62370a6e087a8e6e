"""Frames and videos: which steps they show, how long they play, and how few bytes they take."""

import re
from pathlib import Path

import av
import numpy as np
import pytest

from imitate.datasets.episode_store import EpisodeRecord
from imitate.inspection import gallery as under_test
from imitate.inspection.gallery import PICTURE_BYTES, VIDEO_BYTES, Gallery, film
from imitate.inspection.reading import Look
from imitate.types import ArraySpec, DataSpec


def spec_of(*cameras: str, side: int = 32) -> DataSpec:
    return DataSpec({name: ArraySpec((side, side, 3), "uint8") for name in cameras}, ArraySpec((1,)), 10.0)


def look(frames: np.ndarray, *cameras: str, success: bool | None = None) -> Look:
    record = EpisodeRecord("one", len(frames), success)
    return Look(0, record, {}, dict.fromkeys(cameras, frames))


def ramp(steps: int, side: int = 32) -> np.ndarray:
    return np.broadcast_to(
        (np.arange(steps) * 255 / steps).astype(np.uint8)[:, None, None, None], (steps, side, side, 3)
    )


def noise(steps: int, side: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (steps, side, side, 3), np.uint8)


def played(path: Path) -> tuple[list[float], float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shades = [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]
        return shades, float(len(shades) / stream.average_rate)


@pytest.mark.parametrize(("steps", "every"), [(30, 1), (95, 2), (100, 2), (101, 3)])
def test_a_film_plays_in_real_time(tmp_path: Path, steps: int, every: int) -> None:
    path = tmp_path / "film.mp4"
    assert film(look(ramp(steps), "front"), "front", path, 10.0, 32, 50) == every
    shades, seconds = played(path)
    assert len(shades) <= 50 and seconds == pytest.approx(steps / 10, abs=0.1 * every)
    assert shades == sorted(shades) and shades[-1] > 240 * (steps - every) / steps - 8


def test_frames_run_from_first_to_last(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, spec_of("front"), 1)
    gallery.add(look(ramp(41), "front", success=False))
    text = str(gallery.section())
    assert re.findall(r"<figcaption>([\d.]+ s)</figcaption>", text) == [
        "0.0 s",
        "1.0 s",
        "2.0 s",
        "3.0 s",
        "4.0 s",
    ]
    assert text.count("<video") == 1 and "✕ failed" in text


def test_only_the_first_episodes_have_videos(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, spec_of("front", "wrist"), 5)
    for _ in range(5):
        gallery.add(look(ramp(10), "front", "wrist"))
    text = str(gallery.section())
    assert text.count("<video") == 6 and text.count("<img") == 5 * 2 * 5


def test_what_compresses_badly_stays_small_and_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "VIDEO_BYTES", 60_000)
    monkeypatch.setattr(under_test, "PICTURE_BYTES", 20_000)
    gallery = Gallery(tmp_path, spec_of("front", side=160), 2)
    for _ in range(2):
        gallery.add(look(noise(40, 160), "front"))
    text = str(gallery.section())
    assert gallery.video_bytes <= 60_000 and "Some videos are left out" in text
    assert gallery.picture_bytes <= 20_000 and "Some frames are left out" in text
    assert PICTURE_BYTES + VIDEO_BYTES * 4 / 3 < 3_000_000


def test_without_a_camera_there_is_nothing(tmp_path: Path) -> None:
    assert Gallery(tmp_path, DataSpec({}, ArraySpec((1,))), 3).section() is None
