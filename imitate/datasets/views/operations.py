"""What can be done to the episodes of a view. Each operation is plain values, as the view file keeps them."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from imitate.datasets.episode_store import ACTION
from imitate.datasets.store import NAME
from imitate.datasets.views.contents import Contents, Piece, require_unique
from imitate.datasets.views.criteria import Criteria, judged, require_ids, require_judgement
from imitate.errors import ConfigError, SpecError, nearest
from imitate.spec import ArraySpec, DataSpec


class Operation(Protocol):
    """One entry of a view's history."""

    def apply(self, contents: Contents) -> Contents:
        """The contents afterwards; raises ConfigError or SpecError where it does not fit them."""


@dataclass(frozen=True)
class Split:
    """One part of the episodes: those with `ids`, which were drawn, or share a value, when it was made.

    part: what it is called. share, seed: of the part's episodes among all, and of the draw. by, value: the
    attribute that they have in common.
    """

    part: str
    ids: tuple[str, ...]
    share: float | None = None
    seed: int | None = None
    by: str | None = None
    value: Any = None

    def apply(self, contents: Contents) -> Contents:
        """Keep the part."""
        chosen = Criteria(ids=self.ids).select(contents.records, "split")
        return _kept(contents, chosen)


@dataclass(frozen=True)
class Filter:
    """Keep the episodes that `where` means, or with `drop` all others. `because` says why, for people."""

    where: Criteria
    drop: bool = False
    because: str = ""

    def apply(self, contents: Contents) -> Contents:
        """Keep or drop."""
        meant = self.where.select(contents.records, "filter")
        return _kept(contents, [found != self.drop for found in meant])


@dataclass(frozen=True)
class Trim:
    """Cut steps off: `start` and `end` of the episodes that `where` means, `ranges` for episodes by id.

    ranges: {id: [first step, step behind the last)}, counted before this cut; it wins over the others.
    because: for people.
    """

    start: int = 0
    end: int = 0
    where: Criteria = field(default_factory=Criteria)
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    because: str = ""

    def __post_init__(self) -> None:
        if self.start < 0 or self.end < 0:
            raise ConfigError(f"trim: start={self.start} end={self.end}, expected steps to cut, 0 or more")

    def apply(self, contents: Contents) -> Contents:
        """Cut; raises ConfigError naming an episode that would be empty, or has fewer steps."""
        require_ids(self.ranges, contents.records, "trim")
        meant = self.where.select(contents.records, "trim")
        pieces = zip(contents.pieces, meant, strict=True)
        return contents.with_pieces(self._cut(piece, is_meant) for piece, is_meant in pieces)

    def _cut(self, piece: Piece, is_meant: bool) -> Piece:
        steps = piece.record.steps
        start, stop = (self.start, steps - self.end) if is_meant else (0, steps)
        start, stop = self.ranges.get(piece.record.id, (start, stop))
        if not 0 <= start < stop <= steps:
            raise ConfigError(
                f"trim: episode {piece.record.id!r} has {steps} steps, so steps {start} to {stop} cannot be "
                "what is left; cut less, or filter it out first"
            )
        return piece.cut(start, stop)


@dataclass(frozen=True)
class Relabel:
    """Say something else of the episodes that `where` means; null leaves a field as it is.

    metadata: values to set; null removes a key.
    """

    where: Criteria = field(default_factory=Criteria)
    success: bool | str | None = None
    source: str | None = None
    operator: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_judgement(self.success)

    def apply(self, contents: Contents) -> Contents:
        """Change the records."""
        meant = self.where.select(contents.records, "relabel")
        pieces = zip(contents.pieces, meant, strict=True)
        return contents.with_pieces(
            self._labelled(piece) if is_meant else piece for piece, is_meant in pieces
        )

    def _labelled(self, piece: Piece) -> Piece:
        merged = {**piece.record.metadata, **self.metadata}
        known: dict[str, Any] = {"metadata": {k: v for k, v in merged.items() if v is not None}}
        known |= {} if self.success is None else {"success": judged(self.success)}
        texts = {"source": self.source, "operator": self.operator}
        return piece.known_as(**known, **{key: text for key, text in texts.items() if text is not None})


