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
import shutil
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from imitate import __version__
from imitate.datasets.used_seeds import UsedSeeds
from imitate.env import EnvConfig
from imitate.errors import CheckpointError, ConfigError, SpecError
from imitate.normalize import VectorNormalizer
from imitate.parts import from_json, to_json
from imitate.policy import Horizons, Policy, PolicyConfig
from imitate.types import DataSpec

FORMAT_VERSION = 1
METADATA_KEY = "imitate_checkpoint"
BEST, LAST = "best.safetensors", "last.safetensors"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says about itself.

    policy and env are parts in their JSON form (see imitate.parts), env None where training knew none.
    normalizers gives the mode of every vector normaliser by module name. data_hash is the content hash of
    the demonstrations, used_seeds the starts that the policy has met, None where the file does not say.
    `training` is where the run stood, for resuming it. commit is that of imitate's own checkout, None where
    it was installed otherwise.
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
    used_seeds: tuple[UsedSeeds, ...] | None = None

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
        if (used := value.get("used_seeds")) is not None:
            known["used_seeds"] = tuple(UsedSeeds.from_json(one) for one in used)
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
    used_seeds: tuple[UsedSeeds, ...] | None = None,
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
        used_seeds=used_seeds,
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
    checksums = {name: _crc(value) for name, value in whole.items()}
    about = info.to_json()
    document = {"version": FORMAT_VERSION, "info": about, "info_crc32": _json_crc(about), "crc32": checksums}
    # One entry only: safetensors writes several in random order, and equal states would give unequal files.
    metadata = {METADATA_KEY: json.dumps(document)}
    try:
        with _workshop(path) as folder:
            save_file(whole, folder / path.name, metadata)
            # safetensors makes files that only their owner may read; a folder follows the user's umask.
            (folder / path.name).chmod(folder.stat().st_mode & 0o666)
            _flush(folder / path.name)
            (folder / path.name).replace(path)
            _flush(path.parent)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be written: {error}") from error


@contextmanager
def _workshop(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`; its name is fixed, so that the next save removes what a kill left."""
    folder = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _crc(tensor: Tensor) -> int:
    return zlib.crc32(tensor.flatten().view(torch.uint8).numpy().data)


def _json_crc(value: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(value).encode())


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
            info, checksums = _read_document(path, (file.metadata() or {}).get(METADATA_KEY))
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


def _read_document(path: Path, text: str | None) -> tuple[CheckpointInfo, dict[str, int]]:
    if text is None:
        raise CheckpointError(f"checkpoint {path} is a safetensors file, but not one that imitate wrote")
    try:
        document = json.loads(text)
        if document["version"] != FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint {path} has format version {document['version']}, expected {FORMAT_VERSION}: "
                "load it with the version of imitate that wrote it"
            )
        if document["info_crc32"] != _json_crc(document["info"]):
            raise CheckpointError(f"checkpoint {path} is damaged: the checksum of its description is wrong")
        return CheckpointInfo.from_json(document["info"]), dict(document["crc32"])
    except (ValueError, KeyError, TypeError, AttributeError, SpecError, ConfigError) as error:
        raise CheckpointError(f"checkpoint {path} has a malformed description: {error!r}") from error


def load_policy(
    path: Path | str, device: torch.device | str = "cpu", changes: Mapping[str, Any] | None = None
) -> LoadedPolicy:
    """The policy of a checkpoint with its averaged weights, in evaluation mode on `device`.

    `path` is a run folder (its best, else its last) or one file. `changes` are settings to act with in place
    of those it was trained with ({"inference_steps": 2}), as far as the weights fit. Raises CheckpointError,
    naming file and key, for a file that is damaged or does not fit the policy it describes, and ConfigError
    for changes that the policy does not know.
    """
    file = checkpoint_file(path)
    info, tensors = read(file, "ema/")
    if changes:
        info = replace(info, policy=_changed(info.policy, changes))
        policy: Policy = from_json(info.policy, "policy").build(info.spec)
        info = replace(info, horizons=policy.horizons)
    else:
        policy = _built(file, info)
    _require_same(file, "normaliser", info.normalizers, normalizer_modes(policy))
    load_weights(file, policy, tensors)
    return LoadedPolicy(policy.to(device).eval().requires_grad_(False), info, file)


def _built(file: Path, info: CheckpointInfo) -> Policy:
    try:
        policy: Policy = from_json(info.policy, "policy").build(info.spec)
    except (ConfigError, SpecError) as error:
        raise CheckpointError(
            f"checkpoint {file} holds a policy that cannot be built here: {error}"
        ) from error
    return policy


def _changed(part: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`part` with `changes` made key by key, nested parts included."""
    return {
        **part,
        **{
            key: _changed(part[key], value)
            if isinstance(value, Mapping) and isinstance(part.get(key), Mapping)
            else value
            for key, value in changes.items()
        },
    }


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
