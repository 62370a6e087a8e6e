"""Black, frozen and swapped cameras, and stores whose cameras bear other names."""

from dataclasses import replace

import numpy as np
import pytest
from recordings import SPEC, arm_episodes, group_of

from imitate.datasets.health import cameras, video
from imitate.datasets.health.recording import Group
from imitate.types import ArraySpec, Episode

IMAGE = ArraySpec((24, 32, 3), "uint8")
SEEING = replace(SPEC, obs={**SPEC.obs, "front": IMAGE, "wrist": IMAGE})


def filmed(count: int = 8) -> list[Episode]:
    """The arm as a bright square over two backgrounds, seen by noisy cameras."""
    return [_filmed(episode, np.random.default_rng(i)) for i, episode in enumerate(arm_episodes(count))]


def _filmed(episode: Episode, rng: np.random.Generator) -> Episode:
    y, x = np.mgrid[0:24, 0:32]
    backgrounds = {"front": 4 * x + 40, "wrist": 160 - 5 * y}
    frames = {}
    for key, background in backgrounds.items():
        frames[key] = np.repeat((background[..., None] + rng.normal(0, 8, 3))[None], len(episode), 0)
        frames[key] = frames[key] + rng.normal(0, 1, (len(episode), 24, 32, 3))
        for t, joints in enumerate(episode.obs["joints"]):
            row, column = (int(v) for v in 6 + 8 * np.clip(joints[:2], -0.5, 1.5))
            frames[key][t, row - 2 : row + 2, column - 2 : column + 2] = 230
    images = {key: np.clip(array, 0, 255).astype(np.uint8) for key, array in frames.items()}
    return replace(episode, obs={**episode.obs, **images})


def with_front(episode: Episode, front: np.ndarray) -> Episode:
    return replace(episode, obs={**episode.obs, "front": front})


def group(episodes: list[Episode]) -> Group:
    return group_of(episodes, SEEING)


def test_sound_cameras() -> None:
    assert not video.check(group(filmed()))
    assert not cameras.check(group(filmed()))


@pytest.mark.parametrize("shade", [0, 3, 128])
def test_black_and_uniform_frames(shade: int) -> None:
    episodes = filmed()
    front = episodes[2].obs["front"].copy()
    front[20:30] = shade
    episodes[2] = with_front(episodes[2], front)
    [found] = video.check(group(episodes))
    assert (found.severity, found.episodes) == ("error", ("e2",))
    assert "camera front is black or uniform in 16% to 16%" in found.what


def test_a_camera_that_never_shows_anything_is_one_warning() -> None:
    dark = [with_front(e, np.zeros_like(e.obs["front"])) for e in filmed()]
    [found] = video.check(group(dark))
    assert (found.severity, found.episodes) == ("warning", ())


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_frozen_picture_while_the_robot_moves(noise: float) -> None:
    episodes = filmed()
    front = episodes[5].obs["front"].copy()
    front[10:40] = front[10] | (np.random.default_rng(0).random(front[10:40].shape) < noise)
    episodes[5] = with_front(episodes[5], front)
    [found] = video.check(group(episodes))
    assert found.episodes == ("e5",)
    assert "camera front shows one picture" in found.what


def test_a_still_picture_of_a_robot_at_rest_is_well() -> None:
    episodes = filmed()
    rest = {
        key: np.concatenate([array, np.repeat(array[-1:], 30, 0)]) for key, array in episodes[0].obs.items()
    }
    action = np.concatenate([episodes[0].action, np.repeat(episodes[0].action[-1:], 30, 0)])
    episodes[0] = replace(episodes[0], obs=rest, action=action)
    assert not video.check(group(episodes))


def test_swapped_cameras() -> None:
    episodes = filmed()
    front, wrist = episodes[1].obs["front"], episodes[1].obs["wrist"]
    episodes[1] = replace(episodes[1], obs={**episodes[1].obs, "front": wrist, "wrist": front})
    [found] = cameras.check(group(episodes))
    assert (found.severity, found.episodes) == ("error", ("e1",))


def test_cameras_that_another_store_does_not_have() -> None:
    renamed = replace(SPEC, obs={**SPEC.obs, "front": IMAGE, "hand": IMAGE})
    found = cameras.compare({"a.zarr": SEEING, "b.zarr": renamed, "c.zarr": SPEC})
    assert [one.what for one in found] == [
        "a.zarr has no camera hand; it has front, wrist",
        "b.zarr has no camera wrist; it has front, hand",
        "c.zarr has no camera front, hand, wrist; it has none",
    ]
    assert not cameras.compare({"a.zarr": SEEING})
