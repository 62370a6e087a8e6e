"""imitate export: a trained policy as one file that runs on a robot without torch.

    imitate export checkpoint=runs/pick out=pick.imitate data.path=demos.zarr

writes pick.imitate: the whole way from raw observations to physical actions as an ONNX graph, with what it
needs and gives, how well it was found to do, and recorded inputs and outputs to try when it is loaded:

    from imitate.runtime import open_bundle
    policy = open_bundle("pick.imitate").policy()
    chunk = policy.predict(observations, numpy.random.default_rng(0))

The file is written only if the export acts as the policy does on 1024 observations, up to a ten-thousandth of
the range of each action. Needs the extra "export":  pip install 'imitate[export]'.

Keys:
    checkpoint          a run folder (its best) or one checkpoint file
    out                 the file to write; one that is there is replaced at the end
    data.path           the demonstrations that it was trained on, to compare on; their states travel along,
                        for telling what the policy never saw. Without, it is rolled out in its environment
    evaluation          a rollout.json of this checkpoint, for the model card; by default one in the run's
                        folder or in a folder there
    precision           float32; float16: half the file, as fast; int8: a quarter of it, and faster. How far
                        from the policy that is, is said; what it costs, a rollout of the file tells:
                        imitate rollout checkpoint=pick.imitate out=runs/pick/int8
    compiled            true: machine code besides, for this kind of processor and this torch; it runs only
                        where the signature is checked:  imitate deploy … compiled=true public_key=FILE
    policy              settings to change in the trained policy, as for imitate rollout, such as
                        policy.inference_steps=1 policy.warm_start=0.3 policy.horizons.action_steps=15
    sign_with           a private key (PEM) to sign with:  openssl genpkey -algorithm ed25519 -out private.pem
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imitate.checkpoint import load_policy
from imitate.cli.command import Outcome
from imitate.datasets.loader import DataConfig
from imitate.export.bundle import Exported, export_policy
from imitate.export.card import errors
from imitate.export.precision import Precision
from imitate.progress import Progress
from imitate.runtime.manifest import FLOAT32


@dataclass(frozen=True)
class ExportData:
    """Where the demonstrations are, if they are to be looked at."""

    path: str | None = None


@dataclass(frozen=True)
class ExportCommand:
    """The settings of `imitate export`; see the module."""

    checkpoint: str
    out: str
    data: ExportData
    evaluation: str | None
    sign_with: str | None
    policy: Mapping[str, Any]
    precision: Precision = "float32"
    compiled: bool = False

    def run(self, progress: Progress) -> Outcome:
        """Export, and say what was written."""
        done = export_policy(
            load_policy(self.checkpoint, "cpu", self.policy),
            Path(self.out),
            data=DataConfig(self.data.path) if self.data.path else None,
            evaluation=self.evaluation,
            sign_with=Path(self.sign_with) if self.sign_with else None,
            precision=self.precision,
            machine_code=self.compiled,
            progress=progress,
        )
        return Outcome(_summary(done), _lines(done))


def _summary(done: Exported) -> dict[str, object]:
    known = done.manifest.provenance
    return {
        "out": str(done.path),
        "bytes": done.size,
        "parity": dict(done.manifest.parity),
        "precision": done.manifest.precision,
        "compiled": done.manifest.compiled,
        "noise_size": done.manifest.noise_size,
        "checkpoint_hash": known["checkpoint_hash"],
        "evaluation": known["evaluation"],
        "signed": done.signed,
    }


def _lines(done: Exported) -> list[str]:
    parity, found = done.manifest.parity, done.manifest.provenance["evaluation"]
    precision = done.manifest.precision
    quality = "no evaluation of this checkpoint was found: see  imitate export --help"
    if found:
        low, high = found["interval"]
        quality = f"success {found['success_rate']:.3f}  [{low:.3f}, {high:.3f}] 95 %  in simulation"
        quality += (
            ""
            if precision == FLOAT32
            else f", in float32; this file:  imitate rollout checkpoint={done.path}"
        )
    return [
        f"exported  {done.path}, {done.size / 1e6:.1f} MB" + (", signed" if done.signed else ", not signed"),
        f"compared  {parity['observations']} observations, {parity['source']}: "
        + ("largest error " if precision == FLOAT32 else f"in {precision} ")
        + errors(parity),
        f"quality   {quality}",
    ]
