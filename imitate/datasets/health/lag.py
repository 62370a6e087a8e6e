"""How many steps after an action the state follows it, and where it does so otherwise than elsewhere.

The cross-correlation of what the action and the state do from step to step, pooled over the episodes: a
position that is asked for (the action's changes against the state's), or a velocity or displacement (the
action itself against the state's changes). Because obs[t] is seen before action[t], a robot that follows at
once has a lag of one step.
"""

from dataclasses import dataclass

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.grippers import is_gripper
from imitate.datasets.health.recording import Group

CHECK = "the state follows the action"
FARTHEST = 20
"""Steps looked at either way, at most a third of an episode."""
SHORTEST = 24
CERTAIN, CERTAIN_OF_NAME = 0.75, 0.5
"""Correlation at the peak from which a number of the action counts as followed; by a state of its name."""
PLAIN, NAMESAKE = 0.05, 0.1
"""Correlation by which a velocity must agree better than a position, and a state of another name."""
STRAY = 5.0
"""Steps from the median beyond which an agreement with a number of another name is chance."""
LATE, EARLY = 3.0, 0.5
"""Steps: from the first on, the delay is worth knowing; below the second, the state leads."""
OTHERWISE, SPREADS = 2.6, 5.0
"""Steps, and standard deviations of the episodes, by which the lag of one must differ from the usual."""
CLEAR = 0.5
"""Correlation that an episode must reach for its lag to be known."""
FEWEST_OF_SET = 3
"""Episodes from which on a state that is ahead is no coincidence."""
MEDIAN_DEVIATION = 0.6745
"""Of a normal distribution, in standard deviations."""
FEWEST_EPISODES = 5
FIRST = 20
"""Episodes that tell which column of the state follows which one of the action."""
PAIRED_COLUMNS = 128


@dataclass(frozen=True)
class Followed:
    """Column `action` is followed by column `state`: as its velocity if `is_speed`, reversed if `sign` is -1.

    correlation: at the best `lag`, in steps. curve: (2 reach + 1,) at all lags from -reach to reach.
    """

    action: int
    state: int
    is_speed: bool
    sign: float
    correlation: float
    lag: float
    curve: np.ndarray


def check(group: Group) -> list[Finding]:
    """The lag of the whole set, where it is late or reversed, and episodes with another one."""
    followed = follow(group)
    if not followed:
        return []
    return [*_of_set(group, followed), *_of_episodes(group, followed)]


def follow(group: Group) -> list[Followed]:
    """Which columns of the action are followed by which of the state, and how late."""
    chosen = [i for i, one in enumerate(group.recordings) if len(one) >= SHORTEST]
    states = group.states[:PAIRED_COLUMNS]
    actions = group.actions[:PAIRED_COLUMNS]
    if not chosen or not states or not actions:
        return []
    spread = np.unique(np.linspace(0, len(chosen) - 1, min(FIRST, len(chosen))).round().astype(int))
    reach = _reach(min(len(group.recordings[chosen[i]]) for i in spread))
    found: dict[int, Followed] = {}
    for is_speed in (False, True):
        total = np.zeros((len(actions), len(states), 2 * reach + 1))
        power = np.zeros_like(total)
        for i in spread:
            asked, done = _changes(group.recordings[chosen[i]].values, actions, states, is_speed)
            total += _products(asked, done, _lags(reach, is_speed))
            power += _powers(asked, done, _lags(reach, is_speed))
        # Sums of roots bound the root of the sums, so that episodes count by how much happens in them.
        curves = np.divide(total, power, out=np.zeros_like(total), where=power > 0)
        for row, action in enumerate(actions):
            candidate = _best(group, curves[row], action, states, is_speed)
            if _is_certain(group, candidate) and (
                action not in found or _worth(group, candidate) > _worth(group, found[action])
            ):
                found[action] = candidate
    inside = [one for one in found.values() if abs(one.lag) < reach]
    middle = float(np.median([one.lag for one in inside])) if inside else 0.0
    return [one for one in inside if _is_namesake(group, one) or abs(one.lag - middle) <= STRAY]


def _is_certain(group: Group, one: Followed) -> bool:
    if _is_namesake(group, one):
        return one.correlation >= CERTAIN_OF_NAME
    # When a gripper opens depends on where the robot is, which does not follow from it.
    return one.correlation >= CERTAIN and not is_gripper(group, one.action)


def _is_namesake(group: Group, one: Followed) -> bool:
    name = group.columns[one.action].name
    return bool(name) and name == group.columns[one.state].name


def _worth(group: Group, one: Followed) -> float:
    """Smooth motions agree with many things: of nearly equal ones the plainest is meant."""
    return one.correlation + PLAIN * (not one.is_speed) + NAMESAKE * _is_namesake(group, one)


