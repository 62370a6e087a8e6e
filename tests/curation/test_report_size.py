"""The report of 500 episodes with a camera: small enough to send, and made in less than a minute.

    .venv/bin/python -m pytest --log-cli-level=INFO tests/curation/test_report_size.py

says how many megabytes and seconds.
"""

import logging
import time
from pathlib import Path

import numpy as np
import pytest

from imitate.curation.report import write_report
from imitate.datasets.store import DemoStore
from imitate.types import ArraySpec, DataSpec, Episode

EPISODES, STEPS, SIDE = 500, 30, 96
SPEC = DataSpec(
    {"place": ArraySpec((2,)), "camera": ArraySpec((SIDE, SIDE, 3), "uint8")}, ArraySpec((2,)), rate_hz=10.0
)


def seen(place: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A block at each `place` (T, 2) in [0, 1] on a textured table, with the grain of a real camera."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    texture = 120 + 40 * np.sin(rows / 5)[..., None] * np.cos(columns / 7)[..., None] * (1, 0.8, 0.6)
    pictures = np.repeat(texture.astype(np.uint8)[None], len(place), axis=0)
    for picture, (x, y) in zip(pictures, (place * (SIDE - 16)).astype(int), strict=True):
        picture[y : y + 16, x : x + 16] = (30, 90, 200)
    # No value comes near 0 or 255.
    return pictures + generator.integers(0, 20, pictures.shape, np.uint8)


def push(number: int) -> Episode:
    generator = np.random.default_rng(number)
    start, end = generator.uniform(0.1, 0.9, (2, 2))
    place = start + np.linspace(0, 1, STEPS)[:, None] * (end - start) + generator.normal(0, 0.01, (STEPS, 2))
    place = np.clip(place, 0, 1)
    obs = {"place": place.astype(np.float32), "camera": seen(place, generator)}
    return Episode(f"push{number}", obs, (end - place).astype(np.float32), success=True)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.usefixtures("one_thread")
def test_a_page_of_five_hundred_episodes_with_a_camera_can_be_sent(tmp_path: Path) -> None:
    with DemoStore.create(tmp_path / "d.zarr", SPEC) as store:
        for number in range(EPISODES):
            store.append(push(number))
        # Of the processor, so that a busy machine makes no difference.
        began = time.process_time()
        report = write_report(store, tmp_path / "r.html")
        seconds = time.process_time() - began
    size = report.page.stat().st_size
    logging.getLogger(__name__).info("%.1f MB, %.0f s of one processor", size / 1e6, seconds)
    assert report.page.read_text(encoding="utf-8").count("data:image") >= 3 * EPISODES
    assert size <= 8_000_000
    assert seconds < 60
