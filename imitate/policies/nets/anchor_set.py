"""The anchors of a policy: fitted once on its training chunks, then part of its weights.

Shapes: B batch, K anchors, Tp predicted steps, Da action dimensions; all in normalised units.
"""

import torch
from torch import Tensor, nn

from imitate.errors import ConfigError, nearest
from imitate.policies.nets.anchors import elbow, fit_anchors, quantisation
from imitate.types import ArraySpec


class AnchorSet(nn.Module):
    """K chunks.

    `clustered` (Da,) says which action elements k-means and matching look at: all but `direct`. Until `fit`
    or a checkpoint sets them, anchors are random. Raises ConfigError where `direct` is not part of `action`.
    """

    chunks: Tensor
    clustered: Tensor

    def __init__(self, count: int, direct: tuple[str, ...], pred_steps: int, action: ArraySpec) -> None:
        super().__init__()
        self.names = action.names or tuple(map(str, range(action.size)))
        self.register_buffer("clustered", _all_but(direct, self.names), persistent=False)
        constant = 2 * torch.rand(count, 1, action.size) - 1
        self.register_buffer("chunks", constant.repeat(1, pred_steps, 1))

    def __len__(self) -> int:
        return len(self.chunks)

    def match(self, chunks: Tensor, is_pad: Tensor) -> Tensor:
        """The anchor (B,) nearest to each of `chunks` (B, Tp, Da), over the steps that are not padding.

        Nearest as k-means means it, by squares; the paper takes the mean over steps of the distance.
        """
        difference = (chunks[:, None] - self.chunks)[..., self.clustered]
        per_step = difference.square().sum(dim=-1).masked_fill(is_pad[:, None], 0.0)
        return per_step.sum(dim=-1).argmin(dim=1)

    def fit(self, chunks: Tensor) -> list[str]:
        """Cluster `chunks` (N, Tp, Da); says how far they are, also for other numbers of anchors.

        Raises ConfigError where there are fewer different chunks than anchors.
        """
        different = len(chunks[..., self.clustered].unique(dim=0))
        if different < len(self):
            raise ConfigError(
                f"policy.anchors is {len(self)}, but of {len(chunks)} chunks to cluster {different} differ: "
                f"set it to {different} or less, or collect more"
            )
        self.chunks.copy_(fit_anchors(chunks, self.clustered, len(self)))
        found = quantisation(chunks, self.chunks, self.clustered)
        each = ", ".join(
            f"{name} {rms:.3f}" for name, rms in zip(self.names, found.per_dimension, strict=True)
        )
        counts = [max(1, len(self) // 4), max(1, len(self) // 2)]
        counts += [count for count in (2 * len(self), 4 * len(self)) if count <= different]
        others = ", ".join(f"{q.rms:.3f} with {q.anchors}" for q in elbow(chunks, self.clustered, counts))
        return [
            f"{len(self)} anchors for {len(chunks)} chunks; normalised distance to the nearest, rms:",
            f"{found.rms:.3f} ({each}); it would be {others}",
        ]


def _all_but(direct: tuple[str, ...], names: tuple[str, ...]) -> Tensor:
    for name in direct:
        if name not in names:
            raise ConfigError(f"policy.direct names {name!r}{nearest(name, names)}")
    if set(names) <= set(direct):
        raise ConfigError("policy.direct names all elements of the action: none is left to cluster by")
    return torch.tensor([name not in direct for name in names])
