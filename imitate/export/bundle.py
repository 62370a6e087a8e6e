"""From a checkpoint to one file that acts without torch, written only once it was found to act the same."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from imitate.checkpoint import LoadedPolicy
from imitate.datasets.loader import DataConfig
from imitate.errors import ConfigError, import_extra, nearest
from imitate.export.card import model_card
from imitate.export.compiling import compiled, require_compiler
from imitate.export.description import action_scale, manifest, seen_ranges
from imitate.export.evidence import find_evaluation
from imitate.export.observations import observations, vectors
from imitate.export.parity import Parity, compare
from imitate.export.precision import Precision, lowered
from imitate.export.tracing import Acting, to_onnx
from imitate.export.writing import arrays, private_key, require_writable, write_bundle
from imitate.progress import SILENT, Progress
from imitate.runtime.compiled import here
from imitate.runtime.manifest import CARD, COMPILED, GOLDEN, MODEL, OBSERVATIONS, Manifest
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
    machine_code: bool = False,
    compared: int = COMPARED,
    progress: Progress = SILENT,
) -> Exported:
    """Write the policy `loaded` to the file `out`, which is replaced whole or not at all.

    `data` are the demonstrations that it was trained on; windows of them are compared, and their states
    travel along. `evaluation` is a rollout.json of this checkpoint. Raises BundleError where the export acts
    otherwise than the policy on one of `compared` observations (a graph of lower `precision` may differ more,
    see imitate.export.parity), or the key is none; MissingExtraError without the extra "export"; ConfigError
    for `machine_code` without a compiler; what `observations` and `find_evaluation` raise.
    """
    if precision not in get_args(Precision):
        raise ConfigError(f"precision is {precision!r}{nearest(precision, get_args(Precision))}")
    if machine_code:
        require_compiler()
    import_extra("onnxruntime", "export")
    require_writable(out)
    key = private_key(sign_with) if sign_with is not None else None
    found = find_evaluation(loaded, evaluation)
    acting = Acting(loaded.policy.cpu())
    with observations(loaded, data, seen_ranges(loaded.policy), progress) as source:
        graphs = _graphs(acting, precision, machine_code, progress)
        exact, smaller = graphs.policies(manifest(loaded, acting.noise_size, _unproven(loaded), "", None))
        scale = action_scale(loaded.policy)
        parity = compare(acting, exact, smaller, source.batches, compared, scale, progress)
        parts = {**graphs.parts, GOLDEN: arrays(parity.golden)}
        if source.data is not None:
            parts[OBSERVATIONS] = arrays(vectors(source.data))
    described = manifest(
        loaded, acting.noise_size, parity, source.description, found, precision, graphs.made_for
    )
    parts[CARD] = model_card(described).encode()
    write_bundle(out, described, parts, key)
    return Exported(out, described, out.stat().st_size, key is not None)


@dataclass(frozen=True)
class _Graphs:
    """The policy as an ONNX graph; in lower precision and as machine code, where that was asked for."""

    whole: bytes
    precision: Precision
    smaller: bytes | None
    code: bytes | None
    made_for: dict[str, Any] | None

    @property
    def parts(self) -> dict[str, bytes]:
        """What goes into the file."""
        model = {MODEL: self.whole if self.smaller is None else self.smaller}
        return model if self.code is None else {**model, COMPILED: self.code}

    def policies(self, described: Manifest) -> tuple[list[BundlePolicy], BundlePolicy | None]:
        """Those that act as the policy does, and the one of lower precision."""
        exact = [BundlePolicy(described, self.whole)]
        if self.code is not None:
            exact.append(BundlePolicy(replace(described, compiled=self.made_for), b"", compiled=self.code))
        if self.smaller is None:
            return exact, None
        return exact, BundlePolicy(replace(described, precision=self.precision), self.smaller)


def _graphs(acting: Acting, precision: Precision, machine_code: bool, progress: Progress) -> _Graphs:
    with progress.task("exporting", 1 + machine_code, "graphs") as task:
        whole = to_onnx(acting)
        task.advance()
        code = compiled(acting) if machine_code else None
        if machine_code:
            task.advance()
    made_for = {**here(), "inputs": acting.names} if machine_code else None
    smaller = None if precision == "float32" else lowered(whole, precision)
    return _Graphs(whole, precision, smaller, code, made_for)


def _unproven(loaded: LoadedPolicy) -> Parity:
    return Parity(0, action_scale(loaded.policy) * 0)
