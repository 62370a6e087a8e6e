"""Faults of recording planted in clean demonstrations, at random strengths that matter: one function each.

Each takes episodes (of numbers only, or with cameras), their spec and a generator, changes some episodes, and
gives the episodes, the numbers of those it spoilt, and the spec; None where the fault cannot be planted.
What is planted is what a person would want to know of: stronger than what good recordings do by themselves.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from imitate.datasets.timing import KEY, timing
from imitate.types import ArraySpec, DataSpec, Episode

Episodes = list[Episode]
Planted = tuple[Episodes, list[int], DataSpec]
Plant = Callable[[Episodes, DataSpec, np.random.Generator], Planted | None]
SPOILT_SHARE = 0.08
"""The most of a set's episodes that are spoilt together; at least one is."""
COMPARED = 5
"""Episodes that it takes to say what is unusual: in smaller sets no such fault is planted."""
STAMPS_NOISE = 0.02
"""Of the period: the jitter of good recordings."""


@dataclass(frozen=True)
class Fault:
    """check: the name of the one that should find it; kind: what it spoils, numbers, pictures or outcomes."""

    name: str
    check: str
    plant: Plant
    kind: str = "numbers"


def draw(episodes: Sequence[Episode], rng: np.random.Generator) -> list[int]:
    """Which episodes to spoil."""
    count = 1 + int(rng.integers(max(1, round(SPOILT_SHARE * len(episodes)))))
    return sorted(int(i) for i in rng.choice(len(episodes), count, replace=False))


