"""Where a result comes from: enough to repeat it, and to see why a repetition differs."""

import functools
import hashlib
import os
import platform
import re
import shlex
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import imitate
from imitate import __version__
from imitate.checkpoint import LoadedPolicy, checkpoint_hash, commit
from imitate.env import EnvConfig
from imitate.evaluation.seeds import SeedCheck
from imitate.parts import to_json
from imitate.rollout import RolloutConfig

SOURCES = {".py", ".xml"}
"""What a rollout depends on: code, and the models of our own simulations."""


def provenance(
    loaded: LoadedPolicy,
    env: EnvConfig,
    config: RolloutConfig,
    device: torch.device,
    seeds: SeedCheck | None = None,
) -> dict[str, Any]:
    """All that determined a rollout, as plain JSON values; the time is in UTC.

    `seeds` says whether its starts were new to the policy.
    """
    return {
        "versions": versions(),
        "commit": commit(),
        "code_hash": code_hash(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "platform": platform.platform(),
        "checkpoint": str(loaded.file),
        "checkpoint_hash": checkpoint_hash(loaded.file),
        "training_step": loaded.info.step,
        "training_commit": loaded.info.commit,
        "data_hash": loaded.info.data_hash,
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "env": to_json(env),
        "policy": dict(loaded.info.policy),
        "rollout": to_json(config),
        "training_seeds": dict(loaded.info.seeds),
        "seeds": None if seeds is None else seeds.to_json(),
    }


@functools.cache
def code_hash() -> str:
    """SHA-256 over the sources of imitate: what a commit cannot say of a changed or installed copy."""
    root = Path(imitate.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(path for path in root.rglob("*") if path.suffix in SOURCES):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Versions of Python, imitate and every installed package that imitate or one of its extras asks for."""
    found = {"python": platform.python_version(), "imitate": __version__}
    requirements = metadata.requires("imitate") or []
    for requirement in [line for line in requirements if 'extra == "dev"' not in line]:
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def device_name(device: torch.device) -> str:
    """The processor in words, with how many cores may be used."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_cpu_name()}, {usable_cores()} cores"


def usable_cores() -> int:
    """How many CPU cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()
