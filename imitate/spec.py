"""What data looks like: DataSpec, the names, shapes, units, ranges and rate of observations and actions.

Needs neither torch nor numpy, so that a robot without them can compare what it has with what a policy needs.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imitate.errors import SpecError


@dataclass(frozen=True)
class ArraySpec:
    """One named array at one time step: its shape, element names, physical units and range.

    Names, units and range have one entry per element of a vector, and are empty where unknown (a foreign
    file may not say). Images are (H, W, 3) uint8. Elements listed in `circular` are angles that wrap at
    2π rad; policies see them as sine and cosine.

    encoder: how a sentence became this vector (see imitate.instruction), empty where it is none. sentences:
    those that occur in the data.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    circular: tuple[int, ...] = ()
    encoder: str = ""
    sentences: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = self.size
        for label in ("names", "units", "low", "high"):
            found = len(getattr(self, label))
            if found not in (0, size):
                raise SpecError(f"{label} has {found} entries, expected {size} for shape {self.shape}")
        if any(not 0 <= index < size for index in self.circular):
            raise SpecError(f"circular names elements {self.circular} of an array of {size}")

    @property
    def size(self) -> int:
        """Number of elements at one time step."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether this is an (H, W, 3) uint8 camera image."""
        return self.dtype == "uint8" and len(self.shape) == 3

    def part(self, elements: tuple[int, ...]) -> "ArraySpec":
        """The spec of a vector's `elements` alone, in their order."""
        told: dict[str, Any] = {
            label: tuple(getattr(self, label)[index] for index in elements)
            for label in ("names", "units", "low", "high")
            if getattr(self, label)
        }
        circular = tuple(at for at, index in enumerate(elements) if index in self.circular)
        return ArraySpec((len(elements),), self.dtype, circular=circular, **told)

    def filled_from(self, other: "ArraySpec") -> "ArraySpec":
        """This spec with what it does not know (names, units, range, wrapping) taken from `other`.

        Sentences are those of both. An array of another shape tells nothing.
        """
        if other.shape != self.shape:
            return self
        known = {
            f.name: getattr(self, f.name) or getattr(other, f.name)
            for f in dataclasses.fields(self)
            if f.name not in ("shape", "dtype")
        }
        known["sentences"] = tuple(dict.fromkeys([*self.sentences, *other.sentences]))
        return dataclasses.replace(self, **known)


@dataclass(frozen=True)
class DataSpec:
    """Names, shapes, units, ranges and rate of every observation and of the action.

    It travels with the data, the policy, the checkpoint, the exported bundle and the robot.
    `rate_hz` is the control rate in Hz, None where unknown.
    """

    obs: Mapping[str, ArraySpec]
    action: ArraySpec
    rate_hz: float | None = None

    def select(self, keys: tuple[str, ...] | list[str]) -> "DataSpec":
        """The same spec with only the observations `keys`; raises SpecError for an absent one."""
        for key in keys:
            if key not in self.obs:
                raise SpecError(f"observation {key!r} is not there; there are {sorted(self.obs)}")
        return dataclasses.replace(self, obs={key: self.obs[key] for key in keys})

    def states(self) -> tuple[str, ...]:
        """Every element of every observation that is no image, as "observation.element", in order."""
        return tuple(
            f"{key}.{name}"
            for key, array in self.obs.items()
            if not array.is_image
            for name in array.names or map(str, range(array.size))
        )

    def filled_from(self, other: "DataSpec") -> "DataSpec":
        """This spec with unknown names, units, ranges and rate taken from `other`, key by key."""
        obs = {k: s.filled_from(other.obs[k]) if k in other.obs else s for k, s in self.obs.items()}
        return DataSpec(obs, self.action.filled_from(other.action), self.rate_hz or other.rate_hz)

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON values; `from_json` is its inverse."""
        return {
            "obs": {key: _array_to_json(spec) for key, spec in self.obs.items()},
            "action": _array_to_json(self.action),
            "rate_hz": self.rate_hz,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "DataSpec":
        """Read what `to_json` wrote; raises SpecError naming the key that is missing or malformed."""
        try:
            obs = {key: _array_from_json(spec) for key, spec in value["obs"].items()}
            return cls(obs, _array_from_json(value["action"]), value.get("rate_hz"))
        except (KeyError, TypeError, AttributeError) as error:
            raise SpecError(f"malformed data spec: {error!r}") from error


def _array_to_json(spec: ArraySpec) -> dict[str, Any]:
    # Hashes cover the spec, so those of data without sentences are what they were before there were any.
    plain = dataclasses.asdict(spec)
    return {key: value for key, value in plain.items() if value or key not in ("encoder", "sentences")}


def _array_from_json(value: Mapping[str, Any]) -> ArraySpec:
    plain: dict[str, Any] = {key: tuple(v) if isinstance(v, list | tuple) else v for key, v in value.items()}
    return ArraySpec(**plain)


def require_match(found: DataSpec, expected: DataSpec, where: str) -> None:
    """Check that `found` provides every observation of `expected`, and the same action.

    Compared by name, shape, dtype kind, element names, units, encoder and rate; what either side does not
    know is not compared. Raises SpecError naming `where`, the key, what was found and what was expected.
    """
    for key, spec in expected.obs.items():
        if key not in found.obs:
            raise SpecError(f"{where}: observation {key!r} is missing; found {sorted(found.obs)}")
        _require_same(found.obs[key], spec, f"{where}: observation {key!r}")
    _require_same(found.action, expected.action, f"{where}: action")
    if found.rate_hz and expected.rate_hz and not math.isclose(found.rate_hz, expected.rate_hz, rel_tol=0.01):
        raise SpecError(f"{where}: rate is {found.rate_hz:g} Hz, expected {expected.rate_hz:g} Hz")


def _require_same(found: ArraySpec, expected: ArraySpec, where: str) -> None:
    if found.shape != expected.shape:
        raise SpecError(f"{where}: shape is {found.shape}, expected {expected.shape}")
    if found.is_image != expected.is_image:
        raise SpecError(f"{where}: dtype is {found.dtype}, expected {expected.dtype}")
    for label in ("names", "units"):
        a, b = getattr(found, label), getattr(expected, label)
        if a and b and a != b:
            raise SpecError(f"{where}: {label} are {list(a)}, expected {list(b)}")
    if found.encoder and expected.encoder and found.encoder != expected.encoder:
        raise SpecError(f"{where}: encoder is {found.encoder!r}, expected {expected.encoder!r}")
