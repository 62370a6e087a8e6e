"""A residual MLP over the flattened chunk, conditioned by FiLM: the denoiser that is quick on a CPU.

FiLM ("Feature-wise Linear Modulation", Perez et al. 2018) scales and shifts features by what the condition
says. The modulation is a sum of a part of the observation and a part of the noise level, so the first is
computed once per chunk and the second is a table: a denoising step costs only the trunk.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.policies.nets.denoiser import (
    Denoiser,
    DenoiserConfig,
    Sizes,
    full_precision_linear,
    require_positive,
    sinusoid_table,
)


@dataclass(frozen=True)
class FilmMlpConfig(DenoiserConfig):
    """Settings of FilmMlp: trunk `width`, residual `blocks`, and the width of each condition's embedding."""

    width: int = 1024
    blocks: int = 3
    condition_width: int = 256

    def __post_init__(self) -> None:
        require_positive(self, "width", "blocks", "condition_width")

    def build(self, sizes: Sizes) -> "FilmMlp":
        """The network with fresh weights."""
        return FilmMlp(self, sizes)


class FilmBlock(nn.Module):
    """x + W2 silu(W1 film(norm(x))), starting as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """Transform features (B, width) under their modulation (B, 2 width)."""
        scale, shift = film.chunk(2, dim=-1)
        modulated = torch.addcmul(shift, self.norm(x), scale)
        return x + self.outer(F.silu(self.inner(modulated)))


class FilmMlp(Denoiser):
    """The whole chunk as one vector of Tp·Da numbers through residual blocks with FiLM."""

    levels: Tensor

    def __init__(self, config: FilmMlpConfig, sizes: Sizes) -> None:
        super().__init__()
        films = 2 * config.width * config.blocks
        hidden = config.condition_width
        self.chunk_shape = (sizes.pred_steps, sizes.action_size)
        chunk_size = sizes.pred_steps * sizes.action_size
        self.obs_embedding = nn.Sequential(
            nn.Linear(sizes.obs_steps * sizes.obs_size, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.obs_film = nn.Linear(hidden, films)
        self.register_buffer("levels", sinusoid_table(sizes.train_steps, hidden), persistent=False)
        self.level_embedding = nn.Sequential(nn.Linear(hidden, hidden), nn.SiLU())
        self.level_film = nn.Linear(hidden, films, bias=False)
        self.enter = nn.Linear(chunk_size, config.width)
        self.blocks = nn.ModuleList(FilmBlock(config.width) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, chunk_size)
        self._start_from_identity(config)

    def _start_from_identity(self, config: FilmMlpConfig) -> None:
        # Scales start near 1, shifts near 0, and the first prediction is 0.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        scales_and_shifts = self.obs_film.bias.data.view(config.blocks, 2, config.width)
        scales_and_shifts[:, 0], scales_and_shifts[:, 1] = 1.0, 0.0

    def encode(self, obs: Tensor) -> Tensor:
        """The observation's part of all modulations, (B, blocks · 2 · width)."""
        return self.obs_film(self.obs_embedding(obs.flatten(1)))

    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Predict (B, Tp, Da); see Denoiser."""
        # The noise level's part is computed per level, not per row: a batch has more rows than levels.
        levels = self.level_film(self.level_embedding(self.levels))
        films = (condition + levels[step]).chunk(len(self.blocks), dim=-1)
        x = self.enter(noisy.flatten(1))
        for block, film in zip(self.blocks, films, strict=True):
            x = block(x, film)
        return full_precision_linear(self.head, self.norm(x)).unflatten(-1, self.chunk_shape)
