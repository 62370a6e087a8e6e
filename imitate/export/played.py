"""An exported policy behind the contract of a policy: a rollout then says how well the file itself acts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imitate.checkpoint import CheckpointInfo, LoadedPolicy
from imitate.datasets.used_seeds import UsedSeeds
from imitate.errors import BundleError, ConfigError
from imitate.normalize import Normalizer
from imitate.policy import Generator, Horizons, Policy, draw_noise
from imitate.runtime import Bundle, open_bundle
from imitate.types import ActionChunk, Batch


class ExportedPolicy(Policy):
    """The policy of `bundle`, on the CPU, one row after the other; it cannot learn."""

    def __init__(self, bundle: Bundle) -> None:
        """Load the graph; raises BundleError where it acts otherwise here than when it was exported."""
        manifest = bundle.manifest
        super().__init__(manifest.spec, Horizons(*manifest.horizons), Normalizer(manifest.spec, "identity"))
        self._bundle, self._acting = bundle, bundle.policy()
        self.plan_steps = self._acting.plan_steps

    def __reduce__(self) -> tuple[Any, ...]:
        """A session of onnxruntime cannot be sent to another process; what it was made from can."""
        return ExportedPolicy, (self._bundle,)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """See Policy; raises ConfigError always."""
        raise ConfigError(f"{self._bundle.path} is an exported policy, which cannot learn")

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """See Policy; the noise of a row is drawn at once."""
        device = next(iter(obs.values())).device
        seen = {key: obs[key].cpu().numpy() for key in self._acting.observed if key in obs}
        rows = len(next(iter(seen.values())))
        noise = draw_noise((rows, self._acting.noise_size), generator, torch.device("cpu")).numpy()
        chunks = [
            self._acting.predict_with({key: value[row] for key, value in seen.items()}, noise[row])
            for row in range(rows)
        ]
        return ActionChunk(torch.from_numpy(np.stack(chunks)).to(device))


def load_exported(path: Path | str) -> LoadedPolicy:
    """The policy of the bundle `path`, with what it says of its training; raises what opening it raises."""
    bundle = open_bundle(path)
    try:
        info = _info(bundle)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{path}: its provenance is malformed: {error!r}") from error
    return LoadedPolicy(ExportedPolicy(bundle).eval(), info, Path(path))


def _info(bundle: Bundle) -> CheckpointInfo:
    manifest, known = bundle.manifest, bundle.manifest.provenance
    used = known.get("used_seeds")
    return CheckpointInfo(
        policy=dict(known["policy"]),
        env=known["env"],
        spec=manifest.spec,
        horizons=Horizons(*manifest.horizons),
        normalizers={},
        data_hash=known["data_hash"],
        seeds={},
        step=int(known["step"]),
        metrics=dict(known["metrics"]),
        commit=known["training_commit"],
        used_seeds=None if used is None else tuple(UsedSeeds.from_json(one) for one in used),
    )
