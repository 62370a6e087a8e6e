"""Several small networks side by side, trained at once as one batched product: cheaper than one by one."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK = 8192
LEARNING_RATE = 3e-3

Loss = Callable[[Tensor, Tensor], Tensor]
"""Elementwise loss of prediction and target, both (M, B, O)."""


@dataclass(frozen=True)
class StackedNetworks:
    """M multilayer perceptrons of the same shape: layer i holds weight (M, in, out) and bias (M, 1, out).

    Between layers stand LayerNorm (without weights) and SiLU.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]

    @classmethod
    def fit(
        cls,
        inputs: np.ndarray,
        targets: np.ndarray,
        groups: Sequence[np.ndarray],
        loss: Loss,
        *,
        width: int = 128,
        steps: int = 400,
        batch: int = 256,
        weight_decay: float = 1e-2,
        bent: bool = False,
        seed: int = 0,
    ) -> "StackedNetworks":
        """One network per entry of `groups`, trained on those rows of inputs (N, I) and targets (N, O).

        A step draws `batch` rows for each network, so the cost does not grow with N. With `bent` the first
        biases are drawn, too: with zeros there all networks continue the data alike, far beyond it.
        Deterministic given `seed` and the number of threads.
        """
        generator = torch.Generator().manual_seed(seed)
        x, y = _tensor(inputs), _tensor(targets)
        rows = [torch.from_numpy(np.asarray(group, np.int64)) for group in groups]
        layers = _start(len(groups), (x.shape[1], width, width, y.shape[1]), bent, generator)
        weights = [part.requires_grad_() for layer in layers for part in layer]
        optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=weight_decay)
        curve = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        with torch.enable_grad():
            for _ in range(steps):
                drawn = [own[torch.randint(len(own), (batch,), generator=generator)] for own in rows]
                chosen = torch.stack(drawn)
                # Summed over networks: each one's gradient is its own.
                total = loss(_forward(layers, x[chosen]), y[chosen]).mean(dim=(1, 2)).sum()
                optimizer.zero_grad(set_to_none=True)
                total.backward()
                optimizer.step()
                curve.step()
        return cls(tuple((weight.detach(), bias.detach()) for weight, bias in layers))

    @torch.no_grad()
    def predict(self, inputs: np.ndarray) -> np.ndarray:
        """What every network makes of inputs (N, I): (M, N, O) float32."""
        parts = _tensor(inputs).split(CHUNK)
        members = len(self.layers[0][0])
        return torch.cat([_forward(self.layers, x.expand(members, *x.shape)) for x in parts], dim=1).numpy()

    @torch.no_grad()
    def predict_own(self, inputs: np.ndarray, network: np.ndarray) -> np.ndarray:
        """What network[n] makes of inputs[n]: (N, O) float32 for inputs (N, I) and network (N,)."""
        out = np.empty((len(inputs), self.layers[-1][0].shape[2]), np.float32)
        for member in range(len(self.layers[0][0])):
            own = np.flatnonzero(network == member)
            single = [
                (weight[member : member + 1], bias[member : member + 1]) for weight, bias in self.layers
            ]
            for rows in np.array_split(own, max(1, -(-len(own) // CHUNK))):
                out[rows] = _forward(single, _tensor(inputs[rows])[None])[0].numpy()
        return out


def folds(episodes: int, count: int, seed: int) -> np.ndarray:
    """A fold from 0 to count - 1 for each episode, (E,) int64, drawn with `seed`, all about as large."""
    fold = np.empty(episodes, np.int64)
    fold[np.random.default_rng(seed).permutation(episodes)] = np.arange(episodes) % count
    return fold


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _start(
    members: int, sizes: tuple[int, ...], bent: bool, generator: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    layers = []
    for index, (a, b) in enumerate(pairwise(sizes)):
        weight = torch.randn(members, a, b, generator=generator) / math.sqrt(max(1, a))
        drawn = bent and index == 0
        bias = torch.randn(members, 1, b, generator=generator) if drawn else torch.zeros(members, 1, b)
        layers.append((weight, bias))
    return layers


def _forward(layers: Sequence[tuple[Tensor, Tensor]], x: Tensor) -> Tensor:
    """(M, B, I) -> (M, B, O)."""
    for weight, bias in layers[:-1]:
        hidden = torch.baddbmm(bias, x, weight)
        x = F.silu(F.layer_norm(hidden, hidden.shape[-1:]))
    weight, bias = layers[-1]
    return torch.baddbmm(bias, x, weight)
