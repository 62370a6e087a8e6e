"""Checkpoints of small policies, and how tests export them: short sampling loops, few comparisons."""

import dataclasses
from pathlib import Path
from typing import Any

import torch
import yaml
from small_policies import make_batch, shrunk, statistics, teacher_for, train

from imitate import checkpoint
from imitate.checkpoint import BEST, LoadedPolicy, describe, load_policy
from imitate.parts import from_json
from imitate.policy import Policy, PolicyConfig, TaughtPolicy
from imitate.types import DataSpec

# The exporter takes as long as the loop has steps, which all are alike.
SHORT: dict[str, dict[str, Any]] = {
    "DiffusionConfig": {"inference_steps": 2},
    "FlowConfig": {"inference_steps": 2},
    "NoiseConfig": {"steps": 3},
}


def short(config: Any) -> Any:
    """The config with few steps of sampling."""
    nested = {
        f.name: short(getattr(config, f.name))
        for f in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, f.name))
        and not isinstance(getattr(config, f.name), DataSpec)
    }
    return dataclasses.replace(config, **nested, **SHORT.get(type(config).__name__, {}))


def small_config(file: Path) -> PolicyConfig:
    return short(shrunk(from_json(yaml.safe_load(file.read_text()), "policy")))


def trained(config: PolicyConfig, spec: DataSpec, steps: int = 20) -> Policy:
    """A policy that has learnt a little, so that no layer is still at zero."""
    torch.manual_seed(0)
    policy = config.build(spec)
    policy.normalizer.fit(statistics())
    if isinstance(policy, TaughtPolicy):
        policy.learn_from(teacher_for(config))  # type: ignore[arg-type]
    policy.prepare([make_batch(config, 64)])
    train(policy, make_batch(config, 16), steps, torch.optim.AdamW(policy.parameters(), lr=3e-3))
    return policy.eval()


def saved(policy: Policy, config: PolicyConfig, folder: Path, data_hash: str = "d" * 64) -> LoadedPolicy:
    """`policy` from a checkpoint in `folder`, which a run would have written."""
    info = describe(
        config, policy, None, data_hash=data_hash, seeds={"train": 0}, step=20, metrics={}, training={}
    )
    folder.mkdir(parents=True, exist_ok=True)
    weights = {f"{kind}/{name}": t for kind in ("live", "ema") for name, t in policy.state_dict().items()}
    checkpoint.save(folder / BEST, weights, info)
    return load_policy(folder)
