"""A policy ready to act on a robot: from a bundle without torch, or from a checkpoint with it."""

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imitate.deploy.inference import Obs, Predictor
from imitate.errors import BundleError, CheckpointError, ConfigError
from imitate.runtime import BundlePolicy, open_bundle
from imitate.serving.access import ClientTlsConfig
from imitate.serving.client import PolicyClient
from imitate.spec import DataSpec

SERVERS = ("ws://", "wss://")
TOKEN_VARIABLE = "IMITATE_TOKEN"
"""Of the environment: the token for a policy server. Settings would be seen by others and be recorded."""

ZIP = b"PK\x03\x04"
OBSERVATIONS = "observations.npz"
WARM_UP_RUNS = 10
"""The first runs are slower, and the robot may be armed as soon as the policy is loaded."""


@dataclass(frozen=True)
class Loaded:
    """A predictor and where it comes from.

    origin: plain JSON (file, kind, hashes). env: the environment it was trained for, a part in JSON, None if
    unknown. training, held_out: states (n, D) of the demonstrations, in the order of the predictor's
    spec.states(), None where the file has none.
    """

    predictor: Predictor
    origin: Mapping[str, Any]
    env: Mapping[str, Any] | None = None
    training: np.ndarray | None = None
    held_out: np.ndarray | None = None


def load_predictor(
    path: str,
    public_key: str | None = None,
    threads: int = 1,
    compiled: bool = False,
    tls: ClientTlsConfig | None = None,
) -> Loaded:
    """Load the bundle, checkpoint or run folder at `path`, or reach the policy server at ws://HOST:PORT.

    `compiled` runs the machine code in a bundle; `tls` is for a server at wss://…. Raises CheckpointError
    where there is no policy, ConfigError for `tls` where it means nothing, and what opening raises.
    """
    if path.startswith(SERVERS) and compiled:
        raise CheckpointError(f"compiled=true, but {path} is a server: say it there, to  imitate serve")
    if tls is not None and tls.is_set and not path.startswith("wss://"):
        raise ConfigError(f"tls is set, but policy={path} is no server at wss://HOST:PORT")
    if path.startswith(SERVERS):
        return _from_server(path, tls)
    file = Path(path)
    if not file.exists():
        raise CheckpointError(f"policy {path}: there is no such file or folder")
    if file.is_file() and file.open("rb").read(4) == ZIP:
        return _from_bundle(file, public_key, threads, compiled)
    if compiled:
        raise CheckpointError(f"compiled=true, but {path} is no bundle: run  imitate export … compiled=true")
    if public_key is not None:
        raise CheckpointError(f"policy {path} is no bundle, so it has no signature: run  imitate export")
    return _from_checkpoint(file)


class CheckpointPredictor:
    """A checkpoint's policy behind the Predictor contract."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy
        self.spec: DataSpec = policy.spec
        self.obs_steps: int = policy.horizons.obs_steps
        self.action_steps: int = policy.horizons.action_steps
        self.plan_steps: int = policy.plan_steps

    def warm_up(self) -> None:
        """Infer some times from nothing."""
        blank = {
            key: np.zeros((self.obs_steps, *array.shape), array.dtype) for key, array in self.spec.obs.items()
        }
        for _ in range(WARM_UP_RUNS):
            self.predict(blank, np.random.default_rng(0))

    def predict(self, obs: Obs, rng: np.random.Generator) -> np.ndarray:
        """See Predictor."""
        import torch

        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        batch = {key: torch.from_numpy(np.ascontiguousarray(value))[None] for key, value in obs.items()}
        chunk: np.ndarray = self.policy.predict(batch, generator).values[0].float().cpu().numpy()
        return chunk


class _ServedPredictor:
    """A policy server behind the Predictor contract."""

    def __init__(self, client: PolicyClient) -> None:
        self._client, self.origin = client, client.origin
        self.spec, self.obs_steps, self.action_steps = client.spec, client.obs_steps, client.action_steps
        self.plan_steps = client.plan_steps

    def predict(self, obs: Obs, rng: np.random.Generator) -> np.ndarray:
        """See Predictor."""
        return self._client.predict(obs, int(rng.integers(2**63)))


class _BundlePredictor:
    """A bundle's policy behind the Predictor contract."""

    def __init__(self, policy: BundlePolicy) -> None:
        self._policy = policy
        self.spec = policy.spec
        self.obs_steps, self.action_steps = policy.horizons.obs_steps, policy.horizons.action_steps
        self.plan_steps = policy.plan_steps

    def predict(self, obs: Obs, rng: np.random.Generator) -> np.ndarray:
        """See Predictor."""
        return self._policy.predict(obs, rng)


def _from_bundle(file: Path, public_key: str | None, threads: int, compiled: bool) -> Loaded:
    bundle = open_bundle(file, public_key)
    provenance = bundle.manifest.provenance
    origin = {
        "file": str(file),
        "kind": "bundle",
        "bundle_hash": hashlib.sha256(file.read_bytes()).hexdigest(),
        "is_signed": bundle.is_signed,
        "checkpoint_hash": provenance.get("checkpoint_hash"),
        "data_hash": provenance.get("data_hash"),
    }
    predictor = _BundlePredictor(bundle.policy(threads, WARM_UP_RUNS, compiled))
    observations = bundle.part(OBSERVATIONS)
    if observations is None:
        return Loaded(predictor, origin, provenance.get("env"))
    with np.load(io.BytesIO(observations), allow_pickle=False) as arrays:
        order = _order(arrays["columns"].tolist(), predictor.spec.states(), file)
        train, held_out = arrays["train"][:, order], arrays["held_out"][:, order]
    return Loaded(predictor, origin, provenance.get("env"), train, held_out)


def _from_server(url: str, tls: ClientTlsConfig | None) -> Loaded:
    context = None if tls is None else tls.build()
    predictor = _ServedPredictor(PolicyClient(url, os.environ.get(TOKEN_VARIABLE), tls=context))
    return Loaded(predictor, {**predictor.origin, "kind": "server", "url": url})


def _order(columns: list[str], wanted: tuple[str, ...], file: Path) -> list[int]:
    """Where in `columns` the `wanted` ones stand: the manifest does not keep the order of observations."""
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise BundleError(
            f"policy {file}: {OBSERVATIONS} has no column {missing[0]}: export the policy again"
        )
    return [columns.index(name) for name in wanted]


def _from_checkpoint(file: Path) -> Loaded:
    try:
        from imitate.checkpoint import checkpoint_hash, load_policy
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"policy {file} is a checkpoint, which needs {error.name}: install imitate as a whole, or make a "
            "bundle of it where that is installed:  imitate export"
        ) from error
    loaded = load_policy(file)
    origin = {
        "file": str(loaded.file),
        "kind": "checkpoint",
        "checkpoint_hash": checkpoint_hash(loaded.file),
        "data_hash": loaded.info.data_hash,
    }
    predictor = CheckpointPredictor(loaded.policy)
    predictor.warm_up()
    return Loaded(predictor, origin, loaded.info.env)
