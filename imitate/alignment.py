"""Demonstrations that end where they were meant to: each is moved as a whole until its end lies on the goal.

People stop when the goal looks reached, and a policy learns to stop as early. Where a task is the same
wherever it is done in its plane, a demonstration that was moved a little is as true as the recorded one, and
one that was moved by what it fell short of shows how the goal is reached exactly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from imitate.errors import ConfigError

TWO_PI = 2 * np.pi


@dataclass(frozen=True)
class Motions:
    """Rigid motions of n episodes: about `pivot` (n, 2) by `angle` (n,) rad, which goes to `goal` (2,)."""

    pivot: np.ndarray
    angle: np.ndarray
    goal: np.ndarray

    def points(self, xy: np.ndarray, episode: np.ndarray) -> np.ndarray:
        """Points (m, 2) of the episodes (m,) where they are then."""
        x, y = (xy - self.pivot[episode]).T
        cos, sin = np.cos(self.angle[episode]), np.sin(self.angle[episode])
        return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1) + self.goal

    def angles(self, values: np.ndarray, episode: np.ndarray) -> np.ndarray:
        """Angles (m,) in rad as they are then, from 0 to below 2π."""
        return np.mod(values + self.angle[episode], TWO_PI)


@dataclass(frozen=True)
class Alignment:
    """Which elements of a task's arrays are points of its plane and which are angles in it, and the goal.

    points: by array, the columns of x and y of each point. angles: by array, columns in rad. anchor: the
    array and its columns x, y and angle that must end at `goal` (x, y, rad). Every array of the task is named
    in `points`, with none where it has none.
    """

    points: Mapping[str, tuple[tuple[int, int], ...]]
    angles: Mapping[str, tuple[int, ...]]
    anchor: tuple[str, int, int, int]
    goal: tuple[float, float, float]

    def require(self, names: Iterable[str]) -> None:
        """Raise ConfigError where it is not known how one of the arrays `names` moves."""
        for name in names:
            if name not in self.points:
                raise ConfigError(
                    f"data.align is true, but the environment does not say how {name!r} moves with the "
                    f"scene (known: {', '.join(sorted(self.points))}): choose others by data.obs, or set "
                    "it to false"
                )

    def motions(self, ends: np.ndarray) -> Motions:
        """What brings the ends (n, D) of episodes, rows of the anchor's array, to the goal."""
        _, x, y, turn = self.anchor
        short = self.goal[2] - ends[:, turn]
        # The shorter way round: an angle is the same after a whole turn.
        return Motions(ends[:, [x, y]], np.mod(short + np.pi, TWO_PI) - np.pi, np.array(self.goal[:2]))

    def moved(self, name: str, values: np.ndarray, motions: Motions, episode: np.ndarray) -> np.ndarray:
        """A copy of rows (m, D) of the array `name`, each moved with its episode (m,)."""
        found = np.array(values, np.float64)
        for x, y in self.points[name]:
            found[:, [x, y]] = motions.points(found[:, [x, y]], episode)
        for turn in self.angles.get(name, ()):
            found[:, turn] = motions.angles(found[:, turn], episode)
        return found.astype(values.dtype)
