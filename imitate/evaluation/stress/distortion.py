"""What goes wrong between a policy and its environment: noise, delays, dropped frames, lag."""

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from imitate.env import Obs, clipped
from imitate.types import TWO_PI, ArraySpec, DataSpec


class Distortion:
    """Nothing goes wrong. One episode after another: `begin`, then `see` and `act` in turn.

    `remembers`: what is seen may be of an earlier step, so that no picture may be left out.
    """

    remembers = False

    def begin(self, rng: np.random.Generator) -> None:
        """Forget the episode before; draw from `rng`."""

    def see(self, obs: Obs) -> Obs:
        """What the policy sees in place of `obs`."""
        return obs

    def act(self, action: np.ndarray) -> np.ndarray:
        """What is executed in place of `action` (Da,)."""
        return action


class Noise(Distortion):
    """White noise of `size` times `spread` {observation: standard deviation}, of each element of a state.

    For an image there is one, in grey levels. Angles that wrap stay in their turn, and images are rounded and
    cut off at 0 and 255. A state may leave the range that its spec states, as a reading does. The same
    numbers are drawn at every size, and for an image whether or not those before were looked at.
    """

    def __init__(self, size: float, spread: Mapping[str, Sequence[float]], spec: DataSpec) -> None:
        self._size, self._obs = size, spec.obs
        self._spread = {key: _shaped(spread[key], spec.obs[key]) for key in sorted(spread)}

    def begin(self, rng: np.random.Generator) -> None:
        """See Distortion."""
        self._rng, self._images, self._step = rng, int(rng.spawn(1)[0].integers(2**63)), 0

    def see(self, obs: Obs) -> Obs:
        """See Distortion; an image that nobody looks at may be absent."""
        self._step += 1
        drawn = np.random.default_rng((self._images, self._step))
        seen = {key: self._noisy(key, obs[key], drawn) for key in self._spread if key in obs}
        return {**obs, **seen}

    def _noisy(self, key: str, value: np.ndarray, drawn: np.random.Generator) -> np.ndarray:
        spec = self._obs[key]
        rng = drawn if spec.is_image else self._rng
        read = value + self._size * self._spread[key] * rng.standard_normal(value.shape)
        if spec.is_image:
            return np.clip(np.rint(read), 0, 255).astype(np.uint8)
        return _in_one_turn(read, spec).astype(value.dtype)


def _shaped(spread: Sequence[float], spec: ArraySpec) -> np.ndarray:
    return np.asarray(spread) if spec.is_image else np.reshape(spread, spec.shape)


def _in_one_turn(value: np.ndarray, spec: ArraySpec) -> np.ndarray:
    for i in spec.circular:
        low = spec.low[i] if spec.low else 0.0
        value.flat[i] = (value.flat[i] - low) % TWO_PI + low
    return value


class Delay(Distortion):
    """Observations are `steps` control steps old; the first one stands for those before it."""

    remembers = True

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def begin(self, rng: np.random.Generator) -> None:
        """See Distortion."""
        self._past: deque[Obs] = deque(maxlen=self._steps + 1)

    def see(self, obs: Obs) -> Obs:
        """See Distortion."""
        self._past.append(obs)
        return self._past[0]


class Drop(Distortion):
    """The share `chance` of observations is lost, and the one before is seen again; never the first.

    What is lost at one chance is lost at every larger one.
    """

    remembers = True

    def __init__(self, chance: float) -> None:
        self._chance = chance

    def begin(self, rng: np.random.Generator) -> None:
        """See Distortion."""
        self._rng = rng
        self._last: Obs | None = None

    def see(self, obs: Obs) -> Obs:
        """See Distortion."""
        if self._rng.random() >= self._chance or self._last is None:
            self._last = obs
        return self._last


class ActionDelay(Distortion):
    """Actions are executed `steps` control steps late; the first one stands for those before it."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def begin(self, rng: np.random.Generator) -> None:
        """See Distortion."""
        self._past: deque[np.ndarray] = deque(maxlen=self._steps + 1)

    def act(self, action: np.ndarray) -> np.ndarray:
        """See Distortion."""
        self._past.append(np.array(action))
        return self._past[0]


class ActionLag(Distortion):
    """What is executed follows the action, from the first on; its time constant is `steps` control steps."""

    def __init__(self, steps: float, spec: ArraySpec) -> None:
        self._share, self._spec = 1.0 - np.exp(-1.0 / steps), spec

    def begin(self, rng: np.random.Generator) -> None:
        """See Distortion."""
        self._done: np.ndarray | None = None

    def act(self, action: np.ndarray) -> np.ndarray:
        """See Distortion."""
        wanted = clipped(action, self._spec)
        before = wanted if self._done is None else self._done
        self._done = before + self._share * self._way(wanted - before)
        return self._done

    def _way(self, way: np.ndarray) -> np.ndarray:
        """The shorter way round where an element is an angle."""
        for i in self._spec.circular:
            way[i] = (way[i] + np.pi) % TWO_PI - np.pi
        return way


def distortion(kind: str, size: float, spread: Mapping[str, Sequence[float]], spec: DataSpec) -> Distortion:
    """What `kind` of `size` does; nothing at size 0 and for kinds that change the world instead."""
    if not size:
        return Distortion()
    if kind == "noise":
        return Noise(size, spread, spec)
    if kind == "action_lag":
        return ActionLag(size, spec.action)
    if kind == "drop":
        return Drop(size)
    counted = {"delay": Delay, "action_delay": ActionDelay}
    return counted[kind](int(size)) if kind in counted else Distortion()
