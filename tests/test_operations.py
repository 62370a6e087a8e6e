"""Operations that a piece of work takes: those of fused layers too."""

import importlib
from collections.abc import Callable

import benchmark
import pytest
import torch
from torch import nn

Count = Callable[[Callable[[], object]], int]
STEPS, WIDTH, INNER = 5, 32, 64
X = torch.zeros(1, STEPS, WIDTH)
PROJECTIONS = STEPS * (
    4 * WIDTH * WIDTH + 2 * WIDTH * INNER
)  # Query, key, value, output; then the two of the MLP.
SCORES = 2 * STEPS * STEPS * WIDTH  # Queries by keys, and weights by values.
CASES = {
    "linear": (nn.Linear(WIDTH, INNER), STEPS * WIDTH * INNER),
    "lstm": (nn.LSTM(WIDTH, INNER, 2, batch_first=True), STEPS * 4 * INNER * (WIDTH + 3 * INNER)),
    "encoder": (nn.TransformerEncoderLayer(WIDTH, 4, INNER, batch_first=True), PROJECTIONS + SCORES),
}


@pytest.fixture
def operations(monkeypatch: pytest.MonkeyPatch) -> Count:
    monkeypatch.syspath_prepend(str(benchmark.BENCHMARKS))
    return importlib.import_module("operations").operations


@pytest.mark.parametrize("name", CASES)
def test_multiply_adds_of_a_layer_are_those_of_its_products(name: str, operations: Count) -> None:
    layer, macs = CASES[name]
    layer.eval()
    with torch.no_grad():
        assert operations(lambda: layer(X)) == 2 * macs


def test_counting_leaves_the_fast_paths_as_they_were(operations: Count) -> None:
    with pytest.raises(ZeroDivisionError):
        operations(lambda: 1 / 0)
    assert torch.backends.mha.get_fastpath_enabled() and torch.backends.mkldnn.enabled
