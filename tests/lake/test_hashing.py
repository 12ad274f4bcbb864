"""The vectorised hashes are those of hashlib, at every size around where the way of hashing changes."""

import hashlib
import os

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.lake.hashing import binary_values, hash_leaves, hash_nodes, join_fixed, values_of
from audit_pipeline.records.canonical import record_leaf
from audit_pipeline.tlog import hash_pairs

SIZES = [0, 1, 2, 1023, 1024, 1025, 8191, 8192, 8193, 20_000]


@pytest.mark.parametrize("pairs", SIZES)
def test_nodes_are_those_of_hashlib(pairs: int) -> None:
    children = os.urandom(64 * pairs)

    assert hash_nodes(children) == hash_pairs(children)


@pytest.mark.parametrize("count", SIZES)
def test_leaves_are_those_of_hashlib(count: int) -> None:
    salts = os.urandom(16 * count)
    records = [os.urandom(n % 300) for n in range(count)]

    hashes = hash_leaves(salts, pa.array(records, pa.binary()))

    expected = [record_leaf(salts[16 * n : 16 * n + 16], record) for n, record in enumerate(records)]
    assert hashes == b"".join(expected)


@given(some=st.lists(st.binary(max_size=50), min_size=128, max_size=150), cut=st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_a_slice_of_an_array_hashes_as_its_values_do(some: list[bytes], cut: int) -> None:
    records = some * 9
    array = pa.array(records, pa.binary())[cut:]
    salts = bytes(16 * len(array))

    expected = b"".join(hashlib.sha256(b"\0\1" + bytes(16) + record).digest() for record in records[cut:])

    assert hash_leaves(salts, array) == expected


def test_salts_that_do_not_fit_the_records_are_refused() -> None:
    with pytest.raises(ValueError, match="salt"):
        hash_leaves(bytes(15), pa.array([b"x"], pa.binary()))


@given(st.lists(st.binary(max_size=20)))
def test_values_that_lie_one_after_the_other_are_an_array(values: list[bytes]) -> None:
    offsets = np.cumsum([0, *map(len, values)])

    array = binary_values(pa.py_buffer(b"".join(values)), offsets)

    assert array.to_pylist() == values
    for part in (array, array[1:], array[1:-1], array[:0]):
        assert values_of(part) == part.to_pylist()


@given(st.lists(st.binary(min_size=5, max_size=5)), st.integers(0, 4))
def test_values_of_one_width_are_joined_wherever_their_array_begins(values: list[bytes], cut: int) -> None:
    assert join_fixed(pa.array(values, pa.binary())[cut:], 5) == b"".join(values[cut:])


@pytest.mark.parametrize("odd", [b"1234", b"123456", b"", None])
def test_values_of_several_widths_are_not_joined(odd: bytes | None) -> None:
    with pytest.raises(ValueError, match="5 bytes"):
        join_fixed(pa.array([b"12345", odd, b"12345"], pa.binary()), 5)
