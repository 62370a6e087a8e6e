"""Checkpoints: one safetensors file holding weights, and everything needed to rebuild the policy around them.

Tensors are named by what they belong to: `live/…` the trained weights, `ema/…` their running average (what
acts), and in a run's `last` also `optim/…`. A JSON document in the file's metadata says which policy,
observations and actions, data and run they come from. Nothing is ever unpickled, and a file is replaced
whole or not at all.
"""

import functools
import hashlib
import json
import os
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from imitate import __version__
from imitate.env import EnvConfig
from imitate.errors import CheckpointError, ConfigError, SpecError
from imitate.normalize import VectorNormalizer
from imitate.parts import from_json, to_json
from imitate.policy import Horizons, Policy, PolicyConfig
from imitate.types import DataSpec

FORMAT_VERSION = 1
BEST, LAST = "best.safetensors", "last.safetensors"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself.

    policy and env are parts in their JSON form (see imitate.parts), env None where training knew none.
    normalizers gives the mode of every vector normaliser by module name. data_hash is the content hash of
    the demonstrations. `training` is where the run stood, for resuming it. commit is that of imitate's own
    checkout, None where it was installed otherwise.
    """

    policy: Mapping[str, Any]
    env: Mapping[str, Any] | None
    spec: DataSpec
    horizons: Horizons
    normalizers: Mapping[str, str]
    data_hash: str
    seeds: Mapping[str, int]
    step: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    commit: str | None = None
    imitate: str = __version__

    def env_config(self) -> EnvConfig | None:
        """The environment that the policy was trained for; raises ConfigError where it is not known here."""
        return None if self.env is None else from_json(self.env, "env")

    def to_json(self) -> dict[str, Any]:
        """A dictionary of plain JSON values; `from_json` is its inverse."""
        return {**asdict(self), "spec": self.spec.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "CheckpointInfo":
        """Read what `to_json` wrote; raises TypeError, KeyError, SpecError or ConfigError where malformed."""
        known = {
            **value,
            "spec": DataSpec.from_json(value["spec"]),
            "horizons": Horizons(**value["horizons"]),
        }
        return cls(**known)


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy ready to act (averaged weights, evaluation mode), and the file it came from."""

    policy: Policy
    info: CheckpointInfo
    file: Path


def describe(
    config: PolicyConfig,
    policy: Policy,
    env: EnvConfig | None,
    *,
    data_hash: str,
    seeds: Mapping[str, int],
    step: int,
    metrics: Mapping[str, float],
    training: Mapping[str, Any],
) -> CheckpointInfo:
    """The information to save with `policy`, which was built from `config`."""
    return CheckpointInfo(
        policy=to_json(config),
        env=None if env is None else to_json(env),
        spec=policy.spec,
        horizons=policy.horizons,
        normalizers=normalizer_modes(policy),
        data_hash=data_hash,
        seeds=dict(seeds),
        step=step,
        metrics=dict(metrics),
        training=dict(training),
        commit=commit(),
    )


def normalizer_modes(policy: Policy) -> dict[str, str]:
    """The mode of every vector normaliser of `policy`, by module name."""
    return {name: m.mode for name, m in policy.named_modules() if isinstance(m, VectorNormalizer)}


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that imitate runs from, "-dirty" where it was changed; None elsewhere."""
    here = Path(__file__).resolve().parent
    # An installed package may lie inside somebody else's repository, whose commit would say nothing.
    if not _git(here, "ls-files", "checkpoint.py"):
        return None
    return _git(here, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*") or None


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def save(path: Path, tensors: Mapping[str, Tensor], info: CheckpointInfo) -> None:
    """Write `tensors` and `info` to `path`, which holds the old or the new file whole, never a part.

    Raises CheckpointError where the file cannot be written; what stood there before is then kept.
    """
    # Copies, since tied weights share memory and one file may not hold the same memory twice.
    whole = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}
    document = json.dumps(
        {"info": info.to_json(), "crc32": {name: _crc(value) for name, value in whole.items()}}
    )
    metadata = {
        "imitate_checkpoint": str(FORMAT_VERSION),
        "document": document,
        "document_crc32": str(zlib.crc32(document.encode())),
    }
    # The name is fixed, so that a killed run leaves at most one such file, and the next save takes its place.
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        save_file(whole, unfinished, metadata)
        _flush(unfinished)
        unfinished.replace(path)
        _flush(path.parent)
    except (OSError, SafetensorError) as error:
        unfinished.unlink(missing_ok=True)
        raise CheckpointError(f"checkpoint {path} cannot be written: {error}") from error


def _crc(tensor: Tensor) -> int:
    return zlib.crc32(tensor.flatten().view(torch.uint8).numpy().data)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoint_file(path: Path | str) -> Path:
    """The file that `path` means: itself, or a run folder's best, or its last where there is no best yet."""
    path = Path(path)
    if path.is_file():
        return path
    if not path.exists():
        raise CheckpointError(f"checkpoint {path}: there is no such file or folder")
    for name in (BEST, LAST):
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"checkpoint {path}: the folder holds neither {BEST} nor {LAST}")


