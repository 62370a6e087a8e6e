"""Truncated diffusion: noise by its deviation, matching, modes and their probabilities, and baselines."""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from imitate.errors import ConfigError
from imitate.policies.nets.chunk_decoder import ChunkDecoderConfig
from imitate.policies.truncated import NOISE_LEVELS, Truncated, TruncatedConfig
from imitate.policy import Horizons
from imitate.types import ArraySpec, Batch, DataSpec

SPEC = DataSpec({"state": ArraySpec((3,))}, ArraySpec((2,), names=("x", "grip"), units=("m", "")))
TINY = ChunkDecoderConfig(width=16, heads=2, dropout=0.0)
CONFIG = TruncatedConfig(
    Horizons(obs_steps=2, pred_steps=6, action_steps=3),
    denoiser=TINY,
    anchors=5,
    alternatives=3,
    inference_steps=1,
)


def built(**settings: Any) -> Truncated:
    torch.manual_seed(0)
    policy = dataclasses.replace(CONFIG, **settings).build(SPEC).eval()
    for head in [*policy.denoiser.heads, *policy.scores]:
        nn.init.normal_(head.weight, std=0.2)
    return policy


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def obs_of(count: int) -> dict[str, Tensor]:
    return {"state": torch.randn(count, 2, 3, generator=seeded(5))}


def decoder_calls(policy: Truncated) -> list[tuple[Tensor, Tensor, int]]:
    """What the decoder will be given: noisy chunks, clean chunks, and the noise level of the first row."""
    calls: list[tuple[Tensor, Tensor, int]] = []
    refine_before, noise_before = policy.denoiser.refine, policy._noisy
    started: list[Tensor] = []

    def noised(chunks: Tensor, noise: Tensor, step: Tensor) -> Tensor:
        started.append(chunks)
        return noise_before(chunks, noise, step)

    def refine(noisy: Tensor, step: Tensor, condition: Tensor) -> Any:
        calls.append((noisy, started.pop(), int(step[0])))
        return refine_before(noisy, step, condition)

    policy._noisy = noised  # type: ignore[method-assign]
    policy.denoiser.refine = refine  # type: ignore[method-assign]
    return calls


@pytest.mark.parametrize("std", [0.0, 0.1, 0.35, 1.0])
def test_anchors_are_noised_to_the_truncation_and_no_further(std: float) -> None:
    policy = built(truncation_std=std, anchors=400, training_modes=2)
    calls = decoder_calls(policy)
    policy.modes(obs_of(1), seeded())
    noisy, anchors, level = calls[0]
    assert level == NOISE_LEVELS - 1
    noise = noisy - (1 - std**2) ** 0.5 * anchors
    assert noise.std().item() == pytest.approx(std, abs=0.03)
    assert torch.equal(anchors[0], policy.anchors.chunks)


@given(st.floats(0.01, 1.0), st.integers(0, NOISE_LEVELS - 1))
def test_noising_keeps_unit_variance(std: float, level: int) -> None:
    policy = NOISING
    policy.config = dataclasses.replace(CONFIG, truncation_std=std)
    step = torch.tensor([level])
    signal = policy._noisy(torch.ones(1, 1, 6, 2), torch.zeros(1, 1, 6, 2), step)
    noise = policy._noisy(torch.zeros(1, 1, 6, 2), torch.ones(1, 1, 6, 2), step)
    torch.testing.assert_close(signal.square() + noise.square(), torch.ones(1, 1, 6, 2))
    assert noise.max() <= std + 1e-6


NOISING = built()


def test_training_noise_spans_all_levels_up_to_the_truncation() -> None:
    policy = built(truncation_std=0.2)
    calls = decoder_calls(policy)
    for _ in range(200):
        policy.loss(batch_of(1))
    levels = {level for _, _, level in calls}
    assert min(levels) < 3 and max(levels) > NOISE_LEVELS - 4
    for noisy, anchors, level in calls:
        std = 0.2 * (level + 1) / NOISE_LEVELS
        noise = (noisy - (1 - std**2) ** 0.5 * anchors) / std
        assert noise.abs().max() < 6


def batch_of(count: int) -> Batch:
    action = 2 * torch.rand(count, 6, 2, generator=seeded(1)) - 1
    return Batch(obs_of(count), action, torch.zeros(count, 6, dtype=torch.bool), torch.ones(count))


@pytest.mark.parametrize("steps", [1, 2])
def test_decoder_calls_per_chunk(steps: int) -> None:
    policy = built(inference_steps=steps)
    calls = decoder_calls(policy)
    policy.predict(obs_of(1), seeded())
    assert len(calls) == steps
    assert [level for *_, level in calls] == [49, 24][:steps]


def test_a_second_step_is_trained_on_what_the_first_one_gives() -> None:
    policy = built(inference_steps=2, truncation_std=0.1)
    calls = decoder_calls(policy)
    policy.loss(batch_of(10))
    (noisy, anchors, level), (_, start, _) = calls
    assert level == NOISE_LEVELS - 1 and noisy.shape[0] == 5
    assert torch.equal(start[5:], policy.anchors.chunks[_index_of(start[5:], policy.anchors.chunks)])
    assert not torch.isclose(start[:5], anchors).all(dim=(2, 3)).any()


