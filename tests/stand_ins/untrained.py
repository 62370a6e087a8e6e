"""A checkpoint of a policy that has learnt nothing: it moves, and succeeds at nothing."""

from pathlib import Path

import reaching
import torch

from imitate.checkpoint import describe, save
from imitate.env import EnvConfig
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons


def checkpoint(folder: Path, env: EnvConfig | None = None) -> Path:
    """Write it to `folder`; by default for tabletop/reach, with attempts of 2 s."""
    torch.manual_seed(0)
    env = env or reaching.config(max_steps=20)
    config = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), width=16)
    policy = config.build(env.build().data_spec)
    info = describe(config, policy, env, data_hash="none", seeds={}, step=0, metrics={}, training={})
    file = folder / "best.safetensors"
    save(file, {f"ema/{name}": value for name, value in policy.state_dict().items()}, info)
    return file