def checkpoint_hash(path: Path | str) -> str:
    """The SHA-256 of the checkpoint that `path` means, as 64 hexadecimal digits."""
    with checkpoint_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, prefix: str = "") -> tuple[CheckpointInfo, dict[str, Tensor]]:
    """The information of a file and its tensors under `prefix` ("ema/"; all by default), prefix removed.

    Raises CheckpointError where the file is missing, truncated, damaged, foreign or from a newer format.
    """
    try:
        with safe_open(path, "pt") as file:
            info, checksums = _read_document(path, file.metadata() or {})
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {path}: there is no such file") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"checkpoint {path} is truncated, damaged or no checkpoint: {error}") from error
    for name in sorted(name for name in {*tensors, *checksums} if name.startswith(prefix)):
        if name not in tensors:
            raise CheckpointError(f"checkpoint {path} is damaged: {name} is missing")
        if _crc(tensors[name]) != checksums.get(name):
            raise CheckpointError(f"checkpoint {path} is damaged: the checksum of {name} is wrong")
    return info, {name.removeprefix(prefix): value for name, value in tensors.items()}


def _read_document(path: Path, metadata: Mapping[str, str]) -> tuple[CheckpointInfo, dict[str, int]]:
    version = metadata.get("imitate_checkpoint")
    if version is None:
        raise CheckpointError(f"checkpoint {path} is a safetensors file, but not one that imitate wrote")
    if version != str(FORMAT_VERSION):
        raise CheckpointError(
            f"checkpoint {path} has format version {version}, expected {FORMAT_VERSION}: "
            "load it with the version of imitate that wrote it"
        )
    text = metadata.get("document", "")
    if metadata.get("document_crc32") != str(zlib.crc32(text.encode())):
        raise CheckpointError(f"checkpoint {path} is damaged: the checksum of its description is wrong")
    try:
        document = json.loads(text)
        return CheckpointInfo.from_json(document["info"]), document["crc32"]
    except (ValueError, KeyError, TypeError, SpecError, ConfigError) as error:
        raise CheckpointError(f"checkpoint {path} has a malformed description: {error!r}") from error


def load_policy(path: Path | str, device: torch.device | str = "cpu") -> LoadedPolicy:
    """The policy of a checkpoint with its averaged weights, in evaluation mode on `device`.

    `path` is a run folder (its best, else its last) or one file. Raises CheckpointError, naming file and key,
    for a file that is damaged or does not fit the policy it describes.
    """
    file = checkpoint_file(path)
    info, tensors = read(file, "ema/")
    try:
        policy: Policy = from_json(info.policy, "policy").build(info.spec)
    except (ConfigError, SpecError) as error:
        raise CheckpointError(
            f"checkpoint {file} holds a policy that cannot be built here: {error}"
        ) from error
    _require_same(file, "normaliser", info.normalizers, normalizer_modes(policy))
    load_weights(file, policy, tensors)
    return LoadedPolicy(policy.to(device).eval().requires_grad_(False), info, file)


def load_weights(file: Path, policy: Policy, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors`, read from `file`, into `policy`; raises CheckpointError naming what does not fit."""
    _require_same(file, "weight", _shown(tensors), _shown(policy.state_dict()))
    policy.load_state_dict(dict(tensors))


def _shown(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)}" for name, t in tensors.items()}


def _require_same(file: Path, what: str, found: Mapping[str, str], expected: Mapping[str, str]) -> None:
    for key in sorted({*found, *expected}):
        if found.get(key) != expected.get(key):
            raise CheckpointError(
                f"checkpoint {file}: {what} {key!r} is {found.get(key, 'absent')}, "
                f"expected {expected.get(key, 'no such key')}"
            )