def _reach(steps: int) -> int:
    return min(FARTHEST, steps // 3)


def _best(group: Group, curves: np.ndarray, action: int, states: list[int], is_speed: bool) -> Followed:
    """The state, of curves (S, 2 reach + 1), that follows best."""
    reach = curves.shape[1] // 2
    candidates = []
    for state, curve in zip(states, curves, strict=True):
        top = float(curve[np.argmax(np.abs(curve))])
        sign = -1.0 if top < 0 else 1.0
        lag = _peak(sign * curve, reach)
        candidates.append(Followed(action, state, is_speed, sign, abs(top), lag, sign * curve))
    return max(candidates, key=lambda one: _worth(group, one))


def _peak(curve: np.ndarray, reach: int) -> float:
    """The lag of the highest point of (2 reach + 1,), between steps by a parabola through its neighbours."""
    top = int(np.argmax(curve))
    if not 0 < top < len(curve) - 1:
        return float(top - reach)
    before, here, after = curve[top - 1 : top + 2]
    bend = before - 2 * here + after
    return top - reach + (0.5 * float((before - after) / bend) if bend < 0 else 0.0)


def _changes(
    values: np.ndarray, actions: list[int], states: list[int], is_speed: bool
) -> tuple[np.ndarray, np.ndarray]:
    """What is asked for (A, T - 1) and done (S, T - 1), each centred and lightly smoothed.

    asked[:, t] is the change from step t to t + 1 or, if it is a speed, that of step t.
    """
    asked = values[:-1, actions] if is_speed else np.diff(values[:, actions], axis=0)
    done = np.diff(values[:, states], axis=0)
    return _smoothed(asked).T, _smoothed(done).T


def _smoothed(values: np.ndarray) -> np.ndarray:
    """Differences of what sensors round off are noise: a symmetrical mean over three moves no peak."""
    padded = np.pad(values, ((1, 1), (0, 0)), mode="edge")
    smooth = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return np.asarray(smooth - smooth.mean(axis=0))


def _lags(reach: int, is_speed: bool) -> np.ndarray:
    """From -reach to reach, as distances between columns of _changes: a speed of step t acts from t on."""
    return np.arange(-reach, reach + 1) - int(is_speed)


def _products(asked: np.ndarray, done: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Sums over t of asked[a, t] done[s, t + lag], (A, S, L), for L lags."""
    size = 2 ** int(np.ceil(np.log2(asked.shape[1] + np.abs(lags).max() + 1)))
    spectra = np.conj(np.fft.rfft(asked, size))[:, None] * np.fft.rfft(done, size)[None]
    return np.asarray(np.fft.irfft(spectra, size)[..., lags % size])


def _powers(asked: np.ndarray, done: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """The largest that _products can be, from the steps that overlap at each lag, (A, S, L).

    Without this, fewer overlapping steps would draw every peak towards 0.
    """
    steps = asked.shape[1]
    a, s = (np.pad(np.cumsum(array**2, axis=1), ((0, 0), (1, 0))) for array in (asked, done))
    first, last = np.maximum(-lags, 0), steps - np.maximum(lags, 0)
    of_asked = a[:, last] - a[:, first]
    of_done = s[:, last + lags] - s[:, first + lags]
    return np.asarray(np.sqrt(np.maximum(of_asked[:, None] * of_done[None], 0.0)))


def _of_set(group: Group, followed: list[Followed]) -> list[Finding]:
    lags = sorted(followed, key=lambda one: one.lag)
    first, last = lags[0], lags[-1]
    curve = np.mean([one.curve for one in followed], axis=0)
    best = _peak(curve, len(curve) // 2)
    rate = group.spec.rate_hz
    span = f"{best:.1f} steps" + (f" ({best / rate:.2g} s)" if rate else "")
    if len(followed) > 1 and last.lag - first.lag >= 1.0:
        span += f" taken together, {group.columns[first.action]} after {first.lag:.1f}"
        span += f" and {group.columns[last.action]} after {last.lag:.1f}"
    if last.lag >= LATE:
        fix = (
            "If the robot is slow or was operated from afar, this is its delay: keep it. If action and state "
            "were recorded by different clocks, shift one against the other."
        )
        return [Finding(CHECK, "notice", (), f"the state follows the action after {span}", fix)]
    if best < EARLY and len(group) >= FEWEST_OF_SET:
        fix = "obs[t] must be what was seen before action[t]: shift the action to earlier steps."
        return [
            Finding(CHECK, "warning", (), f"the state is ahead of the action: it follows after {span}", fix)
        ]
    return []


def _of_episodes(group: Group, followed: list[Followed]) -> list[Finding]:
    if len(group) < FEWEST_EPISODES:
        return []
    shifts = np.array([_shift(one.values, followed) for one in group.recordings])
    if np.isfinite(shifts).sum() < FEWEST_EPISODES:
        return []
    shifts -= np.nanmedian(shifts)
    spread = float(np.nanmedian(np.abs(shifts)) / MEDIAN_DEVIATION)
    other = np.flatnonzero(np.abs(np.nan_to_num(shifts)) >= max(OTHERWISE, SPREADS * spread))
    if not len(other):
        return []
    low, high = shifts[other].min(), shifts[other].max()
    span = f"{low:+.1f}" if low == high else f"{low:+.1f} to {high:+.1f}"
    what = f"the state follows the action {span} steps later than in the other episodes"
    fix = "Look at the clocks and buffers of these recordings; shift the action back, or leave them out."
    return [Finding(CHECK, "warning", group.ids(other), what, fix)]


def _shift(values: np.ndarray, followed: list[Followed]) -> float:
    """How much later than usual the states of one episode follow, in steps; NaN where they do not clearly."""
    if len(values) < SHORTEST:
        return float("nan")
    reach = _reach(len(values))
    lags = np.arange(-reach, reach + 1)
    total, power = np.zeros(len(lags)), 0.0
    for one in followed:
        asked, done = _changes(values, [one.action], [one.state], one.is_speed)
        places = _lags(reach, one.is_speed)
        scale = _powers(asked, done, places)[0, 0]
        if scale.min() > 0:
            # What lags more in every episode is moved back, so that all peaks of an episode fall together.
            curve = one.sign * _products(asked, done, places)[0, 0] / scale
            total += np.interp(lags + one.lag, lags, curve, left=0.0, right=0.0)
            power += 1.0
    if not power:
        return float("nan")
    curve = total / power
    return _peak(curve, reach) if curve.max() >= CLEAR else float("nan")
