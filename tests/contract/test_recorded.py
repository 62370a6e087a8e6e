"""Every YAML in imitate/configs/policy can be recorded, and then gives the same chunks."""

import numpy as np
import pytest
import torch
from small_exports import small_config, trained
from small_policies import CONFIGS, HIGH, LOW, SPEC, make_batch

from imitate.errors import ConfigError, MissingExtraError
from imitate.export.recorded import RecordedPolicy
from imitate.export.tracing import Acting
from imitate.policy import Policy, PolicyConfig

ROWS = 3


@pytest.fixture(
    params=[pytest.param(p, marks=[] if p.stem == "diffusion" else pytest.mark.slow) for p in CONFIGS],
    ids=lambda path: path.stem,
)
def config(request: pytest.FixtureRequest) -> PolicyConfig:
    return small_config(request.param)


@pytest.fixture
def policy(config: PolicyConfig) -> Policy:
    try:
        return trained(config, SPEC, steps=5)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("rows", [1, ROWS])
def test_a_recorded_policy_gives_the_same_chunks(policy: Policy, config: PolicyConfig, rows: int) -> None:
    recorded = RecordedPolicy(policy, rows)
    scale = torch.from_numpy(np.where(HIGH > LOW, HIGH - LOW, 1.0))
    for seed in (0, 1):
        obs = make_batch(config, rows, seed=seed).obs
        noise = torch.randn(rows, recorded.noise_size, generator=torch.Generator().manual_seed(seed))
        plain = Acting(policy)
        expected = plain(*plain.inputs(obs, noise))
        error = (recorded.predict_with(obs, noise) - expected).abs() / scale
        assert error.max() <= 1e-5


def test_other_numbers_of_rows_and_other_precisions_are_refused() -> None:
    config = small_config(next(path for path in CONFIGS if path.stem == "diffusion"))
    policy = trained(config, SPEC, steps=1)
    recorded = RecordedPolicy(policy, ROWS)
    with pytest.raises(ConfigError, match=r"has 2 rows, but the policy was recorded for 3"):
        recorded.predict(make_batch(config, 2).obs, torch.Generator())
    with pytest.raises(ConfigError, match="rows is 0"):
        RecordedPolicy(policy, 0)
    with pytest.raises(ConfigError, match=r"precision is 'fp23'.*fp32"):
        RecordedPolicy(policy, precision="fp23")  # type: ignore[arg-type]
