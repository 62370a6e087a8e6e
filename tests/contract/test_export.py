"""Every YAML in imitate/configs/policy exports as a file that acts as the policy does, without torch."""

import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from small_exports import saved, small_config, trained
from small_policies import (
    CLOUD,
    CONFIGS,
    HIGH,
    LOW,
    RICH,
    SPEC,
    make_batch,
    pictures_and_clouds,
    row,
    statistics,
    train,
)

from imitate.errors import MissingExtraError, SpecError
from imitate.export.bundle import export_policy
from imitate.policies.nets.images import ImageConfig
from imitate.policies.nets.points import PointsConfig
from imitate.policy import GivenNoise, Policy, PolicyConfig
from imitate.runtime import BundlePolicy, open_bundle

pytest.importorskip("onnxruntime")

COMPARED = 32


@pytest.fixture(
    params=[pytest.param(p, marks=[] if p.stem == "bc" else pytest.mark.slow) for p in CONFIGS],
    ids=lambda path: path.stem,
)
def config(request: pytest.FixtureRequest) -> PolicyConfig:
    return small_config(request.param)


def test_acts_as_the_policy_does(config: PolicyConfig, tmp_path: Path) -> None:
    try:
        policy = trained(config, SPEC)
    except MissingExtraError as error:
        pytest.skip(str(error))
    loaded = saved(policy, config, tmp_path / "run")
    done = export_policy(loaded, tmp_path / "p.imitate", compared=COMPARED)
    assert done.manifest.parity["observations"] == COMPARED
    exported = open_bundle(tmp_path / "p.imitate").policy()
    assert tuple(exported.horizons) == dataclasses.astuple(config.horizons)
    assert exported.spec == policy.spec
    obs = make_batch(config, 6, seed=3).obs
    require_equal(policy, exported, obs)
    noise = np.random.default_rng(0)
    chunk = exported.predict({key: value[0].numpy() for key, value in obs.items()}, noise)
    assert chunk.shape == (config.horizons.action_steps, 3) and chunk.dtype == np.float32
    margin = 1e-5 * (HIGH - LOW)
    assert ((chunk >= LOW - margin) & (chunk <= HIGH + margin))[:, :2].all()
    require_equal(policy, exported, {key: 1e6 * value for key, value in obs.items()})


def require_equal(policy: Policy, exported: BundlePolicy, obs: dict[str, torch.Tensor]) -> None:
    """Both give the same chunk for the same noise, row by row."""
    generator = torch.Generator().manual_seed(1)
    for index in range(len(next(iter(obs.values())))):
        noise = torch.randn(1, exported.noise_size, generator=generator)
        alone = row(obs, index)
        with torch.no_grad():
            expected = policy.predict(alone, GivenNoise(noise)).values[0].numpy()
        chunk = exported.predict_with({k: v[0].numpy() for k, v in alone.items()}, noise[0].numpy())
        scale = np.where(HIGH > LOW, HIGH - LOW, 1.0)
        assert (np.abs(chunk - expected) <= 1e-4 * scale).all()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torchvision") is None, reason="torchvision is not installed")
@pytest.mark.parametrize(
    "image",
    [ImageConfig(), ImageConfig("vit_tiny", resize=(40, 40)), ImageConfig("small", crop=1.0)],
    ids=["resnet18", "vit_tiny", "small"],
)
def test_images_and_points_are_inside(image: ImageConfig, tmp_path: Path) -> None:
    config = small_config(next(p for p in CONFIGS if p.stem == "bc"))
    observation = dataclasses.replace(config.observation, points=PointsConfig(("cloud",)), image=image)  # type: ignore[attr-defined]
    config = dataclasses.replace(config, observation=observation)  # type: ignore[type-var]
    torch.manual_seed(0)
    policy = config.build(dataclasses.replace(SPEC, obs=RICH))
    policy.normalizer.fit({**statistics(), "cloud": CLOUD})
    batch = make_batch(config, 8)
    batch.obs |= pictures_and_clouds(config, 8)
    train(policy, batch, 3, torch.optim.AdamW(policy.parameters(), lr=1e-3))
    loaded = saved(policy.eval(), config, tmp_path / "run")
    export_policy(loaded, tmp_path / "p.imitate", compared=COMPARED)
    bundle = open_bundle(tmp_path / "p.imitate")
    exported = bundle.policy()
    require_equal(loaded.policy, exported, batch.obs)
    camera = bundle.manifest.images["camera"]
    assert (camera.height, camera.width, camera.colours) == (48, 48, "RGB")
    first = {key: value[0].numpy() for key, value in batch.obs.items()}
    noise = np.zeros(exported.noise_size, np.float32)
    for key in ("camera", "cloud"):
        other = {**first, key: batch.obs[key][1].numpy()}
        assert not np.array_equal(exported.predict_with(first, noise), exported.predict_with(other, noise))


@pytest.mark.parametrize(
    "name", ["diffusion", "flow", pytest.param("diffusion_transformer", marks=pytest.mark.slow)]
)
def test_a_policy_that_goes_on_with_its_plan_goes_on_as_a_file(name: str, tmp_path: Path) -> None:
    config = small_config(next(path for path in CONFIGS if path.stem == name))
    horizons = dataclasses.replace(config.horizons, action_steps=12)
    config = dataclasses.replace(config, warm_start=0.5, horizons=horizons)  # type: ignore[type-var]
    policy = trained(config, SPEC)
    done = export_policy(saved(policy, config, tmp_path / "run"), tmp_path / "p.imitate", compared=COMPARED)
    assert done.manifest.plan_steps == 12
    exported = open_bundle(tmp_path / "p.imitate").policy()
    obs = make_batch(config, 6, seed=3).obs
    plan = torch.rand(6, 12, 3) * torch.tensor([8000.0, 1e-3, 0.0]) + torch.tensor(LOW, dtype=torch.float32)
    plan[:, 7:], plan[::3] = torch.nan, torch.nan
    require_equal(policy, exported, {**obs, "plan": plan})
    require_equal(policy, exported, obs)
    seen, rng = {key: value[1].numpy() for key, value in obs.items()}, np.random.default_rng
    begun, gone_on = (exported.predict({**seen, **more}, rng(0)) for more in ({}, {"plan": plan[1].numpy()}))
    assert not np.allclose(begun, gone_on)
    with pytest.raises(SpecError, match=r"plan is float32 \(3, 3\), expected floats"):
        exported.predict({**seen, "plan": plan[1, :3].numpy()}, rng(0))
