"""Several stores that are learnt from together, each drawn from as often as its weight says.

The first store is the reference: the policy acts on its robot, in its names, units and ranges. As a store, a
mixture holds all episodes one after the other, in raw physical units. What the weights and `normalise` do
happens when windows are drawn (imitate.datasets.mixture_loading).

normalise: shared    the store's numbers stay as they are, and count in the policy's statistics by weight
normalise: own       the store's numbers are brought affinely, element by element, from the range of its
                     training episodes to that of the reference's, and do not count in the statistics

A policy has one normaliser, since it acts on one robot. With "own" that one gives every store what a
normaliser of its own (to [-1, 1], "minmax") would: the range of each becomes the reference's before it is
normalised. It suits joints and grippers of other travel or scale. It does not suit quantities with a meaning
of their own (positions in a common frame, unit quaternions, which would lose their length): leave those
stores "shared". Images, sentences and angles that wrap are never changed.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imitate.datasets.episode_store import EpisodeStore, canonical_json
from imitate.datasets.mixture_file import MixtureEntry, MixtureFile, read_mixture_file
from imitate.datasets.views.contents import Contents, Piece
from imitate.datasets.views.merging import file_names, told_apart
from imitate.datasets.views.piecewise_store import PiecewiseStore
from imitate.errors import DataError, SpecError, nearest
from imitate.parts import to_json
from imitate.spec import ArraySpec, DataSpec, require_match

Open = Callable[[Path], EpisodeStore]


class Mixture(PiecewiseStore):
    """The stores of a mixture file, read only. `store_of`: (E,) the store of each episode."""

    def __init__(self, path: Path, file: MixtureFile, parts: Sequence[PiecewiseStore]) -> None:
        sources = [part.sources[0] for part in parts]
        super().__init__(
            path,
            _joined_spec([part.spec for part in parts]),
            sources,
            _all_pieces(file, parts),
            [part.names[0] for part in parts],
            action=[part.action_elements[0] for part in parts],
            source="mixture of " + ", ".join(one.path for one in file.stores),
        )
        self.file = file
        self.parts = tuple(parts)
        self.store_of = np.array([piece.source for piece in self.pieces], np.int64)

    @classmethod
    def open(cls, path: Path, open_source: Open) -> "Mixture":
        """Open the mixture at `path`, and its stores with `open_source`.

        Raises DataError naming a store that cannot be read, SpecError where its names, units, shapes or rate
        differ from those of the first store, or one of that store's observations is missing.
        """
        file = read_mixture_file(path)
        stores = [_opened(one, path, open_source) for one in file.stores]
        parts = [_part(one, store, file.obs, path) for one, store in zip(file.stores, stores, strict=True)]
        for key in file.obs:
            if key not in parts[0].spec.obs:
                hint = nearest(key, stores[0].spec.obs)
                raise SpecError(f"{path}: obs names {key!r}, which {file.stores[0].path} does not have{hint}")
        for one, part in zip(file.stores[1:], parts[1:], strict=True):
            _require_fit(part, one, parts[0], file.stores[0].path, path)
        return cls(path, file, parts)

    @property
    def shares(self) -> np.ndarray:
        """(S,) of each store its share of the windows; they add up to 1."""
        weights = np.array([one.weight for one in self.file.stores], np.float64)
        return np.asarray(weights / weights.sum())

    @property
    def is_own(self) -> np.ndarray:
        """(S,) bool: which stores are brought onto the range of the first."""
        return np.array(
            [number > 0 and one.normalise == "own" for number, one in enumerate(self.file.stores)]
        )

    @property
    def left_out(self) -> tuple[str, ...]:
        """What the stores hold and the mixture does not, and what its episodes alone do not tell."""
        said = [item for part in self.parts for item in part.sources[0].left_out]
        for one, part in zip(self.file.stores, self.parts, strict=True):
            used = {part.names[0][key] for key in self.spec.obs}
            unused = sorted(set(part.sources[0].spec.obs) - used)
            said += [f"observation {key!r} of {one.path}" for key in unused]
        said += ["the weights of the stores"] if len(self.parts) > 1 else []
        said += ["normalise: own"] if self.is_own.any() else []
        return tuple(said)

    def content_hash(self) -> str:
        """sha256 over the hashes of the stores, weights, mappings and normalisation, not over paths."""
        settings = [{**to_json(one), "path": None, "weight": float(one.weight)} for one in self.file.stores]
        covered = {
            "stores": [part.sources[0].content_hash() for part in self.parts],
            "settings": settings,
            "obs": list(self.file.obs),
        }
        return hashlib.sha256(canonical_json(covered)).hexdigest()


def _opened(one: MixtureEntry, path: Path, open_source: Open) -> EpisodeStore:
    try:
        store = open_source((path.parent / one.path).resolve())
    except (DataError, OSError) as error:
        raise DataError(f"{path}: {error}") from error
    if isinstance(store, Mixture):
        raise DataError(f"{path}: {one.path} is a mixture itself; list its stores here")
    if not len(store):
        raise DataError(f"{path}: {one.path} holds no episodes")
    return store


def _part(one: MixtureEntry, store: EpisodeStore, obs: tuple[str, ...], path: Path) -> PiecewiseStore:
    """`store` with observations and action elements as the reference calls them."""
    where = f"{path}: {one.path}"
    contents = Contents.of(store)
    for key in one.keys:
        if key not in store.spec.obs:
            raise SpecError(f"{where}: keys names {key!r}, which is not there{nearest(key, store.spec.obs)}")
    names: dict[str, str] = {}
    for theirs in store.spec.obs:
        ours = one.keys.get(theirs, theirs)
        if ours in names:
            raise SpecError(
                f"{where}: both {names[ours]!r} and {theirs!r} would be {ours!r}; map both with keys"
            )
        names[ours] = theirs
    names = {key: names[key] for key in obs if key in names} if obs else names
    spec = DataSpec({key: store.spec.obs[theirs] for key, theirs in names.items()}, store.spec.action)
    elements = _elements(one, store.spec.action, where)
    action = spec.action if elements is None else _picked(spec.action, elements)
    spec = dataclasses.replace(spec, action=action, rate_hz=store.spec.rate_hz)
    return PiecewiseStore(store.path, spec, [store], contents.pieces, [names], action=[elements])


def _elements(one: MixtureEntry, action: ArraySpec, where: str) -> np.ndarray | None:
    """Indices of the action elements that are used, None for all."""
    if not one.action:
        return None
    known = {
        **{str(index): index for index in range(action.size)},
        **{n: i for i, n in enumerate(action.names)},
    }
    for name in one.action:
        if str(name) not in known:
            raise SpecError(f"{where}: action names {name!r}, which is no element{nearest(str(name), known)}")
    return np.array([known[str(name)] for name in one.action])


def _picked(array: ArraySpec, elements: np.ndarray) -> ArraySpec:
    """The elements of `array` that stand for those of the reference, and go by its names."""
    chosen = elements.tolist()
    told: dict[str, Any] = {
        label: tuple(getattr(array, label)[i] for i in chosen) if getattr(array, label) else ()
        for label in ("units", "low", "high")
    }
    circular = tuple(place for place, i in enumerate(chosen) if i in array.circular)
    return dataclasses.replace(array, shape=(len(chosen),), names=(), circular=circular, **told)


def _require_fit(
    part: PiecewiseStore, one: MixtureEntry, reference: PiecewiseStore, first: str, path: Path
) -> None:
    where = f"{path}: {one.path}"
    missing = [key for key in reference.spec.obs if key not in part.spec.obs]
    if missing:
        unused = sorted(set(part.spec.obs) - set(reference.spec.obs))
        raise SpecError(
            f"{where} has no observation {missing[0]!r} as {first} has"
            f"{f', but {unused}' if unused else ''}: say which of its own it is with keys: {{theirs: "
            f"{missing[0]}}}, or list the observations to use with obs: […]"
        )
    rates = part.spec.rate_hz, reference.spec.rate_hz
    if all(rates) and abs(rates[0] - rates[1]) > 0.01 * rates[1]:  # type: ignore[operator]
        raise SpecError(
            f"{where} runs at {rates[0]:g} Hz, {first} at {rates[1]:g} Hz: a step would mean two lengths of "
            f"time; record or import it again at {rates[1]:g} Hz"
        )
    try:
        require_match(part.spec, reference.spec, where)
    except SpecError as error:
        raise SpecError(
            f"{error} as in {first}: map it with keys or action, correct a wrong label with  "
            "imitate data rename,  or import it in these units"
        ) from error
    arrays = {"action": (part.spec.action, reference.spec.action)}
    arrays |= {key: (part.spec.obs[key], array) for key, array in reference.spec.obs.items()}
    for key, (found, expected) in arrays.items():
        if not np.can_cast(found.dtype, expected.dtype, "same_kind"):
            raise SpecError(f"{where}: {key!r} holds {found.dtype}, expected {expected.dtype} as in {first}")


def _joined_spec(specs: Sequence[DataSpec]) -> DataSpec:
    """The first spec, with what it does not know taken from the others."""
    spec = specs[0]
    for other in specs[1:]:
        spec = spec.filled_from(other)
    return spec


def _all_pieces(file: MixtureFile, parts: Sequence[PiecewiseStore]) -> list[Piece]:
    """The episodes of all parts, told apart by the names of their stores."""
    numbered = [
        [dataclasses.replace(piece.known_as(digest=""), source=number) for piece in part.pieces]
        for number, part in enumerate(parts)
    ]
    return told_apart(numbered, file_names([Path(one.path) for one in file.stores]))


def shares_of(store: EpisodeStore) -> dict[str, float]:
    """Of a mixture, {path: share of the windows}; empty for other stores."""
    if not isinstance(store, Mixture):
        return {}
    return {one.path: float(share) for one, share in zip(store.file.stores, store.shares, strict=True)}
