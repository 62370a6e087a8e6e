"""What is said of time stamps whose gaps and jitter are known."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.timing import timing


def test_even_steps_have_neither_jitter_nor_gaps() -> None:
    found = timing(100.0 + np.arange(50) / 20)
    assert found["rate_hz"] == pytest.approx(20.0)
    assert found["jitter_s"] == pytest.approx(0.0, abs=1e-9)
    assert (found["gaps"], found["gap_count"], found["backwards"]) == ([], 0, 0)


def test_the_longest_gap_comes_first() -> None:
    stamps = np.cumsum([0.0, 0.1, 0.1, 0.3, 0.1, 0.5, 0.1])
    found = timing(stamps, rate_hz=10.0)
    assert [step for step, _ in found["gaps"]] == [4, 2]
    assert found["gaps"][0][1] == pytest.approx(0.5)
    assert found["jitter_s"] == pytest.approx(0.0, abs=1e-9), "a pause is no jitter"


def test_time_that_goes_back_is_counted() -> None:
    assert timing(np.array([0.0, 0.1, 0.05, 0.2, 0.2]))["backwards"] == 2


def test_nothing_is_said_of_one_stamp_or_of_one_that_is_no_number() -> None:
    assert timing(np.array([1.0])) == {} == timing(np.array([0.0, np.nan, 0.2]))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40), st.none() | st.floats(0.1, 1e3))
def test_whatever_comes_the_answer_is_json(stamps: list[float], rate_hz: float | None) -> None:
    json.dumps(timing(np.array(stamps), rate_hz), allow_nan=False)