def _index_of(chunks: Tensor, anchors: Tensor) -> Tensor:
    return (chunks[:, :, None] - anchors).abs().sum(dim=(3, 4)).argmin(dim=2)


def test_direct_elements_carry_no_noise() -> None:
    policy = built(direct=("grip",), truncation_std=0.3)
    calls = decoder_calls(policy)
    policy.modes(obs_of(1), seeded())
    noisy, anchors, _ = calls[0]
    assert torch.equal(noisy[..., 1], anchors[..., 1])
    assert not torch.allclose(noisy[..., 0], anchors[..., 0], atol=0.05)


def test_modes_are_sorted_probabilities_with_shapes() -> None:
    modes = built().modes(obs_of(4), seeded())
    assert modes.values.shape == (4, 5, 5, 2)  # all five anchors; all steps from the newest observation on
    assert modes.score.shape == (4, 5)
    assert (modes.score.diff(dim=1) <= 0).all()
    torch.testing.assert_close(modes.score.exp().sum(dim=1), torch.ones(4))


def test_best_is_the_first_mode_and_samples_follow_the_scores() -> None:
    obs = {"state": obs_of(1)["state"].expand(2000, -1, -1)}
    best = built(choice="best", truncation_std=0.0).predict(obs, seeded())
    assert best.modes is not None and best.modes.values.shape == (2000, 3, 5, 2)
    assert torch.equal(best.values, best.modes.values[:, 0, :3])
    policy = built(truncation_std=0.0)
    nn.init.zeros_(policy.denoiser.heads[0].weight)  # refined chunks stay distinct enough to be counted
    chunk, modes = policy.predict(obs, seeded()), policy.modes(obs, seeded())
    for mode in range(5):
        taken = (chunk.values == modes.values[:, mode, :3]).all(dim=(1, 2)).float().mean()
        assert taken.item() == pytest.approx(modes.score[0, mode].exp().item(), abs=0.04)


def test_without_refinement_the_anchor_is_retrieved() -> None:
    policy = built(refine=False, choice="best")
    chunk = policy.predict(obs_of(8), seeded()).values
    anchors = policy.anchors.chunks[:, 1:4]
    assert all(any(torch.allclose(row, anchor) for anchor in anchors) for row in chunk)


def test_without_noise_regression_draws_nothing() -> None:
    policy = built(truncation_std=0.0, choice="best")
    one, other = policy.predict(obs_of(3), seeded(1)), policy.predict(obs_of(3), seeded(2))
    assert torch.equal(one.values, other.values)


def trained_beside_an_anchor(**settings: Any) -> tuple[Truncated, dict[str, Tensor]]:
    """Anchors from -1 to 1, and demonstrations that always are 0.45, nearest to the anchor 0.5."""
    torch.manual_seed(0)
    policy = built(training_modes=5, truncation_std=0.0, score_weight=0.1, **settings)
    policy.anchors.chunks.copy_(torch.linspace(-1, 1, 5)[:, None, None].expand(-1, 6, 2))
    batch = batch_of(64)
    batch.action.fill_(0.45)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        policy.loss(batch)["loss"].backward()
        optimizer.step()
    return policy, batch.obs


def test_only_the_matched_mode_is_refined_and_all_scores_are_learnt() -> None:
    policy, obs = trained_beside_an_anchor(relaxation=0.0)
    modes = policy.modes(obs, seeded())
    assert modes.score[:, 0].exp().min() > 0.9
    assert (modes.values[:, 0] - 0.45).abs().mean() < 0.03


def test_relaxed_training_also_refines_anchors_that_are_never_the_match() -> None:
    for relaxation, brought_near in ((1.0, True), (0.0, False)):
        policy, obs = trained_beside_an_anchor(relaxation=relaxation)
        modes = policy.modes(obs, seeded())
        away = (modes.values - 0.45).abs().mean(dim=(0, 2, 3))
        assert (away.max() < 0.2) == brought_near, away


def test_drawn_modes_estimate_the_loss_of_all() -> None:
    batch = batch_of(256)
    losses = {}
    for drawn in (2, 3, 5):
        policy = built(training_modes=drawn, truncation_std=0.0)
        torch.manual_seed(0)
        losses[drawn] = torch.stack([policy.loss(batch)["score"] for _ in range(30)]).mean().item()
    assert losses[2] == pytest.approx(losses[5], rel=0.05)
    assert losses[3] == pytest.approx(losses[5], rel=0.05)


def test_anchors_are_fitted_from_as_many_windows_as_needed() -> None:
    policy, read = built(), []

    def windows() -> Any:
        for index in range(100):
            read.append(index)
            yield batch_of(1000)

    before = policy.anchors.chunks.clone()
    assert policy.prepare(windows())
    assert len(read) == 9
    assert not torch.equal(policy.anchors.chunks, before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"choice": "bets"}, r"policy\.choice is 'bets'.*best"),
        ({"truncation_std": 1.5}, r"policy\.truncation_std is 1.5, expected 0.* to 1"),
        ({"training_modes": 6}, r"policy\.training_modes is 6, expected 2 to 5"),
        ({"alternatives": 0}, r"policy\.alternatives is 0"),
        ({"truncation_std": 0.0, "inference_steps": 2}, r"policy\.inference_steps is 2.*truncation_std=0"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(CONFIG, **settings)
