"""The loss of single windows, for policies whose loss is known."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from imitate.curation.policy_divergence import policy_divergence, window_losses
from imitate.datasets.store import DemoStore
from imitate.normalize import Normalizer
from imitate.policies.bc import BehaviourCloningConfig
from imitate.policies.bc_rnn import BcRnnConfig
from imitate.policies.diffusion import DiffusionConfig
from imitate.policy import Generator, Horizons, Policy, PolicyConfig, masked_mean
from imitate.types import ActionChunk, ArraySpec, Batch, DataSpec, Episode

SPEC = DataSpec({"x": ArraySpec((2,))}, ArraySpec((2,)), 10.0)


class Copying(Policy):
    """Holds that every action of a chunk is the newest state; a loss of noise can be added."""

    def __init__(self, noise: float = 0.0, branches: bool = False) -> None:
        super().__init__(SPEC, Horizons(2, 4, 2), Normalizer(SPEC, "identity", "identity"))
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.noise, self.branches = noise, branches

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        if self.branches and batch.action.sum().item() > 1e9:  # what vmap cannot take
            raise AssertionError
        noise = self.noise * torch.randn_like(batch.action).square().mean(dim=-1)
        error = (self.weight * batch.obs["x"][:, -1:] - batch.action).square().mean(dim=-1)
        return {"loss": masked_mean(error + noise, batch.is_pad, batch.weight)}

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        raise NotImplementedError


def stored(path: Path, gains: list[float], steps: int = 8) -> DemoStore:
    store = DemoStore.create(path, SPEC, source="planted")
    rng = np.random.default_rng(0)
    for i, gain in enumerate(gains):
        state = np.repeat(rng.normal(size=(1, 2)), steps, axis=0).astype(np.float32)
        store.append(Episode(f"e{i}", {"x": state}, gain * state))
    return store


def batch(size: int, horizons: Horizons) -> Batch:
    rng = torch.Generator().manual_seed(0)
    obs = {"x": torch.randn(size, horizons.obs_steps, 2, generator=rng)}
    action = torch.rand(size, horizons.pred_steps, 2, generator=rng) * 2 - 1
    is_pad = torch.zeros(size, horizons.pred_steps, dtype=torch.bool)
    is_pad[::2, -1] = True
    return Batch(obs, action, is_pad, torch.ones(size))


def test_each_step_has_the_loss_of_its_window(tmp_path: Path) -> None:
    store = stored(tmp_path / "d.zarr", [1.0, 1.0, 3.0])
    found = policy_divergence(Copying().eval(), store).reshape(3, 8)
    state = store.array("x")[:].reshape(3, 8, 2)
    assert found[:2] == pytest.approx(0.0, abs=1e-9)
    assert found[2] == pytest.approx(((2 * state[2]) ** 2).mean(axis=-1), rel=1e-5)


def test_only_the_episodes_asked_for_are_judged(tmp_path: Path) -> None:
    found = policy_divergence(Copying().eval(), stored(tmp_path / "d.zarr", [1.0, 2.0, 3.0]), [0, 2])
    known = np.isfinite(found.reshape(3, 8))
    assert known[[0, 2]].all() and not known[1].any()


def test_padding_does_not_count() -> None:
    policy = Copying().eval()
    one = batch(6, policy.horizons)
    other = Batch(one.obs, one.action.masked_fill(one.is_pad[..., None], 1e6), one.is_pad, one.weight)
    assert torch.equal(window_losses(policy, one, 1, 0), window_losses(policy, other, 1, 0))


def test_all_windows_get_the_same_noise_and_it_averages_out() -> None:
    quiet, noisy = Copying().eval(), Copying(noise=1.0).eval()
    one = batch(50, quiet.horizons)
    one.is_pad[:] = False
    added = window_losses(noisy, one, 400, 0) - window_losses(quiet, one, 1, 0)
    assert added.std() < 1e-5 and float(added.mean()) == pytest.approx(1.0, abs=0.1)


def test_a_policy_that_vmap_cannot_take_gets_the_same_losses() -> None:
    one = batch(9, Copying().horizons)
    together = window_losses(Copying(noise=1.0).eval(), one, 3, seed=7)
    alone = window_losses(Copying(noise=1.0, branches=True).eval(), one, 3, seed=7)
    assert torch.allclose(together, alone, rtol=1e-5)


@pytest.mark.parametrize(
    "config", [BehaviourCloningConfig(width=64), DiffusionConfig(), BcRnnConfig(width=32)]
)
def test_policies_of_the_toolkit_say_what_they_say_of_one_window(config: PolicyConfig) -> None:
    torch.manual_seed(0)
    policy = config.build(SPEC).eval().requires_grad_(False)
    some = batch(5, policy.horizons)
    before = torch.get_rng_state()
    found = window_losses(policy, some, 2, seed=1)
    assert torch.equal(before, torch.get_rng_state())
    for i in range(5):
        alone = []
        for seed in (2, 3):
            torch.manual_seed(seed)
            alone.append(float(policy.loss(some.map(lambda t, i=i: t[i : i + 1]))["loss"]))
        assert float(found[i]) == pytest.approx(np.mean(alone), rel=1e-4)
