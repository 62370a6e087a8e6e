"""Every policy of imitate/configs/policy made small, and data of all kinds for them to learn from."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import small_robomimic
import torch

from imitate.normalize import ArrayStatistics
from imitate.policies.consistency import ConsistencyConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.robomimic_algorithm import RobomimicConfig
from imitate.policies.seeing import SeeingConfig
from imitate.policy import Policy, PolicyConfig, SelfTrainedPolicy
from imitate.types import ArraySpec, Batch, DataSpec, Outcome

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "imitate/configs/policy").glob("*.yaml"))
SPEC = DataSpec(
    obs={
        "joints": ArraySpec((4,), units=("rad",) * 4, circular=(1,)),
        "object": ArraySpec((3,), units=("m",) * 3),
    },
    action=ArraySpec((3,), names=("x", "y", "grip"), units=("mm", "mm", "m")),
)
# Action dimensions of very different size, the last one constant: x and y in millimetres, grip fixed.
LOW, HIGH = np.array([-4000.0, 0.0, 0.04]), np.array([4000.0, 1e-3, 0.04])
# Networks small enough for a test; everything else is as the YAML says.
SMALL: dict[str, dict[str, Any]] = {
    "FilmMlpConfig": {"width": 64, "condition_width": 32},
    "UNet1dConfig": {"widths": (16, 32, 32), "condition_width": 16, "groups": 4},
    "TransformerConfig": {"width": 32, "layers": 2, "heads": 2},
    "BehaviourCloningConfig": {"width": 64},
    "ChunkDecoderConfig": {"width": 32, "heads": 2},
    "TruncatedConfig": {"anchors": 6},
    "BcRnnConfig": {"width": 32},
    "ResidualVqConfig": {"width": 32, "steps": 50},
    "CausalTransformerConfig": {"width": 32, "layers": 2, "heads": 2},
    "ActConfig": {"width": 32, "heads": 2, "feedforward": 64, "encoder_layers": 1, "latent_size": 4},
    "ModeTransformerConfig": {"width": 32, "layers": 2, "heads": 2},
    "SeeingConfig": {"width": 64},
}


def complete(config: Any, spec: DataSpec = SPEC) -> Any:
    """The config with what training would fill in, of a diffusion policy over `spec`."""
    if not isinstance(config, SeeingConfig) or config.acting is not None:
        return config
    estimate = config.estimate or (list(spec.obs)[-1],)
    return dataclasses.replace(config, estimate=tuple(estimate)).completed(DiffusionConfig(), spec)


def shrunk(config: Any) -> Any:
    """The config with each known network made small."""
    config = complete(config)
    if isinstance(config, RobomimicConfig):
        return small_robomimic.small(config)
    nested = {
        f.name: shrunk(getattr(config, f.name))
        for f in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, f.name))
        and not isinstance(getattr(config, f.name), DataSpec)
    }
    return dataclasses.replace(config, **nested, **SMALL.get(type(config).__name__, {}))


RICH = {
    **SPEC.obs,
    "camera": ArraySpec((48, 48, 3), "uint8"),
    "cloud": ArraySpec((5, 3), units=("m",) * 15),
}
CLOUD = ArrayStatistics(np.full(15, -1.0), np.ones(15), np.zeros(15), np.full(15, 0.5))


def teacher_for(config: ConsistencyConfig | SeeingConfig) -> Policy:
    """A diffusion policy that has learnt a little."""
    acting = config.diffusion() if isinstance(config, ConsistencyConfig) else config.known()[0]
    assert isinstance(acting, DiffusionConfig)
    return _teacher(acting)


@functools.cache
def _teacher(config: DiffusionConfig) -> Policy:
    torch.manual_seed(1)
    teacher = config.build(SPEC)
    teacher.normalizer.fit(statistics())
    train(teacher, make_batch(config, 16), 100, torch.optim.AdamW(teacher.parameters(), lr=3e-3))
    return teacher


def train(policy: Policy, batch: Batch, steps: int, optimizer: torch.optim.Optimizer) -> None:
    """Steps on one batch: the policy's own, or down the gradient of its loss."""
    if isinstance(policy, SelfTrainedPolicy):
        policy.train()
        for step in range(steps):
            policy.learn(batch, step)
        policy.eval()
        return
    for _ in range(steps):
        optimizer.zero_grad()
        policy.loss(batch)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()


def statistics() -> dict[str, ArrayStatistics]:
    def spread(low: np.ndarray, high: np.ndarray) -> ArrayStatistics:
        return ArrayStatistics(low, high, (low + high) / 2, (high - low) / np.sqrt(12))

    return {
        "joints": spread(np.full(4, -3.0), np.full(4, 3.0)),
        "object": spread(np.array([-1.0, -1.0, 0.5]), np.array([1.0, 1.0, 0.5])),
        "action": spread(LOW, HIGH),
    }


def make_batch(config: PolicyConfig, size: int, seed: int = 0) -> Batch:
    """Smooth chunks that depend on the observation; the first and last rows are padded at either end.

    The episode of the last row ends within its chunk, in success.
    """
    rng = np.random.default_rng(seed)
    To, Tp = config.horizons.obs_steps, config.horizons.pred_steps
    joints = np.repeat(rng.uniform(-3, 3, (size, 1, 4)), To, axis=1)
    place = np.repeat(rng.uniform(-1, 1, (size, 1, 3)), To, axis=1)
    place[..., 2] = 0.5
    along = np.linspace(0, 1, Tp)[None, :, None]
    unit = np.clip(0.5 + 0.5 * along * place[:, :1], 0, 1)
    action = LOW + unit * (HIGH - LOW)
    is_pad = np.zeros((size, Tp), dtype=bool)
    is_pad[-1, max(1, Tp // 2) :] = True
    is_pad[0, : To - 1] = True
    obs = {
        "joints": torch.tensor(joints, dtype=torch.float32),
        "object": torch.tensor(place, dtype=torch.float32),
    }
    after = {key: value[:, -1:].repeat(1, Tp, 1) for key, value in obs.items()}
    is_last = torch.zeros(size, Tp, dtype=torch.bool)
    is_last[-1, max(0, Tp // 2 - 1) :] = True
    return Batch(
        obs,
        torch.tensor(action, dtype=torch.float32),
        torch.tensor(is_pad),
        torch.ones(size),
        Outcome(after, is_last, torch.ones(size)),
    )


def row(obs: dict[str, torch.Tensor], index: int) -> dict[str, torch.Tensor]:
    return {key: value[index : index + 1] for key, value in obs.items()}


def pictures_and_clouds(config: PolicyConfig, rows: int) -> dict[str, torch.Tensor]:
    """{name: (B, To, …)} at random."""
    shape, generator = (rows, config.horizons.obs_steps), torch.Generator().manual_seed(5)
    return {
        "camera": torch.randint(0, 256, (*shape, 48, 48, 3), dtype=torch.uint8, generator=generator),
        "cloud": 2 * torch.rand(*shape, 5, 3, generator=generator) - 1,
    }
