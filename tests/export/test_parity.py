"""Comparing an export with its policy: errors are found and named, undecided choices are not errors."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("onnxruntime")

from imitate.errors import BundleError
from imitate.export.parity import GOLDEN_PAIRS, compare
from imitate.progress import SILENT
from imitate.types import ArraySpec, DataSpec

SPEC = DataSpec({"state": ArraySpec((2,))}, ArraySpec((2,), names=("x", "y")))
SCALE = np.array([1.0, 10.0])


class Chooser:
    """Stands for both sides: goes left or right by a decimal of the noise plus `bias`; y follows both."""

    def __init__(self, bias: float = 0.0, error: float = 0.0, gain: float = 1.0) -> None:
        self.bias, self.error, self.gain = bias, error, gain
        self.noise_size = 1
        self.policy = type("P", (), {"spec": SPEC, "plan_steps": 0})()
        self.observed = tuple(SPEC.obs)
        self.spec = SPEC

    def inputs(self, obs: dict[str, Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        return obs["state"], noise

    def __call__(self, state: Tensor, noise: Tensor) -> Tensor:
        side = torch.where((500 * (noise[:, 0] + self.bias)) % 1 > 0.5, 0.5, -0.5)
        y = self.gain * noise[:, 0] + state[:, -1, 0] + self.error
        return torch.stack([side, y], dim=1)[:, None]

    def predict_with(self, obs: dict[str, np.ndarray], noise: np.ndarray) -> np.ndarray:
        chunk = self(torch.from_numpy(obs["state"])[None], torch.from_numpy(noise)[None])
        return np.asarray(chunk[0])


def batches() -> Iterator[dict[str, Tensor]]:
    for seed in itertools.count():
        yield {"state": torch.randn(50, 1, 2, generator=torch.Generator().manual_seed(seed))}


def run(policy: Chooser, exported: Chooser, count: int = 500, lowered: Chooser | None = None):
    return compare(policy, [exported], lowered, batches(), count, SCALE, SILENT)  # type: ignore[arg-type]


def test_equal_programs_agree_on_every_observation() -> None:
    found = run(Chooser(), Chooser())
    assert found.observations == 500 and found.undecided == 0 and not found.worst.any()
    assert len(found.golden["action"]) >= GOLDEN_PAIRS
    assert found.golden["obs.state"].shape[1:] == (1, 2) and found.golden["noise"].shape[1:] == (1,)


def test_a_small_error_is_measured_in_ranges() -> None:
    found = run(Chooser(), Chooser(error=5e-4))
    assert found.worst[1] == pytest.approx(5e-5, rel=0.05) and found.worst[0] == 0


def test_a_large_error_names_the_element_and_its_size() -> None:
    with pytest.raises(BundleError, match=r"action 'y' is off by 0.0002 of its range at observation 1,"):
        run(Chooser(), Chooser(error=2e-3))


def test_a_choice_that_rounding_decides_is_no_error() -> None:
    found = run(Chooser(), Chooser(bias=4e-6), count=2000)
    assert 1 <= found.undecided <= 20
    assert found.worst.max() <= 1e-4


def test_another_choice_is_an_error() -> None:
    with pytest.raises(BundleError, match="action 'x' is off by 1"):
        run(Chooser(), Chooser(bias=5e-4))


def test_actions_that_hang_on_the_last_decimals_cannot_be_recorded() -> None:
    with pytest.raises(BundleError, match="fourth decimal"):
        run(Chooser(gain=1e4), Chooser(gain=1e4))


def test_lower_precision_is_measured_and_recorded_as_it_is() -> None:
    found = run(Chooser(), Chooser(), lowered=Chooser(error=0.02))
    assert not found.worst.any()
    assert found.deviations == pytest.approx(np.full(500, 2e-3), rel=0.01)
    exact = run(Chooser(), Chooser()).golden["action"]
    assert found.golden["action"][..., 1] == pytest.approx(exact[..., 1] + 0.02, abs=1e-5)


def test_lower_precision_may_choose_another_mode_now_and_then() -> None:
    found = run(Chooser(), Chooser(), lowered=Chooser(bias=5e-5))
    assert found.deviations is not None
    assert 0 < (found.deviations > 0.5).mean() < 0.1


def test_lower_precision_that_is_another_policy_is_refused() -> None:
    with pytest.raises(BundleError, match=r"one chunk in ten is off by .* precision=float32"):
        run(Chooser(), Chooser(), lowered=Chooser(error=1.0))
