"""Pictures of episodes: which frames they show, how few bytes they take, and their colours."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sample_pages
from judged_sets import judged

from imitate.curation.page_pictures import (
    BUDGET_BYTES,
    _affordable,
    _small,
    diverging,
    episode_pictures,
)
from imitate.datasets.store import DemoStore
from imitate.page import thinned
from imitate.types import ArraySpec, DataSpec, Episode


@dataclass
class Noise:
    """An array of images that compress as badly as images can, made when they are read."""

    steps: int
    chunk_rows: int = 10

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, row: int) -> np.ndarray:
        return np.random.default_rng(row).integers(0, 256, (240, 320, 3), np.uint8)


@pytest.mark.parametrize(("episodes", "frames"), [(10, 7), (500, 3)])
def test_pictures_stay_within_their_budget(episodes: int, frames: int) -> None:
    source: Any = Noise(1000)
    count, side = _affordable(source, episodes)
    assert side < 96 or episodes == 10
    assert count == frames
    if episodes == 500:
        assert side == 48 or episodes * count * _bytes(source, side) <= BUDGET_BYTES


def _bytes(source: Any, side: int) -> int:
    return max(len(_small(source[row], side)) for row in range(5))


def test_frames_are_first_middle_and_last(tmp_path: Path) -> None:
    store = sample_pages.store(tmp_path / "d.zarr", [sample_pages.episode(i, 21) for i in range(3)])
    for shown in episode_pictures(store, judged(store)):
        steps = [int(step) for step in re.findall(r'data-step="(\d+)"', shown)]
        assert steps[0] == 0 and steps[-1] == 20 and len(steps) == 7
        assert re.findall(r'data-step="(\d+)" class="middle"', shown) == ["10"]


def test_an_episode_of_one_step_has_one_frame(tmp_path: Path) -> None:
    episodes = [sample_pages.episode(0, 1), sample_pages.episode(1), sample_pages.episode(2)]
    store = sample_pages.store(tmp_path / "d.zarr", episodes)
    assert episode_pictures(store, judged(store))[0].count("<img") == 1


def test_without_a_camera_the_action_is_a_strip(tmp_path: Path) -> None:
    spec = DataSpec({"state": ArraySpec((2,))}, ArraySpec((3,)))
    store = DemoStore.create(tmp_path / "d.zarr", spec)
    for i in range(4):
        values = np.random.default_rng(i).normal(size=(30, 3)).astype(np.float32)
        store.append(Episode(f"e{i}", {"state": values[:, :2]}, values))
    store.close()
    strips = episode_pictures(store, judged(store))
    assert all(strip.count("<img") == 1 and 'class="strip"' in strip for strip in strips)
    assert max(map(len, strips)) < 1500 and len(set(strips)) == 4


def test_thinning_keeps_the_mean_and_the_shape() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[:, 100:] = 200
    small = thinned(pixels, 50)
    assert small.shape == (25, 50, 3) and small[:, :25].max() == 0 and small[:, 25:].min() == 200
    assert thinned(pixels[:3, :2], 50).shape == (3, 2, 3)


def test_below_is_blue_above_is_orange_and_the_mean_is_pale() -> None:
    low, middle, high = diverging(np.array([-2.0, 0.0, 2.0])).astype(int)
    assert low[2] > low[0] and high[0] > high[2] and middle.min() > 230
