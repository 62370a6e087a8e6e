"""A U-Net of convolutions along the chunk: the denoiser of Diffusion Policy's CNN variant.

arXiv 2303.04137, section III-A; the layout of channels and blocks is that of Janner et al., arXiv 2205.09991.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from imitate.errors import ConfigError
from imitate.policies.nets.convolution import Conv1d, Doubling
from imitate.policies.nets.denoiser import (
    Denoiser,
    DenoiserConfig,
    Sizes,
    full_precision_linear,
    require_positive,
)
from imitate.policies.nets.film import FilmCondition, film


@dataclass(frozen=True)
class UNet1dConfig(DenoiserConfig):
    """Settings of UNet1d: channels per resolution, kernel size in steps, groups of the group norms.

    Each resolution but the first halves the chunk, so 2^(number of widths - 1) must divide pred_steps.
    """

    widths: tuple[int, ...] = (256, 512, 1024)
    kernel: int = 5
    groups: int = 8
    condition_width: int = 256

    def __post_init__(self) -> None:
        require_positive(self, "kernel", "groups", "condition_width")
        if not self.widths or min(self.widths) < 1:
            raise ConfigError(f"policy.denoiser.widths is {list(self.widths)}, expected numbers above 0")
        if self.kernel % 2 == 0:
            raise ConfigError(f"policy.denoiser.kernel is {self.kernel}, expected an odd number")
        for width in self.widths:
            if width % self.groups:
                raise ConfigError(
                    f"policy.denoiser.widths has {width}, which policy.denoiser.groups = {self.groups} "
                    "does not divide"
                )

    def build(self, sizes: Sizes) -> "UNet1d":
        """The network with fresh weights; raises ConfigError where pred_steps cannot be halved enough."""
        factor = 2 ** (len(self.widths) - 1)
        if sizes.pred_steps % factor:
            below = sizes.pred_steps - sizes.pred_steps % factor
            raise ConfigError(
                f"policy.horizons.pred_steps is {sizes.pred_steps}, but the U-Net halves the chunk "
                f"{len(self.widths) - 1} times (policy.denoiser.widths = {list(self.widths)}): expected a "
                f"multiple of {factor}, such as {below or factor} or {below + factor}"
            )
        return UNet1d(self, sizes)


class UNet1d(Denoiser):
    """Two blocks per resolution on the way down, two at the bottom, two per resolution on the way up."""

    def __init__(self, config: UNet1dConfig, sizes: Sizes) -> None:
        super().__init__()
        widths = config.widths
        down = zip((sizes.action_size, *widths[:-1]), widths, strict=True)
        bottom = (widths[-1], widths[-1])
        up = [(2 * wide, narrow) for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True)]
        blocks = [
            FilmConvBlock(source, target, config)
            for enter, leave in (*down, bottom, *up)
            for source, target in ((enter, leave), (leave, leave))
        ]
        self.blocks = nn.ModuleList(blocks)
        self.halvings = nn.ModuleList(Conv1d(w, w, 3, stride=2, padding=1) for w in widths[:-1])
        self.doublings = nn.ModuleList(Doubling(w) for w in widths[-2::-1])
        self.condition = FilmCondition(sizes, config.condition_width, [b.width for b in blocks])
        self.last = ConvNorm(widths[0], widths[0], config)
        self.head = nn.Linear(widths[0], sizes.action_size)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def encode(self, obs: Tensor) -> Tensor:
        """The observation's part of all modulations; see FilmCondition."""
        return self.condition.encode(obs)

    def forward(self, noisy: Tensor, step: Tensor, condition: Tensor) -> Tensor:
        """Predict (B, Tp, Da); see Denoiser."""
        pairs = iter(zip(self.blocks, self.condition(step, condition), strict=True))

        def two_blocks(x: Tensor) -> Tensor:
            for block, modulation in (next(pairs), next(pairs)):
                x = block(x, modulation)
            return x

        x, skips = two_blocks(noisy.transpose(1, 2)), []
        for halve in self.halvings:
            skips.append(x)
            x = two_blocks(halve(x))
        skips.append(x)
        x = two_blocks(x)
        # As in Diffusion Policy, the way up ends before the features of the first resolution would join.
        for double in self.doublings:
            x = double(two_blocks(torch.cat([x, skips.pop()], dim=1)))
        return full_precision_linear(self.head, self.last(x).transpose(1, 2))


class ConvNorm(nn.Module):
    """Convolution that keeps the length, group norm, Mish."""

    def __init__(self, source: int, target: int, config: UNet1dConfig) -> None:
        super().__init__()
        self.conv = Conv1d(source, target, config.kernel, padding=config.kernel // 2)
        self.norm = nn.GroupNorm(config.groups, target)

    def forward(self, x: Tensor) -> Tensor:
        """(B, source, T) to (B, target, T)."""
        return F.mish(self.norm(self.conv(x)))


class FilmConvBlock(nn.Module):
    """Two convolutions with FiLM between them, and a shortcut."""

    def __init__(self, source: int, target: int, config: UNet1dConfig) -> None:
        super().__init__()
        self.width = target
        self.before = ConvNorm(source, target, config)
        self.after = ConvNorm(target, target, config)
        self.shortcut = Conv1d(source, target, 1) if source != target else nn.Identity()

    def forward(self, x: Tensor, modulation: Tensor) -> Tensor:
        """(B, source, T) and its modulation (B, 2 target) to (B, target, T)."""
        return self.after(film(self.before(x), modulation)) + self.shortcut(x)
