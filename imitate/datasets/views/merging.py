"""Joining the episodes of several stores whose specs are equal."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from imitate.datasets.views.contents import Contents, Piece, require_unique
from imitate.errors import SpecError
from imitate.spec import ArraySpec, DataSpec, require_match


def joined(parts: Sequence[Contents], names: Sequence[str]) -> Contents:
    """All episodes of `parts` in order, told apart by id.

    Raises SpecError naming the part of `names` whose spec differs from the first one's.
    """
    spec = parts[0].spec
    for part, name in zip(parts[1:], names[1:], strict=True):
        require_equal(part.spec, spec, name, names[0])
        spec = _filled(spec, part.spec)
    pieces = told_apart([part.pieces for part in parts], names)
    return Contents(spec, tuple(pieces), {key: key for key in spec.obs})


def told_apart(parts: Sequence[Sequence[Piece]], names: Sequence[str]) -> list[Piece]:
    """The episodes of all `parts` in order; an id that several of them have becomes "name/id" in each.

    Raises ConfigError where two episodes would have one id even so.
    """
    counts = Counter(piece.record.id for part in parts for piece in part)
    pieces = [
        piece if counts[piece.record.id] == 1 else piece.known_as(id=f"{name}/{piece.record.id}")
        for part, name in zip(parts, names, strict=True)
        for piece in part
    ]
    require_unique([piece.record.id for piece in pieces], "merge")
    return pieces


def file_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """What to call each store: its file name without endings, with a number where two have the same."""
    names: list[str] = []
    for path in paths:
        stem = path.name.partition(".")[0] or path.name
        numbered = (f"{stem}_{number}" for number in itertools.count(2))
        names.append(next(name for name in itertools.chain([stem], numbered) if name not in names))
    return tuple(names)


def require_equal(found: DataSpec, expected: DataSpec, name: str, first: str) -> None:
    """Raise SpecError where `found`, of the store `name`, is not as `expected`, of the store `first`."""
    extra = sorted(set(found.obs) - set(expected.obs))
    if extra:
        raise SpecError(
            f"{name}: observation {extra[0]!r} is not in {first}; rename it (imitate data rename), or train "
            "on a mixture, which leaves it out"
        )
    require_match(found, expected, name)
    for key, array in _arrays(expected).items():
        other = _arrays(found)[key]
        for label in ("dtype", "circular", "encoder"):
            here, there = getattr(other, label), getattr(array, label)
            if here != there:
                raise SpecError(f"{name}: {label} of {key!r} is {here}, expected {there} as in {first}")


def _arrays(spec: DataSpec) -> dict[str, ArraySpec]:
    return {**spec.obs, "action": spec.action}


def _filled(spec: DataSpec, other: DataSpec) -> DataSpec:
    """`spec` with what it does not know, and ranges that hold the numbers of both."""
    filled = spec.filled_from(other)
    obs = {key: _wider(array, other.obs[key]) for key, array in filled.obs.items()}
    return dataclasses.replace(filled, obs=obs, action=_wider(filled.action, other.action))


def _wider(array: ArraySpec, other: ArraySpec) -> ArraySpec:
    low = tuple(map(min, array.low, other.low)) if other.low else ()
    high = tuple(map(max, array.high, other.high)) if other.high else ()
    return dataclasses.replace(array, low=low, high=high)
