"""What travels between policy server and client."""

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imitate.errors import ServerError
from imitate.serving.wire import DTYPES, array, pack, unpack

ARRAYS = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        np.dtype(dtype), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    )
)


@given(ARRAYS)
def test_arrays_arrive_as_they_were(values: np.ndarray) -> None:
    found = array(unpack(pack({"a": values}))["a"], "a")
    assert (found.dtype, found.shape, found.tobytes()) == (values.dtype, values.shape, values.tobytes())


def test_arrays_that_are_not_in_order_arrive_as_they_were() -> None:
    values = np.arange(24, dtype=">f4").reshape(2, 3, 4).transpose(2, 0, 1)
    assert np.array_equal(array(unpack(pack({"a": values}))["a"], "a"), values)


@given(st.binary(max_size=200))
def test_nonsense_is_refused_in_one_line(data: bytes) -> None:
    try:
        message = unpack(data)
    except ServerError:
        return
    assert isinstance(message, dict)


@given(
    st.recursive(
        st.none() | st.integers() | st.binary() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.sampled_from(["dtype", "shape", "data"]), s),
    )
)
def test_what_is_no_array_is_refused_in_one_line(value: object) -> None:
    with pytest.raises(ServerError, match=r"^a "):
        array(value, "a")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"dtype": "|O"}, "dtype"),
        ({"dtype": ">f4"}, "dtype"),
        ({"shape": [3]}, "8 bytes, expected 12"),
        ({"shape": [2**40]}, "shape"),
        ({"shape": [2**30, 2**30]}, "expected"),
        ({"shape": [-2]}, "shape"),
        ({"shape": [True, 2]}, "shape"),
        ({"shape": [1] * 9}, "shape"),
        ({"data": "text"}, "str"),
    ],
)
def test_arrays_that_lie_are_refused(change: dict[str, object], problem: str) -> None:
    with pytest.raises(ServerError, match=problem):
        array({"dtype": "<f4", "shape": [2], "data": b"\0" * 8} | change, "a")


def test_text_and_depth_are_refused() -> None:
    with pytest.raises(ServerError, match="text"):
        unpack("{}")
    with pytest.raises(ServerError, match="msgpack"):
        unpack(b"\x91" * 100_000)
    with pytest.raises(ServerError, match="list, expected a map"):
        unpack(msgpack.packb([1]))
