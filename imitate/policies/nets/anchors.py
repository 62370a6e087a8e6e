"""Anchors: the few chunks that stand for all demonstrated ones, found by k-means.

DiffusionDrive (Liao et al., arXiv 2411.15139) starts from k-means centres of trajectories; k-means++ (Arthur
& Vassilvitskii, 2007) chooses where Lloyd's iterations begin. Notation: N chunks, K anchors, Tp steps, Da
action dimensions, all in normalised units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

SEED = 0
RESTARTS = 10
ITERATIONS = 50


@dataclass(frozen=True)
class Quantisation:
    """How far chunks are from the nearest of `anchors` anchors: root mean square, normalised units.

    rms counts all clustered dimensions together, per_dimension (Da,) each one alone.
    """

    anchors: int
    rms: float
    per_dimension: tuple[float, ...]


def fit_anchors(chunks: Tensor, clustered: Tensor, count: int, restarts: int = RESTARTS) -> Tensor:
    """`count` anchors (K, Tp, Da) of chunks (N, Tp, Da): the best of `restarts` runs of k-means.

    Distances count the dimensions `clustered` (Da,) only; an anchor is the mean of its chunks in all of
    them. The same chunks give the same anchors. Where there are fewer different chunks than anchors, some
    anchors are equal.
    """
    generator = torch.Generator().manual_seed(SEED)
    runs = [
        _lloyd(chunks, clustered, _spread_out(chunks, clustered, count, generator)) for _ in range(restarts)
    ]
    return min(runs, key=lambda anchors: float(distances(chunks, anchors, clustered).amin(dim=1).sum()))


def distances(chunks: Tensor, anchors: Tensor, clustered: Tensor) -> Tensor:
    """Squared distances (N, K) over the dimensions `clustered` (Da,), summed over steps and dimensions."""
    a, b = (x[..., clustered].flatten(1) for x in (chunks, anchors))
    squares = a.square().sum(dim=1)[:, None] + b.square().sum(dim=1) - 2 * a @ b.T
    return squares.clamp_min(0.0)


def quantisation(chunks: Tensor, anchors: Tensor, clustered: Tensor) -> Quantisation:
    """How well `anchors` stand for `chunks`."""
    nearest = distances(chunks, anchors, clustered).argmin(dim=1)
    squares = (chunks - anchors[nearest]).square().mean(dim=(0, 1))
    rms = float(squares[clustered].mean().sqrt()) if clustered.any() else 0.0
    return Quantisation(len(anchors), rms, tuple(squares.sqrt().tolist()))


def elbow(chunks: Tensor, clustered: Tensor, counts: Sequence[int], restarts: int = 2) -> list[Quantisation]:
    """The error for each number of anchors: more pay off until the curve flattens (the elbow)."""
    return [
        quantisation(chunks, fit_anchors(chunks, clustered, count, restarts), clustered) for count in counts
    ]


def _spread_out(chunks: Tensor, clustered: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: each anchor is a chunk drawn in proportion to its squared distance from those before."""
    chosen = [int(torch.randint(len(chunks), (), generator=generator))]
    nearest = torch.full((len(chunks),), torch.inf)
    for _ in range(count - 1):
        nearest = nearest.minimum(distances(chunks, chunks[chosen[-1:]], clustered)[:, 0])
        # Where every chunk is an anchor already, any one will do.
        chances = nearest if nearest.sum() > 0 else torch.ones_like(nearest)
        chosen.append(int(torch.multinomial(chances, 1, generator=generator)))
    return chunks[chosen]


def _lloyd(chunks: Tensor, clustered: Tensor, anchors: Tensor) -> Tensor:
    """Move anchors to the mean of their chunks until none changes; one without chunks stays."""
    before = None
    for _ in range(ITERATIONS):
        nearest = distances(chunks, anchors, clustered).argmin(dim=1)
        if before is not None and torch.equal(nearest, before):
            break
        before = nearest
        sums = torch.zeros_like(anchors).index_add_(0, nearest, chunks)
        members = torch.bincount(nearest, minlength=len(anchors))[:, None, None]
        anchors = torch.where(members > 0, sums / members.clamp_min(1), anchors)
    return anchors
