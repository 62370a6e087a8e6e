"""A policy in this process as one recorded graph: the same chunks, for a fixed number of rows, in less time.

Recording leaves out what Python does between operations, and computes what depends on weights and settings
alone once: noise tables, what noise levels say to every layer, the experts of each step. Weights of linear
layers are then laid out as they are multiplied. No compiler is needed. A recorded policy keeps the weights
that it was made from.
"""

from collections.abc import Mapping
from typing import get_args

import torch
from torch import Tensor

from imitate.errors import ConfigError, nearest
from imitate.export.layout import Precision, lay_out
from imitate.export.tracing import Acting, record
from imitate.policy import Generator, Policy, draw_noise


class RecordedPolicy:
    """The chunk (rows, Ta, Da) of `policy` in evaluation mode, kept inside the action range of its spec.

    precision "bf16" multiplies by bfloat16 weights: half of what a large network reads from memory at every
    step. Its chunks differ in the third decimal of the normalised range. On a CPU only.
    """

    def __init__(self, policy: Policy, rows: int = 1, precision: Precision = "fp32") -> None:
        if rows < 1:
            raise ConfigError(f"rows is {rows}, expected at least 1")
        if precision not in get_args(Precision):
            raise ConfigError(f"precision is {precision!r}{nearest(precision, get_args(Precision))}")
        self._acting = _ActingOnRows(policy, rows)
        self._rows = rows
        self._graph = record(self._acting)
        lay_out(self._graph, precision)

    @property
    def noise_size(self) -> int:
        """N, how many standard normal numbers a row takes."""
        return self._acting.noise_size

    def predict(self, obs: Mapping[str, Tensor], generator: Generator) -> Tensor:
        """The chunk after observing {name: (rows, To, …)}; all noise is drawn at once."""
        return self.predict_with(obs, draw_noise((self._rows, self.noise_size), generator, _device(obs)))

    @torch.inference_mode()
    def predict_with(self, obs: Mapping[str, Tensor], noise: Tensor) -> Tensor:
        """The chunk for noise (rows, N); raises ConfigError for any other number of rows."""
        for name, value in (*obs.items(), ("noise", noise)):
            if len(value) != self._rows:
                raise ConfigError(
                    f"{name} has {len(value)} rows, but the policy was recorded for {self._rows}"
                )
        chunk: Tensor = self._graph(*self._acting.inputs(obs, noise))
        return chunk


class _ActingOnRows(Acting):
    """Recorded on `rows` rows where the example has one."""

    def __init__(self, policy: Policy, rows: int) -> None:
        super().__init__(policy)
        self.rows = rows

    def inputs(self, obs: Mapping[str, Tensor], noise: Tensor) -> tuple[Tensor, ...]:
        """See Acting."""
        given = super().inputs(obs, noise)
        return tuple(x.repeat(self.rows, *(1,) * (x.ndim - 1)) if len(x) == 1 else x for x in given)


def _device(obs: Mapping[str, Tensor]) -> torch.device:
    return next(iter(obs.values())).device
