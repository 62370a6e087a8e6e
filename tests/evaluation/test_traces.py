"""Predicted against recorded actions, checked with policies whose prediction is known."""

from pathlib import Path

import numpy as np
import pytest
import sample_pages
import torch

from imitate.errors import CheckpointError
from imitate.evaluation.traces import trace, validation_trace
from imitate.normalize import Normalizer
from imitate.policy import Horizons, Policy
from imitate.types import ActionChunk


class Known(Policy):
    """Predicts the action that the recorded demonstrator took: -0.5 times the position, held for a chunk."""

    def loss(self, batch):
        raise NotImplementedError

    def predict(self, obs, generator):
        newest = -0.5 * obs["arm"][:, -1, :2]
        return ActionChunk(newest[:, None].repeat(1, self.horizons.action_steps, 1))


@pytest.mark.parametrize("steps", [1, 7, 8, 30])
def test_a_chunk_starts_at_the_step_that_was_observed_last(tmp_path: Path, steps: int) -> None:
    store = sample_pages.store(tmp_path / "d.zarr", [sample_pages.episode(i, steps) for i in range(3)])
    spec = store.spec.select(("arm",))
    found = trace(Known(spec, Horizons(2, 16, 8), Normalizer(spec)), store, 1)
    assert found.predicted.shape == found.recorded.shape == (steps, 2)
    assert found.names == ["vx [m/s]", "vy [m/s]"] and found.episode_id == "seed1"
    held = store.episode(1).action[np.arange(steps) // 8 * 8]
    assert torch.allclose(torch.from_numpy(found.predicted), torch.from_numpy(held), atol=1e-6)
    assert found.mean_error == pytest.approx(np.abs(held - found.recorded).mean(axis=0), abs=1e-6)


def test_a_folder_without_a_checkpoint_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds neither"):
        validation_trace(tmp_path)
