"""TFRecord framing and the wire format of its records: known bytes, every form, no way to crash."""

import struct
from pathlib import Path

import google_crc32c
import numpy as np
import pytest
import sample_tfrecord as tf
from hypothesis import given
from hypothesis import strategies as st

from imitate.datasets.formats.tfexample import parse_example
from imitate.datasets.formats.tfrecord import count_records, holds_records, masked_crc, records
from imitate.errors import DataError

INT64 = st.integers(-(2**63), 2**63 - 1)


def test_checksums_are_those_of_the_specification() -> None:
    """CRC-32C of 32 zeros and of 0 … 31: RFC 3720, B.4. The mask is TensorFlow's."""
    assert google_crc32c.value(bytes(32)) == 0x8A9136AA
    assert google_crc32c.value(bytes(range(32))) == 0x46DD794E
    for data in (b"", bytes(32), b"123456789"):
        assert masked_crc(data) == tf.masked(data)


def test_records_come_back(tmp_path: Path) -> None:
    contents = [b"", b"a", bytes(range(256)) * 50]
    path = tf.write_records(tmp_path / "a.tfrecord", contents)
    assert holds_records(path)
    assert count_records(path) == 3
    assert list(records(path)) == contents


@given(st.data())
def test_any_changed_byte_and_any_cut_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tf.write_records(tmp_path_factory.mktemp("f") / "a.tfrecord", [b"hello", b"world!"])
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    path.write_bytes(content)
    if place in (0, len(struct.pack("<QI", 0, 0)) + len(b"hello") + 4) and len(content) == place:
        return  # a cut between records is no damage
    with pytest.raises(DataError, match=r"a\.tfrecord.*(damaged|truncated)"):
        assert count_records(path) == len(list(records(path))) == 2


@given(
    st.lists(st.floats(width=32, allow_nan=False)),
    st.lists(INT64),
    st.lists(st.binary(max_size=20)),
    st.booleans(),
)
def test_values_come_back_packed_or_not(
    floats: list[float], integers: list[int], strings: list[bytes], packed: bool
) -> None:
    values = {
        "f": np.array(floats, np.float32),
        "steps/i": np.array(integers, np.int64),
        "s": strings,
    }
    found = parse_example(tf.example(values, packed)).features
    np.testing.assert_array_equal(found["f"], values["f"])
    np.testing.assert_array_equal(found["steps/i"], values["steps/i"])
    assert list(found["s"]) == strings


def test_lists_of_a_sequence_example_lie_end_to_end() -> None:
    lists = {"x": [np.array([1.0, 2.0]), np.array([3.0])], "names": [[b"a"], [b"b", b"c"]]}
    found = parse_example(tf.sequence_example({"id": np.array([7])}, lists))
    assert found.features["id"].tolist() == [7]
    assert found.lists["x"].tolist() == [1.0, 2.0, 3.0]
    assert found.lists["names"] == [b"a", b"b", b"c"]
    assert found.lengths == {"x": (2, 1), "names": (1, 2)}


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_values_or_a_value_error(data: bytes) -> None:
    try:
        parse_example(data)
    except ValueError as error:
        assert str(error)


@given(st.data())
def test_a_damaged_record_is_values_or_a_value_error(data: st.DataObject) -> None:
    record = bytearray(tf.example({"steps/action": np.arange(6.0), "t": [b"text"], "n": np.arange(5) - 2}))
    for _ in range(data.draw(st.integers(1, 4))):
        record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    try:
        parse_example(bytes(record))
    except ValueError as error:
        assert str(error)
