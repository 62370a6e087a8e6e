"""Where NaN and infinity first stand."""

import numpy as np
import pytest

from imitate.datasets.finite import first_unknown_step


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_step_with_a_number_that_is_none(bad: float) -> None:
    values = np.zeros((5, 2, 3), np.float32)
    assert first_unknown_step(values) is None
    values[4, 0, 0] = values[2, 1, 2] = bad
    assert first_unknown_step(values) == 2


def test_whole_numbers_are_always_known() -> None:
    assert first_unknown_step(np.zeros((3, 2), np.uint8)) is None
    assert first_unknown_step(np.zeros((0, 2), np.float32)) is None
