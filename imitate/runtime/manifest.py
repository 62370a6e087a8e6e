"""manifest.json: what an exported policy needs, gives and comes from, and the SHA-256 of every other part."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from imitate.errors import BundleError, SpecError
from imitate.history import PLAN
from imitate.spec import DataSpec

FORMAT_VERSION = 1
FORMAT = "imitate policy"

MANIFEST, SIGNATURE = "manifest.json", "signature.ed25519"
MODEL, CARD, GOLDEN, OBSERVATIONS = "model.onnx", "model_card.md", "golden.npz", "observations.npz"
COMPILED = "policy.pt2"

FLOAT32 = "float32"


class Horizons(NamedTuple):
    """To, Tp and Ta in control steps."""

    obs_steps: int
    pred_steps: int
    action_steps: int


@dataclass(frozen=True)
class SeenRange:
    """What a normaliser knows of the values in training, one entry per element, in physical units.

    mode minmax: low and high were the smallest and largest; gaussian: mean ± standard deviation; identity:
    nothing is known and both are empty. A set of points has one entry per channel.
    """

    mode: str
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Image:
    """How a camera image must enter: rows, columns, then colours, uint8 from 0 to 255, never compressed."""

    height: int
    width: int
    colours: str = "RGB"


@dataclass(frozen=True)
class Manifest:
    """What an exported policy says about itself.

    spec: what it observes and does. noise_size: standard normal numbers for one chunk. seen: of each
    observation and of "action". action_low, action_high: no action of the graph is outside (±infinity where
    the spec states no range). tolerance: largest deviation of each action element, in physical units, from
    what was exported. images: by observation. parity: what was compared, how many, and the largest deviation.
    provenance: policy settings, checkpoint_hash, data_hash and the versions of what exported.
    hashes: SHA-256 of every other part but the signature, by name. precision: of the graph's weights,
    float32, float16 or int8 (imitate.export.precision). plan_steps: P where the graph also takes the rest of
    its last chunk (imitate.history), else 0. compiled: where the graph is there as machine code,
    too, the processor and torch that it was made for, and inputs, their names in its order.
    """

    spec: DataSpec
    horizons: Horizons
    noise_size: int
    seen: Mapping[str, SeenRange]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    tolerance: tuple[float, ...]
    images: Mapping[str, Image]
    parity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    hashes: Mapping[str, str]
    precision: str = FLOAT32
    plan_steps: int = 0
    compiled: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        size = self.spec.action.size
        for name in ("action_low", "action_high", "tolerance"):
            if len(getattr(self, name)) != size:
                raise BundleError(f"{name} has {len(getattr(self, name))} entries, expected {size}")
        if len(self.spec.action.shape) != 1 or min(self.horizons) < 1 or self.noise_size < 0 or not size:
            raise BundleError(f"shape of actions {self.spec.action.shape}, horizons {tuple(self.horizons)}")
        if self.plan_steps not in (0, self.horizons.action_steps):
            raise BundleError(f"plan_steps is {self.plan_steps}, horizons {tuple(self.horizons)}")
        if self.plan_steps and PLAN in self.spec.obs:
            raise BundleError(f"an observation is called {PLAN!r}, as the last plan is")
        if not all(0 <= t < math.inf for t in self.tolerance):
            raise BundleError(f"tolerance is {list(self.tolerance)}")

    @property
    def control_period_s(self) -> float | None:
        """Seconds from one action of a chunk to the next; None where the data does not say."""
        return 1.0 / self.spec.rate_hz if self.spec.rate_hz else None

    def to_bytes(self) -> bytes:
        """The bytes of manifest.json, which are what is signed; the same manifest gives the same."""
        plain = asdict(self) | {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "spec": self.spec.to_json(),
            "horizons": self.horizons._asdict(),
            "action_low": _without_infinity(self.action_low),
            "action_high": _without_infinity(self.action_high),
        }
        return (json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Read what `to_bytes` wrote; raises BundleError for another format, version or a missing key."""
        try:
            plain = json.loads(content)
            if plain["format"] != FORMAT:
                raise BundleError(f"manifest.json is of {plain['format']!r}, expected {FORMAT!r}")
            if plain["version"] != FORMAT_VERSION:
                raise BundleError(
                    f"format version {plain['version']!r}, but this imitate reads {FORMAT_VERSION}: "
                    "export the policy again, or use the version of imitate that wrote it"
                )
            return cls._read(plain)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, SpecError) as error:
            raise BundleError(f"manifest.json is malformed: {error!r}") from error

    @classmethod
    def _read(cls, plain: Mapping[str, Any]) -> "Manifest":
        size = {name: int(plain["horizons"][name]) for name in Horizons._fields}
        ranges = plain["seen"].items()
        return cls(
            spec=DataSpec.from_json(plain["spec"]),
            horizons=Horizons(**size),
            noise_size=int(plain["noise_size"]),
            seen={k: SeenRange(str(v["mode"]), _numbers(v["low"]), _numbers(v["high"])) for k, v in ranges},
            action_low=_with_infinity(plain["action_low"], -math.inf),
            action_high=_with_infinity(plain["action_high"], math.inf),
            tolerance=_numbers(plain["tolerance"]),
            images={k: Image(**v) for k, v in plain["images"].items()},
            parity=dict(plain["parity"]),
            provenance=dict(plain["provenance"]),
            hashes={str(k): str(v) for k, v in plain["hashes"].items()},
            precision=str(plain.get("precision", FLOAT32)),
            plan_steps=int(plain.get("plan_steps", 0)),
            compiled=None if plain.get("compiled") is None else dict(plain["compiled"]),
        )


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _without_infinity(values: tuple[float, ...]) -> list[float | None]:
    # JSON has no word for infinity.
    return [value if math.isfinite(value) else None for value in values]


def _with_infinity(values: Any, unknown: float) -> tuple[float, ...]:
    return tuple(unknown if value is None else float(value) for value in values)
