"""The vectorised hashes are those of hashlib, at every size around where the way of hashing changes."""

import hashlib
import os

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.lake.hashing import hash_leaves, hash_nodes, join_fixed, values_of
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


@pytest.mark.parametrize("kind", [pa.binary(), pa.binary_view()])
@given(some=st.lists(st.binary(max_size=50), min_size=128, max_size=150), cut=st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_a_slice_of_an_array_hashes_as_its_values_do(some: list[bytes], cut: int, kind: pa.DataType) -> None:
    records = some * 9
    array = pa.array(records, kind)[cut:]
    salts = bytes(16 * len(array))

    expected = b"".join(hashlib.sha256(b"\0\1" + bytes(16) + record).digest() for record in records[cut:])

    assert hash_leaves(salts, array) == expected


def test_salts_that_do_not_fit_the_records_are_refused() -> None:
    with pytest.raises(ValueError, match="salt"):
        hash_leaves(bytes(15), pa.array([b"x"], pa.binary()))


@given(st.lists(st.binary(max_size=20)), st.sampled_from([pa.binary(), pa.large_binary(), pa.binary_view()]))
def test_values_of_a_part_are_its_values(values: list[bytes], kind: pa.DataType) -> None:
    array = pa.array(values, kind)

    for part in (array, array[1:], array[1:-1], array[:0]):
        assert values_of(part) == part.to_pylist()


@given(st.lists(st.binary(min_size=5, max_size=5)), st.integers(0, 4))
def test_values_of_one_width_are_joined_wherever_their_array_begins(values: list[bytes], cut: int) -> None:
    assert join_fixed(pa.array(values, pa.binary())[cut:], 5) == b"".join(values[cut:])


@pytest.mark.parametrize("odd", [b"1234", b"123456", b"", None])
def test_values_of_several_widths_are_not_joined(odd: bytes | None) -> None:
    with pytest.raises(ValueError, match="5 bytes"):
        join_fixed(pa.array([b"12345", odd, b"12345"], pa.binary()), 5)
