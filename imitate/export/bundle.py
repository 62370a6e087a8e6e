"""From a checkpoint to one file that acts without torch, written only once it was found to act the same."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from imitate.checkpoint import LoadedPolicy
from imitate.datasets.loader import DataConfig
from imitate.errors import ConfigError, import_extra, nearest
from imitate.export.card import model_card
from imitate.export.description import action_scale, manifest, seen_ranges
from imitate.export.evidence import find_evaluation
from imitate.export.observations import observations, vectors
from imitate.export.parity import Parity, compare
from imitate.export.precision import Precision, lowered
from imitate.export.tracing import Acting, to_onnx
from imitate.export.writing import arrays, private_key, require_writable, write_bundle
from imitate.progress import SILENT, Progress
from imitate.runtime.manifest import CARD, GOLDEN, MODEL, OBSERVATIONS, Manifest
from imitate.runtime.policy import BundlePolicy

COMPARED = 1024


@dataclass(frozen=True)
class Exported:
    """The file that was written, its manifest, and its size in bytes."""

    path: Path
    manifest: Manifest
    size: int
    signed: bool


def export_policy(
    loaded: LoadedPolicy,
    out: Path,
    *,
    data: DataConfig | None = None,
    evaluation: str | None = None,
    sign_with: Path | None = None,
    precision: Precision = "float32",
    compared: int = COMPARED,
    progress: Progress = SILENT,
) -> Exported:
    """Write the policy `loaded` to the file `out`, which is replaced whole or not at all.

    `data` are the demonstrations that it was trained on; windows of them are compared, and their states
    travel along. `evaluation` is a rollout.json of this checkpoint. Raises BundleError where the export acts
    otherwise than the policy on one of `compared` observations (a graph of lower `precision` may differ more,
    see imitate.export.parity), or the key is none; MissingExtraError without the extra "export"; what
    `observations` and `find_evaluation` raise.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision is {precision!r}{nearest(precision, get_args(Precision))}")
    import_extra("onnxruntime", "export")
    require_writable(out)
    key = private_key(sign_with) if sign_with is not None else None
    found = find_evaluation(loaded, evaluation)
    acting = Acting(loaded.policy.cpu())
    with observations(loaded, data, seen_ranges(loaded.policy), progress) as source:
        model = _traced(acting, progress)
        smaller = None if precision == "float32" else lowered(model, precision)
        policies = _policies(loaded, acting, precision, model, smaller)
        scale = action_scale(loaded.policy)
        parity = compare(acting, *policies, source.batches, compared, scale, progress)
        model = smaller or model
        parts = {MODEL: model, GOLDEN: arrays(parity.golden)}
        if source.data is not None:
            parts[OBSERVATIONS] = arrays(vectors(source.data))
    described = manifest(loaded, acting.noise_size, parity, source.description, found, precision)
    parts[CARD] = model_card(described).encode()
    write_bundle(out, described, parts, key)
    return Exported(out, described, out.stat().st_size, key is not None)


def _traced(acting: Acting, progress: Progress) -> bytes:
    with progress.task("exporting", 1, "graphs") as task:
        model = to_onnx(acting)
        task.advance()
    return model


def _policies(
    loaded: LoadedPolicy, acting: Acting, precision: Precision, model: bytes, smaller: bytes | None
) -> tuple[BundlePolicy, BundlePolicy | None]:
    """What onnxruntime makes of the graph, and of the one in lower precision where there is one."""
    unproven = Parity(0, action_scale(loaded.policy) * 0)
    described = manifest(loaded, acting.noise_size, unproven, "", None)
    exact = BundlePolicy(described, model)
    if smaller is None:
        return exact, None
    return exact, BundlePolicy(replace(described, precision=precision), smaller)
