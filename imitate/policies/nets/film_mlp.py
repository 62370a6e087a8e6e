"""A residual MLP over the flattened chunk, conditioned by FiLM: the denoiser that is quick on a CPU."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from imitate.policies.nets.denoiser import (
    Denoiser,
    DenoiserConfig,
    Sizes,
    full_precision_linear,
    require_dropout,
    require_positive,
)
from imitate.policies.nets.dropout import Dropout
from imitate.policies.nets.film import FilmCondition, film


@dataclass(frozen=True)
class FilmMlpConfig(DenoiserConfig):
    """Settings of FilmMlp: trunk `width`, residual `blocks`, and the width of the condition's embedding.

    `dropout` of the features inside each block is what keeps a few hundred demonstrations from being learnt
    by heart.
    """

    width: int = 512
    blocks: int = 4
    condition_width: int = 256
    dropout: float = 0.2

    def __post_init__(self) -> None:
        require_positive(self, "width", "blocks", "condition_width")
        require_dropout(self.dropout)

    def build(self, sizes: Sizes) -> "FilmMlp":
        """The network with fresh weights."""
        return FilmMlp(self, sizes)


class FilmMlp(Denoiser):
    """The whole chunk as one vector of Tp·Da numbers through residual blocks with FiLM."""

    learning_rate = 1e-3

    def __init__(self, config: FilmMlpConfig, sizes: Sizes) -> None:
        super().__init__()
        self.chunk_shape = (sizes.pred_steps, sizes.action_size)
        chunk_size = sizes.pred_steps * sizes.action_size
        self.condition = FilmCondition(sizes, config.condition_width, [config.width] * config.blocks)
        self.enter = nn.Linear(chunk_size, config.width)
        self.blocks = nn.ModuleList(FilmBlock(config.width, config.dropout) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, chunk_size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def encode(self, obs: Tensor) -> Tensor:
        """The observation's part of all modulations; see FilmCondition."""
        return self.condition.encode(obs)

    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Predict (B, Tp, Da); see Denoiser."""
        x = self.enter(noisy.flatten(1))
        for block, modulation in zip(self.blocks, self.condition(step, condition), strict=True):
            x = block(x, modulation)
        return full_precision_linear(self.head, self.norm(x)).unflatten(-1, self.chunk_shape)


class FilmBlock(nn.Module):
    """x + W2 dropout(silu(W1 film(norm(x)))), starting as the identity."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.inner = nn.Linear(width, width)
        self.dropout = Dropout(dropout)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """Transform features (B, width) under their modulation (B, 2 width)."""
        return x + self.outer(self.dropout(F.silu(self.inner(film(self.norm(x), modulation)))))
