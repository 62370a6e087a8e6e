"""Letting a package that draws from torch's own generators draw from noise that it is given instead."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution
from torch.overrides import TorchFunctionMode

from imitate.policies.nets.chunk_heads import draw_category
from imitate.policy import NoiseSource


@contextmanager
def drawing_from(source: NoiseSource) -> Iterator[None]:
    """For one row (B = 1): what torch would draw from normal distributions or categories is made of `source`.

    Distributions do not check their arguments meanwhile: whoever records operations cannot look at values.
    """
    checks = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        with _Redirected(source):
            yield
    finally:
        Distribution.set_default_validate_args(checks)


class _Redirected(TorchFunctionMode):
    def __init__(self, source: NoiseSource) -> None:
        super().__init__()
        self._source = source
        self._instead: dict[Any, Callable[..., Tensor]] = {
            torch.normal: self._normal,
            torch.multinomial: self._multinomial,
            torch.randn: self._randn,
            torch.randn_like: lambda like: self._draw(like.shape),
            torch.Tensor.normal_: lambda like, mean=0.0, std=1.0: mean + std * self._draw(like.shape),
        }

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return self._instead.get(func, func)(*args, **(kwargs or {}))

    def _draw(self, shape: Sequence[int]) -> Tensor:
        return self._source.take((1, *shape))[0]

    def _randn(self, *shape: Any, **_: Any) -> Tensor:
        return self._draw(shape[0] if isinstance(shape[0], Sequence) else shape)

    def _normal(self, mean: Tensor, std: Tensor) -> Tensor:
        return mean + std * self._draw(mean.shape)

    def _multinomial(self, weight: Tensor, count: int, replacement: bool = False) -> Tensor:
        """Categories (R, count) of weights (R, K), drawn with replacement."""
        assert replacement or count == 1
        uniform = torch.special.ndtr(self._draw((count, len(weight))))
        log_weight = (weight / weight.sum(dim=-1, keepdim=True)).log()
        return torch.stack([draw_category(log_weight, each) for each in uniform], dim=1)