@dataclass(frozen=True)
class Rename:
    """Call things differently; no number is changed, not by other units either.

    observations, ids: {old: new}. elements, units: {array: one text per element}; the action is "action".
    rate_hz: the control rate, where what was recorded does not say it, or wrongly. parts: {new observation:
    elements of another one, which stays}, each as "observation.element", or its number where it has no name.
    """

    observations: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    units: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rate_hz: float | None = None
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def apply(self, contents: Contents) -> Contents:
        """Rename observations first, so that elements, units and then parts go by the new names."""
        if self.rate_hz is not None and not 0 < self.rate_hz < math.inf:
            raise ConfigError(f"rename: rate_hz is {self.rate_hz:g}, expected a rate above 0")
        require_ids(self.ids, contents.records, "rename")
        renamed = self._observations(contents) if self.observations else contents
        spec = _described(_described(renamed.spec, "names", self.elements), "units", self.units)
        spec = dataclasses.replace(spec, rate_hz=spec.rate_hz if self.rate_hz is None else self.rate_hz)
        renamed = dataclasses.replace(renamed, spec=spec)
        for name, elements in self.parts.items():
            renamed = _with_part(renamed, name, elements)
        if not self.ids:
            return renamed
        renamed = renamed.changed(lambda p: p.known_as(id=self.ids.get(p.record.id, p.record.id)))
        require_unique([record.id for record in renamed.records], "rename")
        return renamed

    def _observations(self, contents: Contents) -> Contents:
        for old, new in self.observations.items():
            if old not in contents.spec.obs:
                raise ConfigError(f"rename: there is no observation {old!r}{nearest(old, contents.spec.obs)}")
            require_name(new, "rename")
        names = {self.observations.get(key, key): theirs for key, theirs in contents.names.items()}
        if len(names) < len(contents.names):
            raise ConfigError(f"rename: two observations would be called the same ({sorted(names)})")
        obs = {self.observations.get(key, key): array for key, array in contents.spec.obs.items()}
        columns = {self.observations.get(key, key): found for key, found in contents.columns.items()}
        return with_arrays(contents, obs, names, columns)


def require_name(name: str, where: str) -> None:
    """Raise ConfigError where `name` cannot be that of an observation."""
    if name == ACTION or not NAME.fullmatch(name):
        raise ConfigError(f"{where}: {name!r} cannot name an observation: use letters, digits, _ - .")


def with_arrays(
    contents: Contents,
    obs: Mapping[str, ArraySpec],
    names: Mapping[str, str],
    columns: Mapping[str, tuple[int, ...]],
) -> Contents:
    """The same episodes with other observations."""
    # A digest covers the names of the arrays.
    pieces = tuple(piece.known_as(digest="") for piece in contents.pieces)
    return Contents(dataclasses.replace(contents.spec, obs=obs), pieces, names, columns)


def _with_part(contents: Contents, name: str, elements: tuple[str, ...]) -> Contents:
    """`contents` with the further observation `name`, made of `elements` of one that is there."""
    require_name(name, "rename")
    if name in contents.spec.obs:
        raise ConfigError(f"rename: parts names {name!r}, but there is an observation of this name")
    places = {
        f"{key}.{element}": (key, index)
        for key, array in contents.spec.obs.items()
        if len(array.shape) == 1
        for index, element in enumerate(array.names or map(str, range(array.size)))
    }
    for element in elements:
        if element not in places:
            raise ConfigError(
                f"rename: parts.{name}: there is no element {element!r}{nearest(element, places)}"
            )
    sources = {places[element][0] for element in elements}
    if len(sources) != 1:
        raise ConfigError(f"rename: parts.{name} is {list(elements)}, expected elements of one observation")
    source, chosen = sources.pop(), tuple(places[element][1] for element in elements)
    theirs = contents.columns.get(source)
    columns = chosen if theirs is None else tuple(theirs[index] for index in chosen)
    return with_arrays(
        contents,
        {**contents.spec.obs, name: contents.spec.obs[source].part(chosen)},
        {**contents.names, name: contents.names[source]},
        {**contents.columns, name: columns},
    )


def _kept(contents: Contents, keep: list[bool]) -> Contents:
    pieces = zip(contents.pieces, keep, strict=True)
    return contents.with_pieces(piece for piece, is_kept in pieces if is_kept)


def _described(spec: DataSpec, label: str, given: Mapping[str, tuple[str, ...]]) -> DataSpec:
    """`spec` with names or units of the elements of some arrays."""
    arrays: dict[str, ArraySpec] = {**spec.obs, ACTION: spec.action}
    for key, texts in given.items():
        if key not in arrays:
            raise ConfigError(f"rename: there is no array {key!r}{nearest(key, arrays)}")
        told: dict[str, Any] = {label: texts}
        try:
            arrays[key] = dataclasses.replace(arrays[key], **told)
        except SpecError as error:
            raise ConfigError(f"rename: {key!r}: {error}") from error
    action = arrays.pop(ACTION)
    return dataclasses.replace(spec, obs=arrays, action=action)
