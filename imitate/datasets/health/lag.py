"""How many steps after an action the state follows it, and where it does so otherwise than elsewhere.

The cross-correlation of what the action and the state do from step to step, pooled over the episodes: a
position that is asked for (the action's changes against the state's), or a velocity or displacement (the
action itself against the state's changes). Because obs[t] is seen before action[t], a robot that follows at
once has a lag of one step. A single episode is compared with the rest by the models of servo.py.
"""

from dataclasses import dataclass

import numpy as np

from imitate.datasets.health.finding import Finding
from imitate.datasets.health.grippers import is_gripper
from imitate.datasets.health.recording import Group
from imitate.datasets.health.servo import servos, shift

CHECK = "the state follows the action"
FARTHEST = 20
"""Steps looked at either way, at most a third of an episode."""
SHORTEST = 24
CERTAIN, CERTAIN_OF_NAME = 0.75, 0.5
"""Correlation at the peak from which a number of the action counts as followed; by a state of its name."""
POSSIBLE = 0.3
"""Correlation from which on a number of the action may have a servo, which its model will show."""
PLAIN, NAMESAKE = 0.05, 0.1
"""Correlation by which a velocity must agree better than a position, and a state of another name."""
STRAY = 5.0
"""Steps from the median beyond which an agreement with a number of another name is chance."""
LATE, EARLY = 3.0, 0.5
"""Steps: from the first on, the delay is worth knowing; below the second, the state leads."""
OTHERWISE, SPREADS = 2.0, 5.0
"""Steps, and standard deviations of the episodes, by which the lag of one must differ from the usual."""
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
    candidates = _candidates(group)
    followed = follow(group, candidates)
    found = _of_set(group, followed) if followed else []
    return [*found, *_of_episodes(group, candidates)]


def follow(group: Group, candidates: list[Followed]) -> list[Followed]:
    """Those columns of the action that are certainly followed by the state, and how late."""
    inside = [one for one in candidates if _is_certain(group, one) and abs(one.lag) < len(one.curve) // 2]
    middle = float(np.median([one.lag for one in inside])) if inside else 0.0
    return [one for one in inside if _is_namesake(group, one) or abs(one.lag - middle) <= STRAY]


def _candidates(group: Group) -> list[Followed]:
    """For each column of the action the one of the state that follows it best, if any may."""
    states = group.states[:PAIRED_COLUMNS]
    actions = group.actions[:PAIRED_COLUMNS]
    shown = _shown(group)
    if not shown or not states or not actions:
        return []
    reach = _reach(min(map(len, shown)))
    found: dict[int, Followed] = {}
    for is_speed in (False, True):
        total = np.zeros((len(actions), len(states), 2 * reach + 1))
        power = np.zeros_like(total)
        for values in shown:
            asked, done = _changes(values, actions, states, is_speed)
            total += _products(asked, done, _lags(reach, is_speed))
            power += _powers(asked, done, _lags(reach, is_speed))
        # Sums of roots bound the root of the sums, so that episodes count by how much happens in them.
        curves = np.divide(total, power, out=np.zeros_like(total), where=power > 0)
        for row, action in enumerate(actions):
            one = _best(group, curves[row], action, states, is_speed)
            if action not in found or _worth(group, one) > _worth(group, found[action]):
                found[action] = one
    return [one for one in found.values() if one.correlation >= POSSIBLE]


def _shown(group: Group) -> list[np.ndarray]:
    """Numbers (T, C) of a few episodes throughout the set, none short: they tell what follows what."""
    long = [one.values for one in group.recordings if len(one) >= SHORTEST]
    return [
        long[i] for i in np.unique(np.linspace(0, len(long) - 1, min(FIRST, len(long))).round().astype(int))
    ]


def _is_certain(group: Group, one: Followed) -> bool:
    least = CERTAIN_OF_NAME if _is_namesake(group, one) else CERTAIN
    return one.correlation >= least and _may_follow(group, one)


def _may_follow(group: Group, one: Followed) -> bool:
    # When a gripper opens depends on where the robot is, which does not follow from it.
    return _is_namesake(group, one) or not is_gripper(group, one.action)


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


def _of_episodes(group: Group, candidates: list[Followed]) -> list[Finding]:
    if len(group) < FEWEST_EPISODES or not candidates:
        return []
    shown = _shown(group)
    pairs = [(one.action, one.state) for one in candidates if _may_follow(group, one)]
    models = servos(shown, pairs, _reach(min(map(len, shown))))
    long = np.array([len(one) >= SHORTEST for one in group.recordings])
    if not models or long.sum() < FEWEST_EPISODES:
        return []
    shifts = np.zeros(len(group))
    for i in np.flatnonzero(long):
        values = group.recordings[i].values
        shifts[i] = shift(values, models, _reach(len(values)))
    shifts[long] -= np.median(shifts[long])
    spread = float(np.median(np.abs(shifts[long])) / MEDIAN_DEVIATION)
    other = np.flatnonzero(np.abs(shifts) >= max(OTHERWISE, SPREADS * spread))
    if not len(other):
        return []
    low, high = shifts[other].min(), shifts[other].max()
    span = f"{low:+.0f}" if low == high else f"{low:+.0f} to {high:+.0f}"
    what = f"the state follows the action {span} steps later than in the other episodes"
    fix = "Look at the clocks and buffers of these recordings; shift the action back, or leave them out."
    return [Finding(CHECK, "warning", group.ids(other), what, fix)]
