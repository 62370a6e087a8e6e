"""Facts about the decoder whose tokens are chunks."""

import pytest
import torch
from torch import nn

from imitate.errors import ConfigError
from imitate.policies.nets.chunk_decoder import ChunkDecoder, ChunkDecoderConfig
from imitate.policies.nets.denoiser import Sizes

SIZES = Sizes(obs_steps=2, obs_size=3, pred_steps=4, action_size=2, train_steps=10)
LEVEL = torch.tensor([3])


@pytest.fixture
def decoder() -> ChunkDecoder:
    torch.manual_seed(0)
    made = ChunkDecoderConfig(width=16, heads=2).build(SIZES).eval()
    for head in made.heads:
        nn.init.normal_(head.weight, std=0.1)
    return made


def test_chunks_do_not_see_each_other(decoder: ChunkDecoder) -> None:
    noisy, condition = torch.randn(3, 5, 4, 2), decoder.encode(torch.randn(3, 2, 3))
    together = decoder.refine(noisy, LEVEL, condition)[-1]
    some = noisy[:, [1, 4]]
    apart = decoder.refine(some, LEVEL, condition)[-1]
    torch.testing.assert_close(together.offset[:, [1, 4]], apart.offset)
    torch.testing.assert_close(together.features[:, [1, 4]], apart.features)


def test_observation_and_noise_level_matter(decoder: ChunkDecoder) -> None:
    noisy, obs = torch.randn(1, 1, 4, 2), torch.randn(1, 2, 3)
    offset = decoder.refine(noisy, LEVEL, decoder.encode(obs))[-1].offset
    for step in (0, 1):  # each observed step
        other = obs.clone()
        other[:, step] += 1.0
        assert not torch.allclose(offset, decoder.refine(noisy, LEVEL, decoder.encode(other))[-1].offset)
    assert not torch.allclose(offset, decoder.refine(noisy, LEVEL + 5, decoder.encode(obs))[-1].offset)


def test_one_level_for_all_equals_a_level_per_row(decoder: ChunkDecoder) -> None:
    noisy, condition = torch.randn(3, 5, 4, 2), decoder.encode(torch.randn(3, 2, 3))
    one = decoder.refine(noisy, LEVEL, condition)[-1].offset
    torch.testing.assert_close(one, decoder.refine(noisy, LEVEL.repeat(3), condition)[-1].offset)


def test_later_layers_see_the_refined_chunk_but_do_not_train_it(decoder: ChunkDecoder) -> None:
    noisy, condition = torch.randn(1, 1, 4, 2), decoder.encode(torch.randn(1, 2, 3)).detach()
    before = decoder.refine(noisy, LEVEL, condition)[-1].offset
    before.square().sum().backward()
    assert decoder.heads[0].weight.grad is None
    nn.init.normal_(decoder.heads[0].bias)
    assert not torch.allclose(before, decoder.refine(noisy, LEVEL, condition)[-1].offset)


def test_as_a_denoiser_all_layers_add_up_and_learn(decoder: ChunkDecoder) -> None:
    noisy, condition = torch.randn(3, 4, 2), decoder.encode(torch.randn(3, 2, 3))
    predicted = decoder(noisy, LEVEL, condition)
    layers = decoder.refine(noisy[:, None], LEVEL, condition)
    torch.testing.assert_close(predicted, sum(layer.offset for layer in layers)[:, 0])
    predicted.square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in decoder.parameters())


def test_width_must_split_into_heads() -> None:
    with pytest.raises(ConfigError, match=r"policy\.denoiser\.width is 10.*heads = 4"):
        ChunkDecoderConfig(width=10)
