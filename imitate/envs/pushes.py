"""Disturbances of an episode: when something is pushed, and which way."""

import numpy as np

PUSHES_PER_S = 1.0


class Pushes:
    """The pushes of one episode, drawn from `rng`: on average one a second, each in a level direction.

    Moments and directions do not depend on `speed`, the change of velocity in m/s; at 0 there are none.
    """

    def __init__(self, rng: np.random.Generator, rate_hz: float, speed: float) -> None:
        self._rng, self._speed = rng, speed
        self._chance = min(1.0, PUSHES_PER_S / rate_hz)

    def next(self) -> np.ndarray | None:
        """The change of velocity (2,) m/s of this control step, None in most."""
        if not self._speed:
            return None
        is_due, angle = self._rng.random() < self._chance, self._rng.uniform(0.0, 2.0 * np.pi)
        return self._speed * np.array([np.cos(angle), np.sin(angle)]) if is_due else None
