"""What every policy promises, checked for every YAML in imitate/configs/policy."""

import copy
import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_robomimic
import torch
import yaml

from imitate.errors import MissingExtraError, SpecError
from imitate.normalize import ArrayStatistics
from imitate.parts import from_json, to_json
from imitate.policies.consistency import ConsistencyConfig
from imitate.policies.nets.points import PointsConfig
from imitate.policies.robomimic_algorithm import RobomimicConfig
from imitate.policy import Policy, PolicyConfig, SelfTrainedPolicy, TaughtPolicy
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
}


def shrunk(config: Any) -> Any:
    """The config with each known network made small."""
    if isinstance(config, RobomimicConfig):
        return small_robomimic.small(config)
    nested = {
        f.name: shrunk(getattr(config, f.name))
        for f in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, f.name))
    }
    return dataclasses.replace(config, **nested, **SMALL.get(type(config).__name__, {}))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def full_config(request: pytest.FixtureRequest) -> PolicyConfig:
    return from_json(yaml.safe_load(request.param.read_text()), "policy")


@pytest.fixture
def config(full_config: PolicyConfig) -> PolicyConfig:
    return shrunk(full_config)


@pytest.fixture
def policy(config: PolicyConfig) -> Policy:
    torch.manual_seed(0)
    built = built_here(config)
    built.normalizer.fit(statistics())
    if isinstance(built, TaughtPolicy):
        built.learn_from(teacher_for(config))
    built.prepare([make_batch(config, 64)])
    return built.eval()


def built_here(config: PolicyConfig) -> Policy:
    """The policy; skips where it needs a package that is not installed."""
    try:
        return config.build(SPEC)
    except MissingExtraError as error:
        pytest.skip(str(error))


@functools.cache
def teacher_for(config: ConsistencyConfig) -> Policy:
    """A diffusion policy that has learnt a little."""
    torch.manual_seed(1)
    teacher = config.diffusion().build(SPEC)
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


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def loss_of(policy: Policy, batch: Batch) -> torch.Tensor:
    torch.manual_seed(7)
    return policy.loss(batch)["loss"]


def test_there_are_policies() -> None:
    assert {"bc", "bc_gmm", "diffusion", "diffusion_unet", "diffusion_transformer"} <= {
        p.stem for p in CONFIGS
    }


def test_yaml_lists_every_field_and_survives_json(full_config: PolicyConfig) -> None:
    path = next(p for p in CONFIGS if from_json(yaml.safe_load(p.read_text()), "policy") == full_config)
    assert yaml.safe_load(path.read_text()) == to_json(full_config)
    assert from_json(to_json(full_config), "policy") == full_config


def test_builds_at_full_size(full_config: PolicyConfig) -> None:
    built = built_here(full_config)
    assert built.horizons == full_config.horizons
    assert all(parameter.dtype == torch.float32 for parameter in built.parameters())


def test_loss_falls_on_a_tiny_set(policy: Policy, config: PolicyConfig) -> None:
    if isinstance(config, RobomimicConfig) and config.algorithm in ("cql", "td3_bc"):
        pytest.skip("its actor climbs a critic that moves: what it learns is tested with the policy")
    if isinstance(config, ConsistencyConfig):
        pytest.skip("it begins as its teacher, of one mind with itself: what it learns is tested with it")
    batch = make_batch(config, 16)
    before = loss_of(policy, batch).item()
    train(policy, batch, 60, torch.optim.AdamW(policy.parameters(), lr=3e-3))
    after = loss_of(policy, batch).item()
    assert after < before - 0.3 * abs(before)


def test_loss_is_finite_under_bf16_autocast(policy: Policy, config: PolicyConfig) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_of(policy, make_batch(config, 8))
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    if not isinstance(policy, SelfTrainedPolicy):
        loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in policy.parameters())


def test_every_weight_is_trained(policy: Policy, config: PolicyConfig) -> None:
    before = {name: p.detach().clone() for name, p in policy.named_parameters()}
    # Zero-initialised layers block the gradient of what stands before them at first.
    train(policy, make_batch(config, 8), 4, torch.optim.SGD(policy.parameters(), lr=1e-2))
    idle = [
        name
        for name, p in policy.named_parameters()
        if p.requires_grad and torch.equal(p, before[name]) and (p.grad is None or not p.grad.any())
    ]
    assert not idle


def test_weights_that_training_leaves_alone_were_fitted_before(policy: Policy, config: PolicyConfig) -> None:
    torch.manual_seed(0)
    fresh = dict(built_here(config).named_parameters())
    frozen = {name: p for name, p in policy.named_parameters() if not p.requires_grad}
    assert not [name for name, p in frozen.items() if torch.equal(p, fresh[name])]


def test_chunk_is_in_physical_units_and_range(policy: Policy, config: PolicyConfig) -> None:
    batch = make_batch(config, 5)
    chunk = policy.predict(batch.obs, seeded(0))
    assert chunk.values.shape == (5, config.horizons.action_steps, 3)
    assert chunk.values.dtype == torch.float32
    assert chunk.start == 0
    assert not chunk.values.requires_grad
    # The constant dimension has no scale to be bounded by: it is shifted only, and learned.
    moving = slice(0, 2)
    values, margin = chunk.values.numpy()[..., moving], 1e-5 * (HIGH - LOW)[moving]
    assert (values >= LOW[moving] - margin).all() and (values <= HIGH[moving] + margin).all()


