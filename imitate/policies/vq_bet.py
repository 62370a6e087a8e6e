"""VQ-BeT: a transformer over the history chooses a chunk from a learnt vocabulary and corrects it.

"Behavior Generation with Latent Actions", Lee et al., arXiv 2403.03181, after BeT (Shafiullah et al., arXiv
2206.11251). First a residual-VQ autoencoder turns demonstrated chunks into two codes, coarse and fine. Then,
at each step of the history, the transformer predicts both codes (focal loss, Lin et al., arXiv 1708.02002)
and an offset for what they leave over (L1). When acting, codes are drawn by their probability. What differs
from the paper and its code, and why:

- The secondary code is predicted given the primary one (the code has this as an option, off): drawn apart,
  the fine code of one way of doing the task would be put onto the coarse code of another.
- The offset learns what the demonstrated codes leave over, as in the paper. The code draws codes in training,
  too, and so lets the offset pull a wrong code to the demonstrated chunk.
- The vocabulary is fitted before the first step of training, not in a run of its own (Policy.prepare).

Shapes: B batch, To observation steps, N = B·To chunks of L steps, K codes of a layer, Da action dimensions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError
from imitate.normalize import Mode
from imitate.policies.history import chunk_of_every_step, steps_ahead
from imitate.policies.nets.causal_transformer import CausalTransformerConfig
from imitate.policies.nets.chunk_heads import draw_category
from imitate.policies.nets.denoiser import full_precision_linear
from imitate.policies.nets.observation import ObservationConfig
from imitate.policies.nets.residual_vq import LAYERS, ResidualVqConfig, perplexity
from imitate.policies.observing import ObservingPolicy
from imitate.policy import Generator, Horizons, draw_noise, masked_mean
from imitate.types import ActionChunk, Batch, DataSpec

FITTED_CHUNKS = 16384
"""Enough for a vocabulary; they are those of the first of the shuffled training windows."""


@dataclass(frozen=True)
class VqBetConfig:
    """Settings of VQ-BeT.

    codebook: the vocabulary of chunks. transformer: over the history.
    offset_weight, secondary_weight: of the error of chunks, in normalised units, and of the loss of the
        secondary code, both against the loss of the primary code.
    focal_gamma: how much less codes count that are predicted well already; 0 is cross-entropy.
    """

    horizons: Horizons = field(default_factory=lambda: Horizons(obs_steps=10, pred_steps=17, action_steps=8))
    observation: ObservationConfig = field(default_factory=ObservationConfig)
    codebook: ResidualVqConfig = field(default_factory=ResidualVqConfig)
    transformer: CausalTransformerConfig = field(default_factory=CausalTransformerConfig)
    offset_weight: float = 100.0
    secondary_weight: float = 0.5
    focal_gamma: float = 2.0
    action_normalization: Mode = "minmax"

    def __post_init__(self) -> None:
        for name in ("offset_weight", "secondary_weight", "focal_gamma"):
            value = getattr(self, name)
            if not value >= 0:
                raise ConfigError(f"policy.{name} is {value}, expected 0 or more")

    def build(self, spec: DataSpec) -> "VqBet":
        """The policy with fresh weights; see ObservationConfig.build for what it raises."""
        return VqBet(self, spec)


class VqBet(ObservingPolicy):
    """A vocabulary of chunks, a causal transformer, and heads for codes and offsets."""

    learning_rate = 1e-3

    def __init__(self, config: VqBetConfig, spec: DataSpec) -> None:
        super().__init__(config, spec)
        self.config = config
        chunk_shape = (steps_ahead(config.horizons), spec.action.size)
        width, codes = config.transformer.width, config.codebook.codes
        self.codebook = config.codebook.build(chunk_shape)
        self.network = config.transformer.build(self.observation.size, config.horizons.obs_steps)
        self.primary = nn.Linear(width, codes)
        self.secondary = nn.Linear(width, codes * codes)
        self.offsets = nn.Linear(width, LAYERS * codes * chunk_shape[0] * chunk_shape[1])
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)

    @torch.no_grad()
    def prepare(self, windows: Iterable[Batch]) -> list[str]:
        """Fit the vocabulary, then frozen; see Policy."""
        said = super().prepare(windows)
        chunks: list[Tensor] = []
        newest = self.horizons.obs_steps - 1
        for batch in windows:
            every = chunk_of_every_step(batch, self.horizons).action
            # The windows of an episode overlap: their newest chunks are all there are.
            chunks += self.normalizer.action(every[newest :: newest + 1])
            if len(chunks) >= FITTED_CHUNKS:
                break
        return said + self.codebook.fit(torch.stack(chunks[:FITTED_CHUNKS]))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Focal losses of the demonstrated codes and L1 of the corrected chunks, of all steps of the history.

        Also the L1 of the chunks that codes alone give, and how many codes the batch uses (perplexity).
        """
        chunks = chunk_of_every_step(batch, self.horizons)
        clean = self.normalizer.action(chunks.action)
        codes = self.codebook.encode(clean)
        decoded = self.codebook.decode(codes)
        features = self.network(self.observe(batch.obs)).flatten(0, 1)
        primary = self._focal(self._primary(features), codes[:, 0])
        secondary = self._focal(self._secondary(features, codes[:, 0]), codes[:, 1])
        losses = {
            "primary": _mean(primary[:, None], chunks),
            "secondary": _mean(secondary[:, None], chunks),
            "offset": _mean((decoded + self._offset(features, codes) - clean).abs().mean(dim=-1), chunks),
        }
        total = (
            losses["primary"]
            + self.config.secondary_weight * losses["secondary"]
            + self.config.offset_weight * losses["offset"]
        )
        uncorrected = _mean((decoded - clean).abs().mean(dim=-1), chunks)
        return {"loss": total, **losses, "uncorrected": uncorrected, **self._usage(codes, chunks)}

    @torch.no_grad()
    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> ActionChunk:
        """A chunk of drawn codes and its offset; see Policy."""
        newest = self.network(self.observe(obs))[:, -1]
        uniform = torch.special.ndtr(draw_noise((len(newest), LAYERS), generator, newest.device))
        primary = draw_category(self._primary(newest), uniform[:, 0])
        secondary = draw_category(self._secondary(newest, primary), uniform[:, 1])
        codes = torch.stack([primary, secondary], dim=1)
        chunk = self.codebook.decode(codes) + self._offset(newest, codes)
        if self.config.action_normalization == "minmax":
            # Stay inside the demonstrated range, as Diffusion Policy's clip_sample does.
            chunk = chunk.clamp(-1.0, 1.0)
        return ActionChunk(self.normalizer.action.inverse(chunk)[:, : self.horizons.action_steps])

    def _primary(self, features: Tensor) -> Tensor:
        """The logarithm of the probability of each primary code, (N, K)."""
        return full_precision_linear(self.primary, features).log_softmax(dim=-1)

    def _secondary(self, features: Tensor, primary: Tensor) -> Tensor:
        """The same of each secondary code, given the primary ones (N,)."""
        every = full_precision_linear(self.secondary, features).unflatten(
            -1, (self.config.codebook.codes, -1)
        )
        return _rows(every, primary).log_softmax(dim=-1)

    def _offset(self, features: Tensor, codes: Tensor) -> Tensor:
        """The correction (N, L, Da) of the chunks of codes (N, 2): the sum of one for each code."""
        every = full_precision_linear(self.offsets, features).unflatten(
            -1, (LAYERS, self.config.codebook.codes, *self.codebook.chunk_shape)
        )
        return _rows(every[:, 0], codes[:, 0]) + _rows(every[:, 1], codes[:, 1])

    def _focal(self, log_weight: Tensor, code: Tensor) -> Tensor:
        """-(1 - p)^γ log p (N,) of the codes (N,)."""
        log_p = _rows(log_weight, code)
        return -((1 - log_p.exp()) ** self.config.focal_gamma) * log_p

    def _usage(self, codes: Tensor, chunks: Batch) -> dict[str, Tensor]:
        """The perplexity of each layer's codes (N, 2)."""
        weight = chunks.weight * ~chunks.is_pad[:, 0]
        primary, secondary = (perplexity(code, weight, self.config.codebook.codes) for code in codes.T)
        return {"primary_perplexity": primary, "secondary_perplexity": secondary}


def _mean(errors: Tensor, chunks: Batch) -> Tensor:
    """The mean of errors (N, L), or (N, 1) of whole chunks, of those that are not padding."""
    return masked_mean(errors, chunks.is_pad[:, : errors.shape[1]], chunks.weight)


def _rows(x: Tensor, index: Tensor) -> Tensor:
    """x[n, index[n]] of each row n of `x`."""
    return x[torch.arange(len(index), device=index.device), index]
