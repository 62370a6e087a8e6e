"""Diffusion policy: padding, observation encoding, and settings that do not go together."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from imitate.errors import ConfigError
from imitate.normalize import ArrayStatistics
from imitate.policies.diffusion import Diffusion, DiffusionConfig, hold_edges, medoid
from imitate.policies.nets.film_mlp import FilmMlpConfig
from imitate.policies.nets.observation import ObservationConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,)))
TINY = FilmMlpConfig(width=16, blocks=1, condition_width=8)


@given(st.integers(1, 12), st.data())
def test_padding_is_replaced_by_the_nearest_real_step(steps: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, steps - 1))
    last = data.draw(st.integers(first, steps - 1))
    is_pad = torch.ones(1, steps, dtype=torch.bool)
    is_pad[:, first : last + 1] = False
    action = torch.randn(1, steps, 2)
    held = hold_edges(action, is_pad)
    assert torch.equal(held, action[:, np.clip(np.arange(steps), first, last)])
    assert torch.equal(hold_edges(held, is_pad), held)


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver", "ddpm"])
def test_the_observation_is_encoded_once_per_chunk(sampler: Any) -> None:
    policy = DiffusionConfig(denoiser=TINY, sampler=sampler).build(SPEC)
    calls = {"encode": 0, "denoise": 0}
    policy.denoiser.condition.obs_film.register_forward_hook(
        lambda *_: calls.update(encode=calls["encode"] + 1)
    )
    policy.denoiser.register_forward_hook(lambda *_: calls.update(denoise=calls["denoise"] + 1))
    policy.predict({"state": torch.zeros(1, 2, 3)}, torch.Generator().manual_seed(0))
    assert calls == {"encode": 1, "denoise": 10}


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver", "ddpm"])
def test_rows_with_their_own_generators_repeat_alone(sampler: Any) -> None:
    policy = DiffusionConfig(denoiser=TINY, sampler=sampler).build(SPEC)
    torch.nn.init.normal_(policy.denoiser.head.weight)
    obs = torch.randn(3, 2, 3)
    together = policy.predict({"state": obs}, [torch.Generator().manual_seed(i) for i in range(3)]).values
    for i in range(3):
        alone = policy.predict({"state": obs[i : i + 1]}, [torch.Generator().manual_seed(i)]).values
        torch.testing.assert_close(alone[0], together[i], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sampler", ["ddim", "dpm_solver", "ddpm"])
def test_temperature_multiplies_all_noise(sampler: Any) -> None:
    asked: list[float] = []

    def sampled(temperature: float, seed: int) -> torch.Tensor:
        schedule = DiffusionConfig(
            sampler=sampler, temperature=temperature, clip_sample=False, action_normalization="gaussian"
        ).noise_schedule()

        def denoise(noisy: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
            asked.append(float(noisy.std()))
            return 0.5 * noisy

        return schedule.sample(denoise, (64, 8, 2), torch.Generator().manual_seed(seed), torch.device("cpu"))

    # What the network sees is linear in the noise where it answers in proportion.
    torch.testing.assert_close(sampled(0.25, 3), 0.25 * sampled(1.0, 3))
    assert asked[:10] == pytest.approx([0.25 * std for std in asked[10:]], rel=1e-4)
    assert torch.equal(sampled(0.0, 1), sampled(0.0, 2))
    with pytest.raises(ConfigError, match=r"policy\.temperature is -1\.0, expected 0 or more"):
        sampled(-1.0, 0)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(0, 2), st.integers(0, 2**16))
def test_the_medoid_is_nearest_to_all_others(rows: int, count: int, now: int, seed: int) -> None:
    chunks = torch.randn(rows, count, 4, 2, generator=torch.Generator().manual_seed(seed))
    chosen = medoid(chunks, now)
    for row in range(rows):
        tails = chunks[row, :, now:].reshape(count, -1)
        spread = [float(sum((a - b).norm() for b in tails)) for a in tails]
        (index,) = [i for i in range(count) if torch.equal(chunks[row, i], chosen[row])]
        assert spread[index] <= min(spread) + 1e-4


def test_one_of_several_samples_is_given_and_rows_repeat_alone() -> None:
    def made(count: int) -> Diffusion:
        torch.manual_seed(0)
        policy = DiffusionConfig(denoiser=TINY, alternatives=count).build(SPEC)
        torch.nn.init.normal_(policy.denoiser.head.weight)
        return policy

    obs = torch.randn(2, 2, 3)
    generators = [torch.Generator().manual_seed(i) for i in range(2)]
    together = made(5).predict({"state": obs}, generators).values
    for i in range(2):
        generator = torch.Generator().manual_seed(i)
        alone = made(5).predict({"state": obs[i : i + 1]}, generator).values[0]
        torch.testing.assert_close(alone, together[i], atol=1e-4, rtol=1e-4)
        # A generator goes on from sample to sample, so one at a time draws the same five.
        again = torch.Generator().manual_seed(i)
        five = [made(1).predict({"state": obs[i : i + 1]}, again).values[0] for _ in range(5)]
        assert sum(torch.allclose(alone, one, atol=1e-4) for one in five) == 1
    with pytest.raises(ConfigError, match=r"policy\.alternatives is 0, expected at least 1"):
        DiffusionConfig(alternatives=0)


@pytest.mark.parametrize(
    ("prediction", "normalization"),
    [
        ("epsilon", "minmax"),
        ("sample", "minmax"),
        ("v_prediction", "minmax"),
        ("sample", "gaussian"),
        ("v_prediction", "gaussian"),
    ],
)
def test_every_combination_learns(prediction: Any, normalization: Any) -> None:
    torch.manual_seed(0)
    config = DiffusionConfig(
        horizons=Horizons(2, 4, 2),
        denoiser=FilmMlpConfig(width=64, blocks=1, condition_width=16),
        prediction=prediction,
        action_normalization=normalization,
        clip_sample=normalization == "minmax",
    )
    policy = config.build(SPEC)
    zero, twenty = np.zeros(2), np.full(2, 20.0)
    policy.normalizer.action.fit(ArrayStatistics(zero, 2 * twenty, mean=twenty, std=twenty))
    target = torch.tensor([14.0, 31.0])
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    obs = {"state": torch.randn(32, 2, 3)}
    batch = Batch(obs, target.expand(32, 4, 2).clone(), torch.zeros(32, 4, dtype=torch.bool), torch.ones(32))
    for _ in range(250):
        optimizer.zero_grad()
        policy.loss(batch)["loss"].backward()
        optimizer.step()
    error = policy.predict(obs, torch.Generator().manual_seed(0)).values - target
    assert error.abs().mean() < 3.0


def test_noise_and_dropout_disturb_training_alone() -> None:
    torch.manual_seed(0)
    disturbed = FilmMlpConfig(width=16, blocks=1, condition_width=8, dropout=0.5)
    policy = DiffusionConfig(observation=ObservationConfig(noise=0.1), denoiser=disturbed).build(SPEC)
    torch.nn.init.normal_(policy.denoiser.head.weight)
    torch.nn.init.normal_(policy.denoiser.blocks[0].outer.weight)
    batch = Batch(
        {"state": torch.randn(4, 2, 3)},
        torch.randn(4, 16, 2),
        torch.zeros(4, 16, dtype=torch.bool),
        torch.ones(4),
    )
    seen = []
    policy.denoiser.condition.obs_embedding.register_forward_pre_hook(lambda _, args: seen.append(args[0]))

    def loss() -> float:
        torch.manual_seed(1)
        return policy.loss(batch)["loss"].item()

    trained = loss()
    policy.eval()
    assert loss() == loss() != trained
    in_training, alone, again = seen
    assert torch.equal(alone, again)
    assert 0.03 < (in_training - alone).std() < 0.3


def test_clipping_needs_bounded_actions() -> None:
    with pytest.raises(ConfigError, match=r"policy\.clip_sample=false"):
        DiffusionConfig(action_normalization="gaussian")


def test_epsilon_needs_clipping() -> None:
    with pytest.raises(ConfigError, match=r"policy\.prediction is 'epsilon'.*v_prediction"):
        DiffusionConfig(prediction="epsilon", clip_sample=False)


def test_wrong_settings_are_refused_before_building() -> None:
    with pytest.raises(ConfigError, match=r"policy\.inference_steps is 7"):
        DiffusionConfig(inference_steps=7)
