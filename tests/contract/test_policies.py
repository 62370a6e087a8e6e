"""What every policy promises, checked for every YAML in imitate/configs/policy."""

import copy
import dataclasses

import pytest
import torch
import yaml
from small_policies import (
    CLOUD,
    CONFIGS,
    HIGH,
    LOW,
    RICH,
    SPEC,
    complete,
    make_batch,
    pictures_and_clouds,
    row,
    shrunk,
    statistics,
    teacher_for,
    train,
)

from imitate.errors import MissingExtraError, SpecError
from imitate.parts import from_json, to_json
from imitate.policies.consistency import ConsistencyConfig
from imitate.policies.nets.images import ImageEncoder
from imitate.policies.nets.points import PointNet, PointsConfig
from imitate.policies.robomimic_algorithm import RobomimicConfig
from imitate.policies.seeing import SeeingConfig
from imitate.policy import Policy, PolicyConfig, SelfTrainedPolicy, TaughtPolicy
from imitate.types import Batch, DataSpec


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
    full_config = complete(full_config)
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
        if isinstance(config, SeeingConfig):
            teacher = teacher_for(config)
        else:
            teacher = config.diffusion().build(spec)  # type: ignore[attr-defined]
            teacher.normalizer.fit({**statistics(), "cloud": CLOUD})
            train(teacher, batch, 3, torch.optim.AdamW(teacher.parameters(), lr=3e-3))
        policy.learn_from(teacher)
    policy.prepare([batch])
    train(policy, batch, 6, torch.optim.AdamW(policy.parameters(), lr=3e-3))
    if isinstance(config, ConsistencyConfig):
        # Its eyes are its teacher's, which it does not change.
        policy.eval()
        before = policy.predict(batch.obs, seeded(0)).values
        for key in ("camera", "cloud"):
            other = policy.predict({**batch.obs, key: batch.obs[key].flip(0)}, seeded(0)).values
            assert not torch.equal(before, other), key
        return
    # What a sampler does may be cut off at the range of the actions; a gradient shows the least influence.
    policy.zero_grad()
    loss_of(policy, batch).backward()
    for encoder in (ImageEncoder, PointNet):
        weights = [p for m in policy.modules() if isinstance(m, encoder) for p in m.parameters()]
        assert any(p.grad is not None and p.grad.any() for p in weights), encoder


def test_no_observation_is_refused() -> None:
    config = from_json(yaml.safe_load(CONFIGS[0].read_text()), "policy")
    with pytest.raises(SpecError, match="at least one observation"):
        config.build(DataSpec({}, SPEC.action))
