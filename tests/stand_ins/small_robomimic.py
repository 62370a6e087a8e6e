"""robomimic's algorithms small enough for a test; everything else is as the YAML says."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from imitate.policies.robomimic_algorithm import RobomimicConfig

FAST = {"learning_rate": {"initial": 0.01}}
VAE = {"encoder_layer_dims": [32], "decoder_layer_dims": [32], "prior_layer_dims": [32]}
RECURRENT = {"rnn": {"hidden_dim": 32}, "optim_params": {"policy": FAST}}
TRANSFORMER = {"embed_dim": 32, "num_layers": 2, "num_heads": 2}
PLANNER = {"vae": VAE, "optim_params": {"goal_network": FAST}}
NARROW = {"layer_dims": [32]}
BCQ = {
    "action_sampler": {"vae": VAE},
    "critic": {**NARROW, "num_action_samples": 2, "num_action_samples_rollout": 4},
    "optim_params": {"critic": FAST, "action_sampler": FAST},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "bc": {"actor_layer_dims": [64], "optim_params": {"policy": FAST}},
    "bc_rnn": RECURRENT,
    "bc_transformer": {"transformer": TRANSFORMER, "optim_params": {"policy": FAST}},
    "hbc": {"planner": PLANNER, "actor": RECURRENT},
    "bcq": BCQ,
    "cql": {
        "critic": {**NARROW, "num_random_actions": 2},
        "actor": NARROW,
        "optim_params": {"critic": FAST, "actor": FAST},
    },
    "iris": {"value_planner": {"planner": PLANNER, "value": BCQ, "num_samples": 3}, "actor": RECURRENT},
    "iql": {"critic": NARROW, "actor": NARROW, "optim_params": {"actor": FAST, "critic": FAST, "vf": FAST}},
    "td3_bc": {"critic": NARROW, "actor": NARROW, "optim_params": {"actor": FAST, "critic": FAST}},
}


def small(config: RobomimicConfig) -> RobomimicConfig:
    return dataclasses.replace(config, settings=merged(config.settings, SETTINGS.get(config.algorithm, {})))


def merged(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with what `more` says, nested mappings merged."""
    both = {
        key: merged(settings[key], more[key])
        for key in settings
        if key in more and isinstance(more[key], dict)
    }
    return {**settings, **more, **both}
