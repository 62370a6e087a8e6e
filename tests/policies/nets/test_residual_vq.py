"""A vocabulary of chunks: codes, what they leave over, how it is learnt, and how much of it is used."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from imitate.errors import ConfigError
from imitate.policies.nets.residual_vq import ResidualVq, ResidualVqConfig, perplexity

SHAPE = (6, 2)


def built(**settings: Any) -> ResidualVq:
    torch.manual_seed(0)
    return ResidualVqConfig(**{"codes": 8, "latent": 12, "width": 32, "steps": 150, **settings}).build(SHAPE)


def curves(count: int, seed: int = 0) -> Tensor:
    """Chunks on a surface of two dimensions: sines of different height and phase."""
    generator = torch.Generator().manual_seed(seed)
    height, phase = torch.rand(2, count, 1, 1, generator=generator)
    along = torch.linspace(0, 3, SHAPE[0])[None, :, None] + torch.tensor([0.0, 1.0])
    return height * torch.sin(along + 3 * phase)


def error(vq: ResidualVq, chunks: Tensor) -> float:
    return float((vq.decode(vq.encode(chunks)) - chunks).abs().mean())


@pytest.fixture(scope="module")
def fitted() -> ResidualVq:
    vq = built()
    vq.fit(curves(2000))
    return vq


def test_fitting_brings_codes_near_to_chunks_never_seen(fitted: ResidualVq) -> None:
    others = curves(500, seed=1)
    around_the_mean = float((others - others.mean(dim=0)).abs().mean())
    assert error(fitted, others) < 0.35 * min(error(built(), others), around_the_mean)


def test_more_codes_come_nearer(fitted: ResidualVq) -> None:
    few, others = built(codes=2), curves(500, seed=1)
    few.fit(curves(2000))
    assert error(few, others) > 1.5 * error(fitted, others)


def test_the_secondary_code_says_what_the_primary_leaves_over(fitted: ResidualVq) -> None:
    chunks = curves(500)
    latent = fitted.encoder(chunks.flatten(1))
    codes = fitted.encode(chunks)
    first = latent - fitted.codes[0, codes[:, 0]]
    for code, left, book in ((codes[:, 0], latent, fitted.codes[0]), (codes[:, 1], first, fitted.codes[1])):
        assert torch.equal(code, torch.cdist(left, book).argmin(dim=1))
    second = first - fitted.codes[1, codes[:, 1]]
    assert second.square().sum() < first.square().sum() < latent.square().sum()
    torch.testing.assert_close(fitted.decode(codes), fitted.decoder(latent - second).unflatten(-1, SHAPE))


def test_all_codes_are_used_although_they_begin_far_from_any_chunk() -> None:
    vq, chunks = built(), curves(2000)
    vq.codes += 100.0
    vq.fit(chunks)
    codes = vq.encode(chunks)
    for layer in range(2):
        assert perplexity(codes[:, layer], torch.ones(len(chunks)), 8) > 4


def test_the_same_chunks_give_the_same_vocabulary_and_leave_the_random_state_alone() -> None:
    one, other = built(steps=40), built(steps=40)
    state = torch.get_rng_state()
    one.fit(curves(300))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(9)
    other.fit(curves(300))
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name])


def test_it_is_frozen_and_exact_under_autocast() -> None:
    vq, chunks = built(steps=20), curves(300)
    with torch.no_grad():
        (line,) = vq.fit(chunks)
    assert "2 x 8 codes for 300 chunks" in line
    assert not any(p.requires_grad for p in vq.parameters())
    codes = vq.encode(chunks)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(vq.encode(chunks), codes)
        assert vq.decode(codes).dtype == torch.float32


@given(st.integers(1, 8), st.integers(1, 5))
def test_perplexity_counts_what_is_used_alike(used: int, times: int) -> None:
    codes = torch.arange(used).repeat(times)
    assert perplexity(codes, torch.ones(len(codes)), 8).item() == pytest.approx(used, rel=1e-5)


def test_perplexity_leaves_out_what_has_no_weight() -> None:
    codes, weight = torch.tensor([0, 0, 3, 5]), torch.tensor([1.0, 1.0, 2.0, 0.0])
    assert perplexity(codes, weight, 8).item() == pytest.approx(2.0)


@pytest.mark.parametrize("name", ["codes", "latent", "width", "steps"])
def test_wrong_settings_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"policy\.codebook\.{name} is 0"):
        ResidualVqConfig(**{name: 0})
