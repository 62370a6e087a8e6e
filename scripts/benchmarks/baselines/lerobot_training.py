"""LeRobot's side of scripts/benchmarks/training; runs in LeRobot's own environment.

    lerobot_training.py SETTINGS.json

Makes LeRobot's DiffusionPolicy of the sizes in the settings, prints how many weights it has, and then for
every line on stdin takes one training step as lerobot-train does and prints the seconds that it took: of
processor time, or of the clock once a GPU has done its work.
"""

import json
import sys
import time
from pathlib import Path

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy

CLIP_NORM = 10.0


def main() -> None:
    torch.set_num_threads(1)
    settings = json.loads(Path(sys.argv[1]).read_text())
    policy, batch = make(settings)
    optimizer = policy.config.get_optimizer_preset().build(policy.get_optim_params())
    print(sum(weights.numel() for weights in policy.parameters()), flush=True)
    for _ in sys.stdin:
        began = seconds(settings["device"])
        loss, _ = policy.forward(dict(batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        print(seconds(settings["device"]) - began, flush=True)


def seconds(device: str) -> float:
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def make(settings: dict) -> tuple[DiffusionPolicy, dict[str, torch.Tensor]]:
    """The policy and a batch; it insists on images or a state of the environment, which is part of ours."""
    obs, action = settings["obs_size"], settings["action_size"]
    shapes = {"observation.state": action, "observation.environment_state": obs - action}
    kinds = {"observation.state": FeatureType.STATE, "observation.environment_state": FeatureType.ENV}
    policy = DiffusionPolicy(
        DiffusionConfig(
            input_features={name: PolicyFeature(kinds[name], (size,)) for name, size in shapes.items()},
            output_features={"action": PolicyFeature(FeatureType.ACTION, (action,))},
            device=settings["device"],
            n_obs_steps=settings["obs_steps"],
            horizon=settings["pred_steps"],
            down_dims=tuple(settings["widths"]),
            diffusion_step_embed_dim=settings["condition_width"],
        )
    ).to(settings["device"])
    policy.train()
    rows = settings["batch_size"]
    batch = {name: torch.rand(rows, settings["obs_steps"], size) for name, size in shapes.items()}
    batch["action"] = torch.rand(rows, settings["pred_steps"], action)
    batch["action_is_pad"] = torch.zeros(rows, settings["pred_steps"], dtype=torch.bool)
    return policy, {name: value.to(settings["device"]) for name, value in batch.items()}


if __name__ == "__main__":
    main()