def each(change: Callable[[Episode, np.random.Generator], Episode]) -> Plant:
    """Spoil some episodes, one independently of the other."""

    def plant(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted:
        chosen = draw(episodes, rng)
        return [change(e, rng) if i in chosen else e for i, e in enumerate(episodes)], chosen, spec

    return plant


def arrays(episode: Episode) -> dict[str, np.ndarray]:
    return {**episode.obs, "action": episode.action}


def with_arrays(episode: Episode, changed: dict[str, np.ndarray]) -> Episode:
    everything = {**arrays(episode), **changed}
    action = everything.pop("action")
    return dataclasses.replace(episode, obs=everything, action=action)


def numbers(episode: Episode) -> list[str]:
    return [key for key, array in arrays(episode).items() if array.dtype.kind == "f"]


def stretch(steps: int, low: float, high: float, rng: np.random.Generator) -> slice:
    """A random stretch of a share from `low` to `high` of an episode."""
    length = max(1, round(float(rng.uniform(low, high)) * steps))
    start = int(rng.integers(steps - length + 1))
    return slice(start, start + length)


def not_finite(episode: Episode, rng: np.random.Generator) -> Episode:
    key = str(rng.choice(numbers(episode)))
    array = arrays(episode)[key].copy()
    array.reshape(-1)[rng.integers(array.size)] = rng.choice([np.nan, np.inf, -np.inf])
    return with_arrays(episode, {key: array})


def too_short(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    usual = float(np.median([len(e) for e in episodes]))
    if usual < 20 or len(episodes) < COMPARED:
        return None
    chosen = draw(episodes, rng)
    made = list(episodes)
    for i in chosen:
        made[i] = cut(episodes[i], 0, int(rng.integers(2, max(3, round(0.15 * usual)))))
    return made, chosen, spec


def cut(episode: Episode, start: int, stop: int) -> Episode:
    return with_arrays(episode, {key: array[start:stop] for key, array in arrays(episode).items()})


def stamped(spoil: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]) -> Plant:
    """Time stamps for all episodes, as an importer notes them; those of some are spoilt."""

    def plant(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
        if min(map(len, episodes)) < 8:
            return None
        rate = spec.rate_hz or 10.0
        chosen, made = draw(episodes, rng), []
        for i, episode in enumerate(episodes):
            stamps = (np.arange(len(episode)) + STAMPS_NOISE * rng.standard_normal(len(episode))) / rate
            if i in chosen:
                stamps = spoil(stamps, 1.0 / rate, rng)
            facts = {KEY: timing(stamps, rate)}
            made.append(dataclasses.replace(episode, metadata={**episode.metadata, **facts}, rate_hz=rate))
        return made, chosen, dataclasses.replace(spec, rate_hz=rate)

    return plant


def gap(stamps: np.ndarray, period: float, rng: np.random.Generator) -> np.ndarray:
    later = stamps.copy()
    later[int(rng.integers(1, len(stamps))) :] += rng.uniform(1.0, 20.0) * period
    return later


def jitter(stamps: np.ndarray, period: float, rng: np.random.Generator) -> np.ndarray:
    return np.sort(stamps + rng.uniform(0.12, 0.4) * period * rng.standard_normal(len(stamps)))


def backwards(stamps: np.ndarray, period: float, rng: np.random.Generator) -> np.ndarray:
    later = stamps.copy()
    later[int(rng.integers(1, len(stamps))) :] -= rng.uniform(1.5, 50.0) * period
    return later


def other_rate(stamps: np.ndarray, period: float, rng: np.random.Generator) -> np.ndarray:
    factor = rng.uniform(1.05, 1.4)
    return stamps * (factor if rng.random() < 0.5 else 1.0 / factor)


def copied(spoil: Callable[[Episode, np.random.Generator], Episode]) -> Plant:
    """Some episodes again, under another name."""

    def plant(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
        if len(episodes) < COMPARED:
            return None
        chosen = draw(episodes, rng)
        copies = [
            dataclasses.replace(spoil(episodes[i], rng), id=f"copy of {episodes[i].id}") for i in chosen
        ]
        order = rng.permutation(len(episodes) + len(copies))
        everything = [*episodes, *copies]
        made = [everything[i] for i in order]
        return made, [n for n, i in enumerate(order) if i >= len(episodes)], spec

    return plant


def same(episode: Episode, rng: np.random.Generator) -> Episode:
    return episode


def nearly(episode: Episode, rng: np.random.Generator) -> Episode:
    """Up to a tenth cut off at each end, and noise of up to 1 % of the standard deviation."""
    steps = len(episode)
    start, stop = int(rng.uniform(0, 0.1) * steps), steps - int(rng.uniform(0, 0.1) * steps)
    noise = rng.uniform(0.0, 0.01)
    changed = {
        key: (a + noise * a.std(axis=0) * rng.standard_normal(a.shape)).astype(a.dtype)
        for key, a in arrays(episode).items()
        if a.dtype.kind == "f"
    }
    return cut(with_arrays(episode, changed), start, stop)


def shifted(episode: Episode, rng: np.random.Generator) -> Episode:
    """The action moved by 3 to 10 steps against the observations."""
    by = int(rng.integers(3, 11)) * int(rng.choice([-1, 1]))
    action = np.roll(episode.action, by, axis=0)
    if by > 0:
        action[:by] = episode.action[0]
    else:
        action[by:] = episode.action[-1]
    return with_arrays(episode, {"action": action})


def late(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """Where the state moves, in episodes of at least 30 steps."""
    if len(episodes) < 5 or min(map(len, episodes)) < 30:
        return None
    return each(shifted)(episodes, spec, rng)


def dead(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """A number that changes in every episode is stuck in some."""
    if len(episodes) < 5:
        return None
    columns = [
        (key, i)
        for key in numbers(episodes[0])
        for i in range(flat(episodes[0], key).shape[1])
        if all(np.ptp(flat(e, key)[:, i]) > 0 for e in episodes)
    ]
    if not columns:
        return None
    key, i = columns[int(rng.integers(len(columns)))]

    def spoil(episode: Episode, rng: np.random.Generator) -> Episode:
        values = flat(episode, key).copy()
        values[:, i] = values[int(rng.integers(len(values))), i]
        return with_arrays(episode, {key: values.reshape(arrays(episode)[key].shape)})

    return each(spoil)(episodes, spec, rng)


def flat(episode: Episode, key: str) -> np.ndarray:
    array = arrays(episode)[key]
    return array.reshape(len(array), -1)


def clipped(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """Too high a gain: the action, magnified about its mean, is cut off at the bounds of the set.

    The gain is the one that leaves 15 to 50 % of the steps at the bound.
    """
    everything = np.concatenate([e.action for e in episodes])
    low, high = everything.min(axis=0), everything.max(axis=0)
    names = spec.action.names or ("",) * everything.shape[1]
    # A gripper is at its bounds most of the time in any case.
    moving = [
        i
        for i, name in enumerate(names)
        if len(np.unique(everything[:, i])) > 50 and "hand" not in name.lower() and i not in gripper(episodes)
    ]
    if not moving or len(episodes) < 5 or min(map(len, episodes)) < 40:
        return None
    i = int(rng.choice(moving))
    chosen = draw(episodes, rng)
    made = list(episodes)
    for e in chosen:
        action = episodes[e].action.copy()
        values = action[:, i] - action[:, i].mean()
        room = np.where(values > 0, high[i] - action[:, i].mean(), action[:, i].mean() - low[i])
        share = rng.uniform(0.15, 0.5)
        need = np.quantile(np.abs(values) / np.maximum(room, 1e-9), 1 - share)
        if need <= 0:
            return None
        action[:, i] = np.clip(action[:, i].mean() + values / need, low[i], high[i])
        made[e] = with_arrays(episodes[e], {"action": action})
    return made, chosen, spec


def other_unit(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """Degrees for radians, or millimetres for metres, or the reverse: a whole array, or one of its numbers.

    A single number is one whose size is much the same in all episodes: one that is near zero in some of them
    by itself, nobody can tell.
    """
    if len(episodes) < 5:
        return None
    key = str(rng.choice(numbers(episodes[0])))
    size = flat(episodes[0], key).shape[1]
    sizes = np.array([np.quantile(np.abs(flat(e, key)), 0.9, axis=0) for e in episodes])
    low, usual = np.quantile(sizes, (0.1, 0.5), axis=0)
    columns, steady = np.flatnonzero(usual > 0), np.flatnonzero((usual > 0) & (low >= usual / 1.5))
    if not len(columns):
        return None
    chosen = rng.choice(steady, 1) if len(steady) and rng.random() < 0.5 else columns
    factor = float(rng.choice([180 / np.pi, 1000.0])) ** float(rng.choice([-1, 1]))
    scale = np.ones(size)
    scale[chosen] = factor

    def spoil(episode: Episode, rng: np.random.Generator) -> Episode:
        array = arrays(episode)[key]
        return with_arrays(episode, {key: (array * scale.reshape(array.shape[1:])).astype(array.dtype)})

    return each(spoil)(episodes, spec, rng)


def declared_wrongly(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """All episodes in degrees or millimetres, declared as radians or metres."""
    key = str(rng.choice(numbers(episodes[0])))
    array = spec.action if key == "action" else spec.obs[key]
    unit = str(rng.choice(["rad", "m"]))
    largest = max(float(np.abs(arrays(e)[key]).max()) for e in episodes)
    factor = {"rad": 180 / np.pi, "m": 1000.0}[unit]
    # What a robot does in those units: angles of at least half a turn in all, ways of at least 5 cm.
    wanted = {"rad": rng.uniform(0.5, np.pi), "m": rng.uniform(0.05, 1.0)}[unit]
    if not largest:
        return None
    declared = dataclasses.replace(array, units=(unit,) * array.size)
    made = [with_arrays(e, {key: arrays(e)[key] * (factor * wanted / largest)}) for e in episodes]
    new = (
        dataclasses.replace(spec, action=declared)
        if key == "action"
        else dataclasses.replace(spec, obs={**spec.obs, key: declared})
    )
    return made, list(range(len(made))), new


def inverted(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """The gripper's action reversed within its range."""
    names = spec.action.names
    everything = np.concatenate([e.action for e in episodes])
    columns = [i for i, n in enumerate(names) if "grip" in n.lower() or "hand" in n.lower()]
    columns = columns or ([] if names else gripper(episodes))
    columns = [i for i in columns if np.ptp(everything[:, i]) > 0]
    if not columns or len(episodes) < 5:
        return None
    span = everything[:, columns].min(axis=0) + everything[:, columns].max(axis=0)

    def spoil(episode: Episode, rng: np.random.Generator) -> Episode:
        action = episode.action.copy()
        action[:, columns] = span - action[:, columns]
        return with_arrays(episode, {"action": action})

    return each(spoil)(episodes, spec, rng)


def gripper(episodes: Episodes) -> list[int]:
    """The last number of the action, where it is near one of its bounds for most of the time."""
    last = np.concatenate([e.action[:, -1] for e in episodes])
    middle = (last > last.min() + 0.1 * np.ptp(last)) & (last < last.max() - 0.1 * np.ptp(last))
    return [episodes[0].action.shape[1] - 1] if middle.mean() < 0.3 and np.ptp(last) > 0 else []


def pause(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """1.2 to 4 s of standing still at the start or the end, with the noise of a sensor."""
    speed = {
        key: np.median(np.concatenate([np.abs(np.diff(arrays(e)[key], axis=0)) for e in episodes]), axis=0)
        for key in numbers(episodes[0])
    }
    if not any(one.any() for one in speed.values()):
        return None

    def spoil(episode: Episode, rng: np.random.Generator) -> Episode:
        count = int(np.ceil(rng.uniform(1.2, 4.0) * (spec.rate_hz or 10.0)))
        at_start = rng.random() < 0.5
        made = {}
        for key, array in arrays(episode).items():
            held = np.repeat(array[:1] if at_start else array[-1:], count, axis=0)
            if key in speed:
                held = held + 0.01 * speed[key] * rng.standard_normal(held.shape)
            parts = [held.astype(array.dtype), array] if at_start else [array, held.astype(array.dtype)]
            made[key] = np.concatenate(parts)
        return with_arrays(episode, made)

    return each(spoil)(episodes, spec, rng)


def turned(spoil: Callable[[np.ndarray, np.random.Generator], np.ndarray], fewest: int = 1) -> Plant:
    """A rotation made of the first observation that changes, as a quaternion; spoilt in some episodes."""

    def plant(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
        if len(episodes) < fewest:
            return None
        named = bool(rng.random() < 0.5)
        key = numbers(episodes[0])[0]
        everything = np.concatenate([flat(e, key) for e in episodes])
        chosen = np.flatnonzero(everything.std(axis=0) > 0)[:3]
        if not len(chosen):
            return None
        middle, width = everything[:, chosen].mean(axis=0), everything[:, chosen].std(axis=0)
        # A tool that points down, and tilts as the robot moves.
        spoilt, made = draw(episodes, rng), []
        for i, episode in enumerate(episodes):
            tilt = np.zeros((len(episode), 3))
            tilt[:, : len(chosen)] = 0.2 * (flat(episode, key)[:, chosen] - middle) / width
            values = quaternion(tilt + np.array([0.15, 0.1, 0.05]))
            values = spoil(values, rng) if i in spoilt else values
            made.append(with_arrays(episode, {"ee": values.astype(np.float32)}))
        names = ("qx", "qy", "qz", "qw") if named else ()
        return made, spoilt, dataclasses.replace(spec, obs={**spec.obs, "ee": ArraySpec((4,), names=names)})

    return plant


def quaternion(tilt: np.ndarray) -> np.ndarray:
    """Pointing down (x, y, z, w = 1, 0, 0, 0), turned by rotation vectors (T, 3)."""
    angle = np.linalg.norm(tilt, axis=1, keepdims=True)
    axis = tilt / np.maximum(angle, 1e-9)
    vector, scalar = axis * np.sin(angle / 2), np.cos(angle / 2)
    # (vector, scalar) ⊗ (1, 0, 0, 0)
    x, y, z = vector.T
    return np.stack([scalar[:, 0], z, -y, -x], axis=1)


def not_unit(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    where = stretch(len(values), 0.05, 1.0, rng)
    changed = values.copy()
    changed[where] *= rng.choice([0.0, 1 - rng.uniform(0.03, 0.6), 1 + rng.uniform(0.03, 0.6)])
    return changed


def flipped(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    changed = values.copy()
    changed[int(rng.integers(1, len(values))) :] *= -1
    return changed


def reordered(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.roll(values, int(rng.choice([1, -1])), axis=1)


def judged(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """Some labels are wrong; where nobody judged, half of the episodes first stop after 10 to 40 %."""
    outcomes = [e.success for e in episodes]
    if len(episodes) < 20 or min(map(len, episodes)) < 20:
        return None
    if None not in outcomes:
        if min(outcomes.count(True), outcomes.count(False)) < 10:
            return None
        relabelled = each(lambda e, _: dataclasses.replace(e, success=not e.success))
        return relabelled(episodes, spec, rng)
    failed = rng.permutation(len(episodes)) < len(episodes) // 2
    made = []
    for episode, is_failure in zip(episodes, failed, strict=True):
        stop = max(8, int(rng.uniform(0.1, 0.4) * len(episode))) if is_failure else len(episode)
        made.append(dataclasses.replace(cut(episode, 0, stop), success=not is_failure))
    chosen = draw(episodes, rng)
    for i in chosen:
        made[i] = dataclasses.replace(made[i], success=not made[i].success)
    return made, chosen, spec


def cameras(episode: Episode) -> list[str]:
    return [key for key, array in episode.obs.items() if array.dtype == np.uint8 and array.ndim == 4]


def lit(episode: Episode) -> list[str]:
    """Cameras that show something."""
    return [key for key in cameras(episode) if episode.obs[key].std() > 2]


def black(episode: Episode, rng: np.random.Generator) -> Episode:
    key = str(rng.choice(lit(episode)))
    frames = episode.obs[key].copy()
    shade = int(rng.choice([0, 2, 128]))
    where = stretch(len(frames), 0.1, 1.0, rng)
    noise = rng.integers(0, 2, frames[where].shape) if rng.random() < 0.5 else 0
    frames[where] = shade + noise
    return with_arrays(episode, {key: frames})


def frozen(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    """15 to 80 % of the frames of a camera show the first of them, half of the time with a codec's noise."""
    if not any(np.ptp(flat(e, key), axis=0).any() for e in episodes for key in numbers(e)):
        return None
    if min(map(len, episodes)) < 8:
        return None

    def spoil(episode: Episode, rng: np.random.Generator) -> Episode:
        key = str(rng.choice(lit(episode)))
        frames = episode.obs[key].copy()
        where = stretch(len(frames), max(0.15, 5 / len(frames)), 0.8, rng)
        frames[where] = frames[where.start]
        if rng.random() < 0.5:
            some = rng.random(frames[where].shape) < 0.01
            frames[where] = np.clip(frames[where].astype(int) + some, 0, 255)
        return with_arrays(episode, {key: frames})

    return each(spoil)(episodes, spec, rng)


def swapped(episodes: Episodes, spec: DataSpec, rng: np.random.Generator) -> Planted | None:
    keys = lit(episodes[0])
    if len(keys) < 2 or len(episodes) < 5:
        return None
    one, other = (str(key) for key in rng.choice(keys, 2, replace=False))
    if episodes[0].obs[one].shape[1:] != episodes[0].obs[other].shape[1:]:
        return None
    return each(lambda e, _: with_arrays(e, {one: e.obs[other], other: e.obs[one]}))(episodes, spec, rng)


STAMPS = "time stamps are even"
COPIES = "every recording is there once"
UNITS = "units are plausible and the same"
ROTATIONS = "quaternions are rotations"
PICTURES = "cameras show what happens"
FAULTS = (
    Fault("NaN or infinite", "values are finite", each(not_finite)),
    Fault("too short", "episodes are long enough", too_short),
    Fault("gap in time", STAMPS, stamped(gap)),
    Fault("jitter", STAMPS, stamped(jitter)),
    Fault("clock set back", STAMPS, stamped(backwards)),
    Fault("other rate", STAMPS, stamped(other_rate)),
    Fault("exact copy", COPIES, copied(same)),
    Fault("near copy", COPIES, copied(nearly)),
    Fault("shifted action", "the state follows the action", late),
    Fault("dead number", "numbers change", dead),
    Fault("clipped action", "actions stay off their bounds", clipped),
    Fault("other unit", UNITS, other_unit),
    Fault("unit declared wrongly", UNITS, declared_wrongly),
    Fault("inverted gripper", "grippers open and close alike", inverted),
    Fault("pause", "no pause at start and end", pause),
    Fault("quaternion not of unit length", ROTATIONS, turned(not_unit)),
    Fault("quaternion changes sign", ROTATIONS, turned(flipped)),
    Fault("quaternion in other order", ROTATIONS, turned(reordered, 5)),
    Fault("wrong success label", "success agrees with the end", judged, kind="outcomes"),
    Fault("black or uniform video", PICTURES, each(black), kind="pictures"),
    Fault("frozen video", PICTURES, frozen, kind="pictures"),
    Fault("swapped cameras", "cameras bear the same names", swapped, kind="pictures"),
)
