"""What the manifest says of a policy, but for hashes: spec, horizons, ranges, and where it comes from."""

import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from typing import Any

import numpy as np

from imitate import __version__
from imitate.checkpoint import LoadedPolicy, checkpoint_hash
from imitate.export.parity import SHARE_OF_RANGE, Parity
from imitate.export.precision import Precision
from imitate.normalize import VectorNormalizer
from imitate.policy import Policy
from imitate.runtime.manifest import Horizons, Image, Manifest, SeenRange

REPEATS_WITHIN: Mapping[Precision, float] = {
    "float32": SHARE_OF_RANGE,
    "float16": SHARE_OF_RANGE,
    "int8": 0.01,
}
"""Of the range: what another processor may make of the recorded inputs. Where it rounds a sum otherwise, a
whole number may be the next one."""

EXPORTERS = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy")


def manifest(
    loaded: LoadedPolicy,
    noise_size: int,
    parity: Parity,
    source: str,
    evaluation: Mapping[str, Any] | None,
    precision: Precision = "float32",
    compiled: Mapping[str, Any] | None = None,
) -> Manifest:
    """The manifest of what was exported and compared; hashes are added when it is written."""
    policy, info = loaded.policy, loaded.info
    spec, horizons = policy.spec, policy.horizons
    size = spec.action.size
    return Manifest(
        spec=spec,
        horizons=Horizons(horizons.obs_steps, horizons.pred_steps, horizons.action_steps),
        noise_size=noise_size,
        plan_steps=policy.plan_steps,
        seen=seen_ranges(policy),
        action_low=spec.action.low or (-math.inf,) * size,
        action_high=spec.action.high or (math.inf,) * size,
        tolerance=tuple((REPEATS_WITHIN[precision] * action_scale(policy)).tolist()),
        images={key: Image(a.shape[0], a.shape[1]) for key, a in spec.obs.items() if a.is_image},
        parity={"observations": parity.observations, "source": source, **_errors(parity)},
        provenance={
            "policy": dict(info.policy),
            "env": info.env,
            "step": info.step,
            "metrics": dict(info.metrics),
            "data_hash": info.data_hash,
            "checkpoint_hash": checkpoint_hash(loaded.file),
            "training_commit": info.commit,
            "exporters": exporters(),
            "evaluation": evaluation,
            "used_seeds": None if info.used_seeds is None else [asdict(one) for one in info.used_seeds],
        },
        hashes={},
        precision=precision,
        compiled=compiled,
    )


def _errors(parity: Parity) -> dict[str, Any]:
    """How far the graph in the file is from the policy; of lower precision, with undecided choices."""
    exact = float(parity.worst.max())
    if parity.deviations is None:
        return {"largest_error_in_ranges": exact, "undecided": parity.undecided}
    half, most = np.quantile(parity.deviations, (0.5, 0.99))
    return {
        "largest_error_in_ranges": float(parity.deviations.max()),
        "median_error_in_ranges": float(half),
        "p99_error_in_ranges": float(most),
        "float32_largest_error_in_ranges": exact,
        "undecided": parity.undecided,
    }


def exporters() -> dict[str, str]:
    """Versions of everything that takes part in exporting."""
    versions = {name: metadata.version(name) for name in EXPORTERS}
    return {"imitate": __version__, "python": platform.python_version(), **versions}


def seen_ranges(policy: Policy) -> dict[str, SeenRange]:
    """What the normaliser of `policy` knows of each state, set of points, and of "action"."""
    normalizer = policy.normalizer
    modules = {**dict(normalizer.state.normalizers.items()), **dict(normalizer.points.items())}
    # A dot cannot stand in the name of a module; see imitate.normalize.
    found = {key: modules[name] for key in policy.spec.obs if (name := key.replace(".", "/")) in modules}
    return {key: _seen(each) for key, each in found.items()} | {"action": _seen(normalizer.action)}


def action_scale(policy: Policy) -> np.ndarray:
    """The range (Da,) that errors are judged against: what was seen, or as stated where that is smaller.

    An element that never changed in training, and of which nothing is stated, counts as of range 1.
    """
    action, normalizer = policy.spec.action, policy.normalizer.action
    ranges = [np.full(action.size, np.inf)]
    if normalizer.mode != "identity":
        ranges.append(2.0 * normalizer.spread.cpu().numpy().astype(float))
    if action.low and action.high:
        ranges.append(np.subtract(action.high, action.low))
    usable = [np.where(np.isfinite(r) & (r > 0), r, np.inf) for r in ranges]
    smallest = np.minimum.reduce(usable)
    return np.where(np.isfinite(smallest), smallest, 1.0)


def _seen(normalizer: Any) -> SeenRange:
    assert isinstance(normalizer, VectorNormalizer)
    if normalizer.mode == "identity":
        return SeenRange("identity", (), ())
    centre, spread = (x.cpu().numpy().astype(float) for x in (normalizer.centre, normalizer.spread))
    return SeenRange(normalizer.mode, tuple((centre - spread).tolist()), tuple((centre + spread).tolist()))
