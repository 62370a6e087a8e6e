"""The meter tells how much of a step was spent waiting for its batch."""

import time

import pytest
import torch

from imitate.training.meter import Meter


@pytest.mark.parametrize(("wait", "work", "expected"), [(0.03, 0.01, 0.75), (0.0, 0.03, 0.0)])
def test_the_share_of_time_that_was_spent_waiting(wait: float, work: float, expected: float) -> None:
    meter = Meter()
    for step in range(3):
        meter.start()
        time.sleep(wait)
        meter.fed()
        time.sleep(work)
        meter.add(step, {"loss": torch.tensor(1.0)})
    assert meter.means()["train/data_wait"] == pytest.approx(expected, abs=0.2)
