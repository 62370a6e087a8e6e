"""Which arrays of an .npz are action, observations, ends of episodes, or facts about an episode."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from imitate.datasets.formats.array_names import array_name
from imitate.datasets.formats.npz_file import Member, NpzFile
from imitate.errors import DataError

ACTIONS = ("action", "actions")
ENDS = ("episode_ends",)
LENGTHS = ("episode_lengths", "traj_lengths")
END_FLAGS = ("terminals", "timeouts", "dones", "terminations", "truncations")
START_FLAGS = ("episode_starts",)
SUCCESS = ("success", "is_success")
RATES = ("rate_hz", "fps")
BOUNDARIES = (*ENDS, *LENGTHS, *END_FLAGS, *START_FLAGS)
NOT_SEEN = ("reward", "rewards", "next_obs", "next_observation", "next_observations", "next_state", "infos/")
"""Of every step, but nothing that is seen before the action is taken."""

LARGEST_FACT = 1000
"""Arrays with more elements per episode are left out of its metadata."""


@dataclass(frozen=True)
class Layout:
    """arrays: the observations and "action" by the names they get here. lengths: steps of each episode.

    facts: per episode what is known of it, `common`: of all of them. left_out: in words.
    """

    arrays: Mapping[str, Member]
    lengths: tuple[int, ...]
    facts: tuple[Mapping[str, Any], ...]
    success: tuple[bool | None, ...]
    rate_hz: float | None
    common: Mapping[str, Any]
    left_out: tuple[str, ...]


def find_layout(file: NpzFile) -> Layout:
    """Sort the arrays of the file; raises DataError where there is no action, or episodes do not add up."""
    action = _action(file)
    rows = file.members[action].shape[0]
    ends = _ends(file, rows)
    seen = [name for name in file.members if _is_observation(name, file.members[name], rows)]
    if not seen:
        raise DataError(f"{file.path} holds no observations: no other array has {rows} rows; {_found(file)}")
    named = {"action": action, **{array_name(name): name for name in seen}}
    if len(named) <= len(seen):
        raise DataError(f"{file.path}: two arrays get the same name; {_found(file)}")
    facts, common = _facts(file, len(ends), rows)
    used = {*facts}
    success = _success(facts)
    used |= {*named.values(), *common, *(name for name in BOUNDARIES if name in file.members)}
    return Layout(
        arrays={name: file.members[stored] for name, stored in named.items()},
        lengths=tuple(np.diff(ends, prepend=0).tolist()),
        facts=tuple({name: values[i] for name, values in facts.items()} for i in range(len(ends))),
        success=success or (None,) * len(ends),
        rate_hz=next((rate for name in RATES if (rate := _rate(common.get(name)))), None),
        common={name: value for name, value in common.items() if name not in RATES or not _rate(value)},
        left_out=tuple(_left_out(file, used, rows - int(ends[-1]))),
    )


def _action(file: NpzFile) -> str:
    name = next((name for name in ACTIONS if name in file.members), None)
    if name is None:
        raise DataError(
            f"{file.path} holds no array of numbers named action or actions, so these are no demonstrations; "
            f"{_found(file)}"
        )
    member = file.members[name]
    if not member.is_numbers or len(member.shape) not in (1, 2) or 0 in member.shape:
        raise DataError(f"{file.path}: {member}, expected (N, Da) real numbers, one row per step")
    return name


def _found(file: NpzFile) -> str:
    arrays = [str(member) for member in file.members.values()]
    objects = [f"{name} (Python objects or records, which are never unpickled)" for name in file.odd]
    return f"found {', '.join((arrays + objects)[:12]) or 'nothing'}"


def _is_observation(name: str, member: Member, rows: int) -> bool:
    known = (*ACTIONS, *BOUNDARIES, *SUCCESS)
    fits = member.is_numbers and member.shape[:1] == (rows,) and 0 not in member.shape
    return fits and name not in known and not name.startswith(NOT_SEEN)


def _ends(file: NpzFile, rows: int) -> np.ndarray:
    """(E,) the row after the last one of each episode."""
    told = {name: file.members[name] for name in BOUNDARIES if name in file.members}
    for name, member in told.items():
        of_steps = name in END_FLAGS + START_FLAGS
        if not member.is_numbers or (of_steps and member.shape[:1] != (rows,)) or not member.shape:
            raise DataError(
                f"{file.path}: {member}, expected numbers, {rows if of_steps else 'one per episode'}"
            )
    if counted := next((name for name in ENDS + LENGTHS if name in told), None):
        numbers = file.whole(told[counted]).ravel()
        ends = np.cumsum(numbers) if counted in LENGTHS else numbers
        return _checked(ends, rows, f"{file.path}: {counted}")
    flags = [file.whole(member).reshape(rows, -1).any(axis=1) for member in told.values()]
    if not flags:
        return np.array([rows])
    marked = np.flatnonzero(np.logical_or.reduce(flags))
    if told.keys() <= set(START_FLAGS):
        return np.append(marked[marked > 0], rows)
    ends = marked + 1
    return ends if len(ends) and ends[-1] == rows else np.append(ends, rows)


def _checked(ends: np.ndarray, rows: int, where: str) -> np.ndarray:
    if ends.dtype.kind not in "iu" or not len(ends):
        raise DataError(f"{where} is {ends.dtype} {ends.shape}, expected whole numbers, one per episode")
    if int(ends.max()) > rows or (np.diff(ends.astype(np.int64), prepend=0) <= 0).any():
        raise DataError(f"{where} must grow from episode to episode up to at most {rows}, the rows of action")
    return ends.astype(np.int64)


def _facts(file: NpzFile, episodes: int, rows: int) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """({name: value of each episode}, {name: value for all}) of the small arrays that are not of steps."""
    of_each: dict[str, list[Any]] = {}
    common: dict[str, Any] = {}
    for name, member in file.members.items():
        if name in (*ACTIONS, *BOUNDARIES) or (member.shape[:1] == (rows,) and rows != episodes):
            continue
        if name.startswith(NOT_SEEN) or (member.dtype.itemsize > 8 and member.dtype.kind == "f"):
            continue
        if not member.shape:
            common[name] = _plain(file, member)
        elif member.shape[0] == episodes and np.prod(member.shape[1:]) <= LARGEST_FACT:
            of_each[name] = _plain(file, member)
    return of_each, common


def _plain(file: NpzFile, member: Member) -> Any:
    """The array as JSON values: text, numbers, and null for what is not finite."""
    values = file.whole(member)
    if values.dtype.kind == "S":
        return np.vectorize(lambda text: text.decode("utf-8", "replace"), otypes=[object])(values).tolist()
    if values.dtype.kind == "f":
        found = values.astype(object)
        found[~np.isfinite(values)] = None
        return found.tolist()
    try:
        return values.tolist()
    except ValueError as error:
        raise DataError(f"{file.path}: {member} is no text ({error})") from error


def _rate(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e6
    return float(value) if usable else None


def _success(facts: dict[str, list[Any]]) -> tuple[bool | None, ...]:
    """Taken out of the facts where each episode has a yes or no."""
    for name in SUCCESS:
        if name in facts and all(value in (0, 1) for value in facts[name] if not isinstance(value, list)):
            if any(isinstance(value, list) for value in facts[name]):
                continue
            return tuple(bool(value) for value in facts.pop(name))
    return ()


def _left_out(file: NpzFile, used: set[str], behind: int) -> list[str]:
    said = [str(member) for name, member in file.members.items() if name not in used]
    said += [f"{name}: Python objects or records, which are never unpickled" for name in file.odd]
    if behind:
        said.append(f"{behind} rows after the last episode")
    return said
