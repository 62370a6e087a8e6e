"""A checkpoint of a policy that has learnt nothing: it moves, and succeeds at nothing."""

import dataclasses
from pathlib import Path

import reaching
import torch

from imitate.checkpoint import describe, save
from imitate.env import EnvConfig
from imitate.instruction import WORDS
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec


def checkpoint(folder: Path, env: EnvConfig | None = None, sentences: tuple[str, ...] = ()) -> Path:
    """Write it to `folder`; by default for tabletop/reach, with attempts of 2 s.

    With `sentences` it listens, as if it had been trained on them.
    """
    torch.manual_seed(0)
    env = env or reaching.config(max_steps=20)
    config = BehaviourCloningConfig(horizons=Horizons(2, 8, 4), width=16)
    spec = env.build().data_spec
    if sentences:
        heard = ArraySpec((16,), encoder=WORDS, sentences=sentences)
        spec = dataclasses.replace(spec, obs={**spec.obs, "instruction": heard})
    policy = config.build(spec)
    info = describe(config, policy, env, data_hash="none", seeds={}, step=0, metrics={}, training={})
    file = folder / "best.safetensors"
    save(file, {f"ema/{name}": value for name, value in policy.state_dict().items()}, info)
    return file
