"""FiLM: features scaled and shifted by what a condition says.

"FiLM: Visual Reasoning with a General Conditioning Layer", Perez et al., arXiv 1709.07871. Diffusion Policy
conditions on [observation; noise level]. Here the modulation is the sum of a part of the observation,
computed once per chunk, and a part of the noise level, which is a table: a denoising step adds the two.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imitate.policies.nets.denoiser import Sizes, embed_levels, sinusoid_table


class FilmCondition(nn.Module):
    """All modulations of a network: for each of `widths` a scale (near 1 at first) and a shift (near 0)."""

    levels: Tensor

    def __init__(self, sizes: Sizes, hidden: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.splits = [2 * width for width in widths]
        self.obs_embedding = nn.Sequential(
            nn.Linear(sizes.obs_steps * sizes.obs_size, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
        )
        self.obs_film = nn.Linear(hidden, sum(self.splits))
        self.register_buffer("levels", sinusoid_table(sizes.train_steps, hidden), persistent=False)
        self.level_film = nn.Sequential(
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, sum(self.splits), bias=False)
        )
        with torch.no_grad():
            for bias in self.obs_film.bias.split(self.splits):
                scale, shift = bias.chunk(2)
                scale.fill_(1.0)
                shift.zero_()

    def encode(self, obs: Tensor) -> Tensor:
        """The observation's part of all modulations, (B, 2 · sum of widths), from (B, To, Do)."""
        return self.obs_film(self.obs_embedding(obs.flatten(1)))

    def forward(self, step: Tensor, encoded: Tensor) -> tuple[Tensor, ...]:
        """One modulation (B, 2 width) per width, at noise levels `step`, (B,) or (1,)."""
        modulation = encoded + embed_levels(self.level_film, self.levels, step)
        return modulation.split(self.splits, dim=-1)


def film(x: Tensor, modulation: Tensor) -> Tensor:
    """x · scale + shift for x (B, C) or (B, C, T) and a modulation (B, 2C)."""
    scale, shift = modulation.chunk(2, dim=-1)
    if x.ndim == 3:
        scale, shift = scale[..., None], shift[..., None]
    return torch.addcmul(shift, x, scale)
