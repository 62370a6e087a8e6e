"""Facts about rows that lie in runs in other arrays: they are the rows that copying would give."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from imitate.datasets.stored_array import StoredArray
from imitate.datasets.views.piecewise import PiecewiseArray, Runs
from imitate.types import ArraySpec

SIZES = (50, 31)
SPEC = ArraySpec((2,))


def source(number: int, dtype: str = "float32") -> StoredArray:
    values = np.arange(SIZES[number] * 2).reshape(-1, 2).astype(dtype) + 1000 * number
    raw = zarr.create_array({}, shape=values.shape, chunks=(7, 2), dtype=dtype)
    raw[:] = values
    return StoredArray(raw, len(values), ArraySpec((2,), dtype), f"source {number}")


runs = st.lists(
    st.integers(0, 1).flatmap(
        lambda n: st.tuples(st.just(n), st.integers(0, SIZES[n] - 1), st.integers(1, 12)).map(
            lambda run: (run[0], run[1], min(run[2], SIZES[run[0]] - run[1]))
        )
    ),
    min_size=1,
    max_size=8,
)


def pieced(found: list[tuple[int, int, int]]) -> tuple[PiecewiseArray, np.ndarray]:
    """The array of the runs (source, first row, length), and a copy of its rows."""
    arrays = [source(0), source(1)]
    columns = np.array(found, np.int64)
    array = PiecewiseArray(arrays, Runs.of(*columns.T), SPEC, "view")
    return array, np.concatenate([arrays[n][first : first + length] for n, first, length in found])


@settings(max_examples=30)
@given(runs, st.data())
def test_every_way_to_read_gives_what_a_copy_gives(
    found: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    array, copy = pieced(found)
    assert (array.shape, len(array), array.nbytes) == (copy.shape, len(copy), copy.nbytes)
    assert np.array_equal(array[:], copy)
    part = data.draw(st.slices(len(copy)))
    assert np.array_equal(array[part], copy[part])
    rows = np.array(data.draw(st.lists(st.integers(-len(copy), len(copy) - 1), max_size=30)), np.int64)
    assert np.array_equal(array[rows], copy[rows])
    into = np.empty((len(rows), 2), np.float32)
    array.read_into(rows, into)
    assert np.array_equal(into, copy[rows])
    wider = np.zeros((2 * len(rows) + 1, 2), np.float32)
    array.read_into(rows, wider, np.arange(1, len(wider), 2)[::-1])
    assert np.array_equal(wider[1::2][::-1], copy[rows])
    assert not wider[::2].any()
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(copy), max_size=len(copy))))
    assert np.array_equal(array[mask], copy[mask])
    assert np.array_equal(array[int(len(copy) - 1)], copy[-1])


@given(runs)
def test_runs_that_go_on_are_one(found: list[tuple[int, int, int]]) -> None:
    columns = np.array(found, np.int64).T
    joined = Runs.of(*columns)
    single = Runs.of(
        np.repeat(columns[0], columns[2]),
        np.concatenate([np.arange(first, first + n) for _, first, n in found]),
        np.ones(columns[2].sum(), np.int64),
    )
    for a, b in zip(
        (joined.source, joined.first, joined.ends), (single.source, single.first, single.ends), strict=True
    ):
        assert np.array_equal(a, b)


def test_rows_that_are_not_there_are_refused() -> None:
    array, copy = pieced([(0, 3, 5)])
    for wrong in (len(copy), -len(copy) - 1):
        with pytest.raises(IndexError):
            array[np.array([wrong])]
        with pytest.raises(IndexError):
            array[wrong]


def test_elements_and_types_are_those_of_the_view() -> None:
    arrays = [source(0), source(1, "float64")]
    runs = Runs.of(np.array([0, 1]), np.array([2, 4]), np.array([3, 3]))
    array = PiecewiseArray(arrays, runs, ArraySpec((1,)), "view", [np.array([1]), np.array([0])])
    assert array[:].dtype == np.float32
    assert np.array_equal(array[:], np.concatenate([arrays[0][2:5][:, [1]], arrays[1][4:7][:, [0]]]))
    into = np.empty((6, 1), np.float32)
    array.read_into(np.arange(6)[::-1], into)
    assert np.array_equal(into, array[:][::-1])
