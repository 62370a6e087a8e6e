"""Videos decode to the frames that went in, at the rate of the environment, in a form browsers play."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from imitate.errors import EnvError
from imitate.evaluation.video import VideoRecorder, video_name


def frames(count: int, height: int, width: int) -> list[np.ndarray]:
    """A grey ramp over time with a bright square that moves."""
    made = []
    for i in range(count):
        frame = np.full((height, width, 3), 5 * i, np.uint8)
        frame[4:12, i : i + 8] = (250, 40, 40)
        made.append(frame)
    return made


def write(folder: Path, images: list[np.ndarray], rate_hz: float | None = 10.0) -> Path:
    writer = VideoRecorder(folder).open(7, rate_hz)
    for image in images:
        writer.add(image)
    writer.close()
    return folder / video_name(7)


@pytest.mark.parametrize(("height", "width", "count"), [(48, 64, 1), (33, 65, 20), (48, 64, 37)])
def test_frames_come_back(tmp_path: Path, height: int, width: int, count: int) -> None:
    images = frames(count, height, width)
    with av.open(str(write(tmp_path, images))) as container:
        stream = container.streams.video[0]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(10)
    assert len(decoded) == count
    for image, seen in zip(images, decoded, strict=True):
        assert seen.shape == (height + height % 2, width + width % 2, 3)
        assert abs(seen[:height, :width].astype(int) - image).mean() < 6


def test_a_rate_that_is_not_whole_is_kept(tmp_path: Path) -> None:
    with av.open(str(write(tmp_path, frames(30, 32, 32), 12.5))) as container:
        assert container.streams.video[0].average_rate == Fraction(25, 2)
        assert float(container.duration / av.time_base) == pytest.approx(30 / 12.5, abs=0.1)


def test_the_index_stands_in_front_so_that_playing_starts_at_once(tmp_path: Path) -> None:
    content = write(tmp_path, frames(10, 32, 32)).read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.mark.parametrize(
    "image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 4), np.uint8)]
)
def test_what_is_no_rgb_image_is_refused(tmp_path: Path, image: np.ndarray) -> None:
    writer = VideoRecorder(tmp_path).open(1, 10.0)
    with pytest.raises(EnvError, match=r"expected \(H, W, 3\) uint8"):
        writer.add(image)
    writer.close()


def test_a_change_of_size_is_refused(tmp_path: Path) -> None:
    writer = VideoRecorder(tmp_path).open(1, 10.0)
    writer.add(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(EnvError, match="after images"):
        writer.add(np.zeros((16, 8, 3), np.uint8))
    writer.close()