def test_unseen_extreme_observations_give_finite_actions(policy: Policy, config: PolicyConfig) -> None:
    obs = {key: value * 1e6 for key, value in make_batch(config, 4).obs.items()}
    assert policy.predict(obs, seeded(0)).values.isfinite().all()


def test_prediction_is_fixed_by_the_generator(policy: Policy, config: PolicyConfig) -> None:
    obs = make_batch(config, 4).obs
    first = policy.predict(obs, seeded(3)).values
    torch.manual_seed(99)  # the global generator must not matter
    assert torch.equal(first, policy.predict(obs, seeded(3)).values)


def test_a_batch_of_n_equals_n_batches_of_one(policy: Policy, config: PolicyConfig) -> None:
    obs = make_batch(config, 4).obs
    together = policy.predict(obs, [seeded(10 + i) for i in range(4)]).values
    alone = torch.cat([policy.predict(row(obs, i), [seeded(10 + i)]).values for i in range(4)])
    torch.testing.assert_close(together / 4000, alone / 4000, atol=1e-5, rtol=1e-5)


def test_saved_weights_predict_the_same(policy: Policy, config: PolicyConfig) -> None:
    batch = make_batch(config, 4)
    torch.manual_seed(1)
    other = config.build(SPEC).eval()
    if isinstance(other, TaughtPolicy):
        other.learn_from(teacher_for(config))
    other.load_state_dict({key: value.clone() for key, value in policy.state_dict().items()})
    assert torch.equal(
        policy.predict(batch.obs, seeded(0)).values, other.predict(batch.obs, seeded(0)).values
    )
    assert torch.equal(loss_of(policy, batch), loss_of(other, batch))


def test_padded_steps_have_no_influence(policy: Policy, config: PolicyConfig) -> None:
    batch = make_batch(config, 4)
    noise = 1000 * torch.randn(batch.action.shape, generator=seeded(0))
    disturbed = dataclasses.replace(
        batch, action=torch.where(batch.is_pad[..., None], batch.action + noise, batch.action)
    )
    gradients = []
    for each in (batch, disturbed):
        policy.zero_grad()
        if not isinstance(policy, SelfTrainedPolicy):
            loss_of(policy, each).backward()
        gradients.append(copy.deepcopy([p.grad for p in policy.parameters()]))
    assert torch.equal(loss_of(policy, batch), loss_of(policy, disturbed))
    for clean, other in zip(*gradients, strict=True):
        assert (clean is None and other is None) or torch.equal(clean, other)


def test_rows_of_weight_zero_have_no_influence(policy: Policy, config: PolicyConfig) -> None:
    batch = make_batch(config, 4)
    batch.weight[1] = 0.0
    disturbed = dataclasses.replace(batch, action=batch.action.clone())
    disturbed.action[1] += 100.0
    torch.testing.assert_close(loss_of(policy, batch), loss_of(policy, disturbed))


def test_images_and_points_are_read(config: PolicyConfig) -> None:
    """A little training on what they say, and each of them makes a difference to what is done."""
    spec = dataclasses.replace(SPEC, obs=RICH)
    if isinstance(config, RobomimicConfig):
        with pytest.raises(SpecError, match="camera"):
            config.build(spec)
        return
    observation = dataclasses.replace(config.observation, points=PointsConfig(("cloud",)))  # type: ignore[attr-defined]
    config = dataclasses.replace(config, observation=observation)  # type: ignore[type-var]
    torch.manual_seed(0)
    policy = config.build(spec)
    policy.normalizer.fit({**statistics(), "cloud": CLOUD})
    rows = 8 if config.horizons.obs_steps <= 2 else 3
    batch = make_batch(config, rows)
    batch.obs |= pictures_and_clouds(config, rows)
    if isinstance(policy, TaughtPolicy):
        teacher = config.diffusion().build(spec)  # type: ignore[attr-defined]
        teacher.normalizer.fit({**statistics(), "cloud": CLOUD})
        train(teacher, batch, 3, torch.optim.AdamW(teacher.parameters(), lr=3e-3))
        policy.learn_from(teacher)
    policy.prepare([batch])
    train(policy, batch, 6, torch.optim.AdamW(policy.parameters(), lr=3e-3))
    policy.eval()
    before = policy.predict(batch.obs, seeded(0)).values
    for key in ("camera", "cloud"):
        other = policy.predict({**batch.obs, key: batch.obs[key].flip(0)}, seeded(0)).values
        assert not torch.equal(before, other), key


RICH = {
    **SPEC.obs,
    "camera": ArraySpec((48, 48, 3), "uint8"),
    "cloud": ArraySpec((5, 3), units=("m",) * 15),
}
CLOUD = ArrayStatistics(np.full(15, -1.0), np.ones(15), np.zeros(15), np.full(15, 0.5))


def pictures_and_clouds(config: PolicyConfig, rows: int) -> dict[str, torch.Tensor]:
    """{name: (B, To, …)} at random."""
    shape, generator = (rows, config.horizons.obs_steps), seeded(5)
    return {
        "camera": torch.randint(0, 256, (*shape, 48, 48, 3), dtype=torch.uint8, generator=generator),
        "cloud": 2 * torch.rand(*shape, 5, 3, generator=generator) - 1,
    }


def test_no_observation_is_refused() -> None:
    config = from_json(yaml.safe_load(CONFIGS[0].read_text()), "policy")
    with pytest.raises(SpecError, match="at least one observation"):
        config.build(DataSpec({}, SPEC.action))
