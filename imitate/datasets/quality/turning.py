"""How much more the way of a demonstration turns than that of most others: what a bent or wandering way has.

Where ways lead differs, and with it how much a tool turns on them, which hides a bent way in any sum over all
numbers. So each plane of two numbers is looked at for itself, and each episode counts by the plane where it
stands out most. Our own measure, no paper's.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np

from imitate.datasets.quality.frames import Frames
from imitate.datasets.quality.room import room

FLOOR = 1.0
"""One radian of a motion of the usual size: differences of much less say little."""
COMPARED = 100_000
"""About as many steps, at most, tell whether an action is a motion or a place."""


def turning(frames: Frames) -> np.ndarray:
    """How many times as much as the median episode each one turns, in the plane where that is most, (E,).

    What an episode turns in a plane of two numbers is the sum of the angles between one motion and the next,
    in rad, each weighted by the shorter of both in units of the usual size. A motion of one number turns
    where it is reversed. 1 where nothing moves.
    """
    numbers = _motion(frames)
    planes = list(combinations(range(len(numbers)), 2)) or [(0, 0)] * len(numbers)
    if not planes:
        return np.ones(len(frames.lengths))
    most = np.zeros(len(frames.lengths))
    for i, j in planes:
        turns = _turns(numbers[i], numbers[j])
        turns[frames.starts] = 0.0
        turned = np.add.reduceat(turns, frames.starts) + FLOOR
        most = np.maximum(most, turned / np.median(turned))
    return most


def _motion(frames: Frames) -> np.ndarray:
    """What moves in each step, (D, N) in units of the usual size; numbers that never move are left out.

    That is the action where it says how the state changes, and the change of the state where the action says
    where to be: whichever of the two it goes with more.
    """
    if _is_motion(frames):
        still = np.broadcast_to(frames.still, frames.action.shape[1:])
        return _scaled(len(still), lambda i: frames.action[:, i] - still[i], len(frames))
    stays = frames.to_go > 0
    return _scaled(
        frames.state.shape[1],
        lambda i: np.diff(frames.state[:, i], append=0.0) * stays,
        len(frames),
    )


def _is_motion(frames: Frames) -> bool:
    at = np.flatnonzero(frames.to_go > 0)
    at = at[:: 1 + len(at) // COMPARED]
    if not len(at) or not frames.action.shape[1]:
        return True
    action, after = frames.action[at], frames.state[at + 1]
    return _likeness(action, after - frames.state[at]) >= _likeness(action, after)


def _likeness(action: np.ndarray, other: np.ndarray) -> float:
    """The greatest correlation of each number of the action with one of `other`, their mean; 0 to 1."""
    return float(np.abs(_unit(action).T @ _unit(other)).max(axis=1, initial=0.0).mean())


def _unit(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return np.asarray(centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-12))


def _scaled(count: int, column: Callable[[int], np.ndarray], steps: int) -> np.ndarray:
    out, moving = room((count, steps), np.float32), 0
    for values in map(column, range(count)):
        usual = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
        if usual > 0:
            out[moving] = values / usual
            moving += 1
    return out[:moving]


def _turns(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The weighted angle of each motion to the one before, (N,); 0 for the first."""
    size = x**2 + y**2
    angle = np.arctan2(x[:-1] * y[1:] - y[:-1] * x[1:], x[:-1] * x[1:] + y[:-1] * y[1:])
    return np.concatenate([[0.0], np.abs(angle) * np.sqrt(np.minimum(size[1:], size[:-1]))])
