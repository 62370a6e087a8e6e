"""The plain loops that the benchmark of inference compares with give the chunks that the policies give."""

import sys
from dataclasses import replace

import benchmark
import pytest
import torch
from small_policies import CONFIGS, SPEC, make_batch, shrunk, statistics

from imitate.errors import ConfigError
from imitate.export.compiling import require_compiler
from imitate.policy import GivenNoise, Policy, PolicyConfig

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(benchmark.BENCHMARKS))

import yaml
from inference_loops import COMPILED, OURS, eager_loop, ways

from imitate.parts import from_json

NAMES = ("diffusion", "diffusion_transformer", "diffusion_unet", "flow", "mode")


def made(name: str) -> tuple[PolicyConfig, Policy]:
    """A small one that does something."""
    torch.manual_seed(0)
    file = next(path for path in CONFIGS if path.stem == name)
    config = shrunk(from_json(yaml.safe_load(file.read_text()), "policy"))
    if name == "mode":  # diffusers clips no estimates there
        config = replace(config, noise=replace(config.noise, clip_sample=False))
    policy = config.build(SPEC).eval()
    policy.normalizer.fit(statistics())
    for weight in policy.parameters():
        if not weight.any():
            torch.nn.init.normal_(weight, std=0.02)
    return config, policy


@pytest.mark.parametrize("name", NAMES)
def test_diffusers_loop_is_the_same_policy(name: str) -> None:
    config, policy = made(name)
    eager = eager_loop(policy)
    assert eager is not None
    obs = make_batch(config, 3).obs
    noise = torch.randn(3, policy.horizons.pred_steps * SPEC.action.size)
    found, expected = eager.way(obs, noise), policy.predict(obs, GivenNoise(noise)).values
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_compiled_way_is_the_same_policy() -> None:
    """What a GPU is to record; here it is compiled only."""
    try:
        require_compiler()
    except ConfigError as error:
        pytest.skip(str(error))
    config, policy = made("flow")
    every, _ = ways(policy, None, 3, compiled=True)
    obs = make_batch(config, 3).obs
    noise = torch.randn(3, policy.horizons.pred_steps * SPEC.action.size)
    with torch.no_grad():
        expected, found = (every[way](obs, noise) for way in (OURS, COMPILED))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
