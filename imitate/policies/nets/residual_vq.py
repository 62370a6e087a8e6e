"""A vocabulary of action chunks: an autoencoder whose latent is the sum of two codes, coarse and fine.

Residual vector quantisation as in VQ-BeT (Lee et al., arXiv 2403.03181): the primary code stands for the
latent of a chunk, the secondary one for what the primary leaves over. Codes are running means of what they
stand for (van den Oord et al., arXiv 1711.00937, appendix A.1). The latent is smaller than the 512 of the
paper's code: a chunk is fewer numbers than that, and its error was the same. All is fitted once, then frozen.

Shapes: N chunks, L steps, Da action dimensions, K codes of a layer, Z latent size; all in normalised units.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError

LAYERS = 2
SEED = 0
BATCH = 256
LEARNING_RATE = 3e-3
COMMITMENT = 1.0
"""Weight of the squared distance of a latent from its codes, against the mean absolute error of the chunk."""
DECAY = 0.95
"""The share of the running means that is kept at each step."""
REVIVED_BELOW = 1.0
"""A code that stands for fewer chunks of a batch than this moves to where some chunk of it is."""


@dataclass(frozen=True)
class ResidualVqConfig:
    """Settings of ResidualVq.

    codes: K, of each of the two layers. latent: Z. width: of the two hidden layers of encoder and decoder.
    steps: gradient steps, of 256 chunks each, that it is fitted for.
    """

    codes: int = 16
    latent: int = 64
    width: int = 128
    steps: int = 2000

    def __post_init__(self) -> None:
        for name, least in (("codes", 2), ("latent", 1), ("width", 1), ("steps", 1)):
            value = getattr(self, name)
            if value < least:
                raise ConfigError(f"policy.codebook.{name} is {value}, expected at least {least}")

    def build(self, chunk_shape: tuple[int, int]) -> "ResidualVq":
        """The autoencoder of chunks (L, Da); random until it is fitted or loaded."""
        return ResidualVq(self, chunk_shape)


class ResidualVq(nn.Module):
    """From chunks to two codes and back, in float32 also under autocast. Its weights are frozen."""

    codes: Tensor  # (LAYERS, K, Z)

    def __init__(self, config: ResidualVqConfig, chunk_shape: tuple[int, int]) -> None:
        super().__init__()
        self.steps, self.chunk_shape = config.steps, chunk_shape
        size, width = math.prod(chunk_shape), config.width
        self.encoder = _mlp(size, width, config.latent)
        self.decoder = _mlp(config.latent, width, size)
        self.register_buffer("codes", torch.randn(LAYERS, config.codes, config.latent))
        self.requires_grad_(False)

    @torch.no_grad()
    def encode(self, chunks: Tensor) -> Tensor:
        """The codes (N, 2) of chunks (N, L, Da), the primary one first."""
        with torch.autocast(chunks.device.type, enabled=False):
            return self._quantise(self._latent(chunks))[0]

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """The chunks (N, L, Da) that codes (N, 2) stand for."""
        latent = torch.stack([self.codes[layer, codes[:, layer]] for layer in range(LAYERS)]).sum(dim=0)
        with torch.autocast(codes.device.type, enabled=False):
            return self._chunk(latent)

    def fit(self, chunks: Tensor) -> list[str]:
        """Learn the vocabulary of `chunks` (N, L, Da); gives a report. The same chunks give the same."""
        generator = torch.Generator().manual_seed(SEED)
        running = _Running.begin(self.codes)
        self.requires_grad_(True)
        optimizer = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE)
        with torch.enable_grad():
            for _ in range(self.steps):
                batch = chunks[torch.randint(len(chunks), (BATCH,), generator=generator)]
                latent = self._latent(batch)
                codes, left = self._quantise(latent.detach())
                optimizer.zero_grad()
                self._loss(batch, latent, latent.detach() - left[-1]).backward()
                optimizer.step()
                running.follow(self.codes, codes, left, generator)
        self.zero_grad()
        self.requires_grad_(False)
        return self._report(chunks)

    def _loss(self, chunks: Tensor, latent: Tensor, quantised: Tensor) -> Tensor:
        # The gradient at the quantised latent is passed straight on to the latent.
        error = (self._chunk(latent + (quantised - latent).detach()) - chunks).abs().mean()
        return error + COMMITMENT * (latent - quantised).square().mean()

    def _latent(self, chunks: Tensor) -> Tensor:
        return self.encoder(chunks.float().flatten(1))

    def _chunk(self, latent: Tensor) -> Tensor:
        return self.decoder(latent).unflatten(-1, self.chunk_shape)

    def _quantise(self, latent: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The codes (N, 2) of latents (N, Z), and what is left before the first and after each layer."""
        left, codes = [latent], []
        for book in self.codes:
            codes.append(_nearest(left[-1], book))
            left.append(left[-1] - book[codes[-1]])
        return torch.stack(codes, dim=1), left

    def _report(self, chunks: Tensor) -> list[str]:
        codes = self.encode(chunks)
        error = (self.decode(codes) - chunks).abs().mean()
        even = torch.ones(len(chunks), device=chunks.device)
        used = [float(perplexity(codes[:, layer], even, self.codes.shape[1])) for layer in range(LAYERS)]
        return [
            f"{LAYERS} x {self.codes.shape[1]} codes for {len(chunks)} chunks, perplexity {used[0]:.1f} and "
            f"{used[1]:.1f}; normalised distance of chunks to their codes, mean absolute: {error:.3f}"
        ]


@dataclass
class _Running:
    """How many latents of a batch each code stands for (LAYERS, K), and their sum (LAYERS, K, Z)."""

    counts: Tensor
    sums: Tensor

    @classmethod
    def begin(cls, codes: Tensor) -> "_Running":
        """No code stands for anything yet, so all move to where chunks are."""
        return cls(torch.zeros(codes.shape[:2]), torch.zeros_like(codes))

    def follow(
        self, codes: Tensor, chosen: Tensor, left: Sequence[Tensor], generator: torch.Generator
    ) -> None:
        """Move `codes` (LAYERS, K, Z) to the mean of what `chosen` (N, 2) says that they stand for."""
        for layer, (counts, sums) in enumerate(zip(self.counts, self.sums, strict=True)):
            member = F.one_hot(chosen[:, layer], len(counts)).float()
            counts.lerp_(member.sum(dim=0), 1 - DECAY)
            sums.lerp_(member.T @ left[layer], 1 - DECAY)
            (dead,) = torch.where(counts < REVIVED_BELOW)
            picked = torch.randint(len(chosen), (len(dead),), generator=generator)
            counts[dead] = len(chosen) / len(counts)
            sums[dead] = counts[dead, None] * left[layer][picked]
            codes[layer] = sums / counts[:, None]


def _nearest(points: Tensor, book: Tensor) -> Tensor:
    """The row (N,) of `book` (K, Z) nearest to each of `points` (N, Z)."""
    return (book.square().sum(dim=1) - 2 * points @ book.T).argmin(dim=1)


def perplexity(codes: Tensor, weight: Tensor, count: int) -> Tensor:
    """How many of `count` codes are used, as the exponential of the entropy of codes (N,) weighted (N,)."""
    share = torch.zeros(count, device=codes.device).index_add_(0, codes, weight.float())
    share = share / share.sum().clamp_min(1e-8)
    return torch.special.entr(share).sum().exp()


def _mlp(enter: int, width: int, leave: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(enter, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, leave)
    )
