"""LeRobot's DiffusionPolicy learns and plays Push-T; runs in LeRobot's own environment.

    lerobot_pusht.py SETTINGS.json

Learns for `minutes` of processor time of one thread from the arrays of `data` as lerobot-train does (the same
windows, losses, presets of optimiser and schedule, processors), but takes its batches from memory, which is
in its favour. Plays with lerobot.scripts.lerobot_eval.rollout in the same environment from the same starts
as imitate, and writes to `out` what came of each episode.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")  # its bars fill a log

import gymnasium
import numpy as np
import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors
from lerobot.scripts.lerobot_eval import rollout

sys.path[:0] = [str(Path(__file__).resolve().parents[3])]

from imitate.envs.pusht import PushTConfig  # noqa: E402

CLIP_NORM = 10.0
KINDS = {"observation.state": FeatureType.STATE, "observation.environment_state": FeatureType.ENV}


class LeRobotPushT(gymnasium.Wrapper):
    """Push-T with the observations of LeRobot's own: the fingertip, and eight corners of the block."""

    task = task_description = "push the T onto its outline"

    def __init__(self) -> None:
        super().__init__(PushTConfig().build())
        self._max_episode_steps = self.env.max_steps
        box = gymnasium.spaces.Box
        self.observation_space = gymnasium.spaces.Dict(
            {
                "agent_pos": box(-np.inf, np.inf, (2,), np.float32),
                "environment_state": box(-np.inf, np.inf, (16,), np.float32),
            }
        )
        shapes = self.env._suite.block.shapes
        self._corners = np.array([vertex for shape in shapes for vertex in shape.get_vertices()])

    def named(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """LeRobot's observations (…, 2) and (…, 16) of our states (…, 5)."""
        sine, cosine = np.sin(state[..., 4]), np.cos(state[..., 4])
        turn = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
        corners = self._corners @ np.swapaxes(turn, -1, -2) + state[..., None, 2:4]
        flat = corners.reshape(*state.shape[:-1], 16).astype(np.float32)
        return {"agent_pos": state[..., :2].astype(np.float32), "environment_state": flat}

    def reset(self, **options):
        obs, info = self.env.reset(**options)
        return self.named(obs["state"]), info

    def step(self, action):
        obs, reward, terminated, truncated, info = self.env.step(action)
        return (
            self.named(obs["state"]),
            reward,
            terminated,
            truncated,
            {**info, "is_success": info["success"]},
        )


class Windows:
    """Batches of windows in memory, drawn as LeRobot's sampler does: without the last steps of an episode."""

    def __init__(self, arrays: dict[str, torch.Tensor], ends: np.ndarray, config: DiffusionConfig) -> None:
        self.arrays, self.config = arrays, config
        starts = np.concatenate([[0], ends[:-1]])
        rows = [
            (t, a, b)
            for a, b in zip(starts, ends, strict=True)
            for t in range(a, b - config.drop_n_last_frames)
        ]
        self.rows = np.array(rows)
        self.rng = np.random.default_rng()

    def batch(self, size: int) -> dict[str, torch.Tensor]:
        """Observations (B, To, …), actions (B, Tp, 2), and which of these lie past the episode."""
        t, first, end = self.rows[self.rng.integers(len(self.rows), size=size)].T[..., None]
        seen = np.clip(t + np.array(self.config.observation_delta_indices), first, end - 1)
        acted = t + np.array(self.config.action_delta_indices)
        outside = (acted < first) | (acted >= end)
        batch = {name: self.arrays[name][seen] for name in KINDS}
        batch["action"] = self.arrays["action"][np.clip(acted, first, end - 1)]
        return batch | {"action_is_pad": torch.from_numpy(outside)}


def main() -> None:
    settings = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(1)
    torch.manual_seed(settings["seed"])
    data = np.load(settings["data"])
    named = LeRobotPushT().named(data["state"])
    arrays = {
        "observation.state": torch.from_numpy(named["agent_pos"]),
        "observation.environment_state": torch.from_numpy(named["environment_state"]),
        "action": torch.from_numpy(data["action"].astype(np.float32)),
    }
    policy = DiffusionPolicy(configured(arrays, settings))
    processors = make_diffusion_pre_post_processors(policy.config, dataset_stats=statistics(arrays))
    windows = Windows(arrays, data["episode_ends"], policy.config)
    windows.rng = np.random.default_rng(settings["seed"])
    facts = learn(policy.train(), windows, processors[0], settings)
    episodes = play(policy.eval(), processors, settings)
    Path(settings["out"]).write_text(json.dumps({"episodes": episodes, **facts}, indent=2) + "\n")


def configured(arrays: dict[str, torch.Tensor], settings: dict) -> DiffusionConfig:
    """LeRobot's defaults, besides the widths, and DDIM when acting: a tenth of DDPM's calls."""
    return DiffusionConfig(
        input_features={name: PolicyFeature(kind, arrays[name].shape[1:]) for name, kind in KINDS.items()},
        output_features={"action": PolicyFeature(FeatureType.ACTION, (2,))},
        device="cpu",
        down_dims=tuple(settings["widths"]),
        noise_scheduler_type="DDIM",
        num_inference_steps=settings["calls"],
    )


def statistics(arrays: dict[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """What LeRobot normalises with."""
    return {
        name: {"min": a.amin(0), "max": a.amax(0), "mean": a.mean(0), "std": a.std(0)}
        for name, a in arrays.items()
    }


def learn(policy: DiffusionPolicy, windows: Windows, prepare, settings: dict) -> dict:
    """Train until the processor time is spent; gives the steps, the weights and the last losses' mean."""
    config = policy.config
    optimizer = config.get_optimizer_preset().build(policy.get_optim_params())
    budget_s, steps, losses, scheduler = 60 * settings["minutes"], 0, [], None
    began = time.process_time()
    while (spent := time.process_time() - began) < budget_s:
        loss, _ = policy.forward(prepare(windows.batch(settings["batch_size"])))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), CLIP_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        steps += 1
        if steps == 10:  # the schedule has to end with the budget
            total = int(10 * budget_s / (time.process_time() - began))
            scheduler = config.get_scheduler_preset().build(optimizer, total)
        if scheduler:
            scheduler.step()
        if steps % 50 == 0:
            print(f"step {steps}, {spent / 60:.1f} min, loss {np.mean(losses[-50:]):.4f}", file=sys.stderr)
    weights = sum(parameter.numel() for parameter in policy.parameters())
    return {"steps": steps, "weights": weights, "loss": float(np.mean(losses[-50:]))}


def play(policy: DiffusionPolicy, processors, settings: dict) -> list[dict]:
    """Success and score of each episode."""
    size, first, episodes = settings["batch"], settings["eval_seed"], []
    for start in range(first, first + settings["episodes"], size):
        seeds = list(range(start, min(start + size, first + settings["episodes"])))
        envs = gymnasium.vector.SyncVectorEnv([LeRobotPushT] * len(seeds))
        with torch.no_grad():
            done = rollout(envs, policy, same, same, *processors, seeds)
        envs.close()
        # After the end of an episode the environment begins another.
        ended = done["done"].int().argmax(1)
        for row, last in enumerate(ended.tolist()):
            reward = done["reward"][row, : last + 1]
            success = bool(done["success"][row, : last + 1].any())
            episodes.append({"seed": seeds[row], "success": success, "score": float(reward.max())})
        print(f"{len(episodes)} episodes, {sum(e['success'] for e in episodes)} solved", file=sys.stderr)
    return episodes


def same(value):
    return value


if __name__ == "__main__":
    main()
