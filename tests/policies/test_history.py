"""Dropping history: some rows forget what came before the newest observation, and nothing else changes."""

import pytest
import torch

from imitate.errors import ConfigError
from imitate.policies.diffusion import DiffusionConfig
from imitate.policies.nets.history import drop_history


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_the_newest_stands_for_the_older_in_that_share_of_rows(probability: float) -> None:
    torch.manual_seed(0)
    obs = torch.randn(2000, 3, 2)
    seen = drop_history(obs, probability)
    assert torch.equal(seen[:, -1], obs[:, -1])
    dropped = (seen[:, :-1] == obs[:, -1:]).all(dim=(1, 2))
    assert torch.equal(seen[~dropped], obs[~dropped])
    assert dropped.float().mean() == pytest.approx(probability, abs=0.04)


def test_only_probabilities_are_taken() -> None:
    with pytest.raises(ConfigError, match=r"policy\.history_dropout is 1.5"):
        DiffusionConfig(history_dropout=1.5)
