"""Cameras that show nothing, or a frozen picture while the robot moves."""

import numpy as np

from imitate.datasets.health.film import Film
from imitate.datasets.health.finding import Finding
from imitate.datasets.health.recording import Group

CHECK = "cameras show what happens"
DARK, FLAT = 6.0, 2.0
"""Grey levels: a mean below the first, or a spread over the pixels below the second, shows nothing."""
EMPTY_SHARE = 0.05
FEWEST_FRAMES = 3
FROZEN_SHARE = 0.1
"""Of the change from frame to frame that motion usually makes: what a codec adds to a still picture."""
MOVING_SHARE = 0.5
"""Of the usual distance moved: less of it during a stretch explains a still picture."""
NOTHING = "Look at the camera and its cable; leave these episodes out, or learn without this camera."
FROZEN = "Look at the camera's driver and the synchronisation; leave these episodes out."


def check(group: Group) -> list[Finding]:
    """Episodes with black, uniform or frozen stretches, by camera."""
    cameras = sorted({key for one in group.recordings for key in one.films})
    return [finding for camera in cameras for finding in (*_empty(group, camera), *_frozen(group, camera))]


def _empty(group: Group, camera: str) -> list[Finding]:
    films = [one.films[camera] for one in group.recordings]
    shares = np.array([np.mean(_shows_nothing(film)) for film in films])
    empty = np.flatnonzero((shares >= EMPTY_SHARE) & (shares * [len(film.steps) for film in films] >= 1))
    if not len(empty):
        return []
    always = len(empty) == len(films) and shares.min() > 0.95
    low, high = shares[empty].min(), shares[empty].max()
    what = f"camera {camera} is black or uniform in {low:.0%} to {high:.0%} of the frames"
    return [
        Finding(CHECK, "warning" if always else "error", () if always else group.ids(empty), what, NOTHING)
    ]


def _frozen(group: Group, camera: str) -> list[Finding]:
    films = [one.films[camera] for one in group.recordings]
    moved = [_moved(speed, film) for speed, film in zip(group.speeds, films, strict=True)]
    changes = np.concatenate([film.change[1:] for film in films])
    distances = np.concatenate(moved)
    if not len(changes) or not (distances > 0).any():
        return []
    usual = float(np.median(distances[distances > 0]))
    lively = changes[distances >= usual]
    least = FROZEN_SHARE * float(np.median(lively)) if len(lively) else 0.0
    if least <= 0.0:
        return []  # The camera does not see the robot.
    longest = np.array(
        [
            _longest(_is_still(film, least), way >= MOVING_SHARE * usual)
            for film, way in zip(films, moved, strict=True)
        ]
    )
    frozen = np.flatnonzero(longest >= FEWEST_FRAMES)
    if not len(frozen):
        return []
    low, high = longest[frozen].min(), longest[frozen].max()
    what = f"camera {camera} shows one picture for {low} to {high} frames while the robot moves"
    return [Finding(CHECK, "error", group.ids(frozen), what, FROZEN)]


def _shows_nothing(film: Film) -> np.ndarray:
    return np.asarray((film.spread < FLAT) | (film.brightness < DARK))


def _is_still(film: Film, least: float) -> np.ndarray:
    """Whether the picture stayed the same between frames, (K - 1,); one that shows nothing is no picture."""
    return np.asarray((film.change <= least) & ~_shows_nothing(film))[1:]


def _moved(speed: np.ndarray, film: Film) -> np.ndarray:
    """How far the state went between the frames that were looked at, (K - 1,)."""
    way = np.concatenate([[0.0], np.cumsum(speed)])
    return np.diff(way[film.steps])


def _longest(still: np.ndarray, moving: np.ndarray) -> int:
    """The most moving intervals within one unbroken run of still ones."""
    best = count = 0
    for is_still, is_moving in zip(still, moving, strict=True):
        count = count + int(is_moving) if is_still else 0
        best = max(best, count)
    return best
