"""Items of Parquet files."""

import datetime as dt
import io
import json
import random
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from audit_pipeline.containers.items import iter_items
from audit_pipeline.containers.parquet_items import to_values
from tests.formats.support import REST, items, to_parquet


def shown(column: pa.Array) -> list[Any]:
    """The column's values as its records show them, through a Parquet file."""
    return [json.loads(record)["x"] for record, _, _ in items("parquet", to_parquet(pa.table({"x": column})))]


NS = 1_700_000_000_123_456_789
CASES = [
    (pa.array([2**63 - 1, -(2**63), None]), [2**63 - 1, -(2**63), None]),
    (pa.array([2**64 - 1], pa.uint64()), [2**64 - 1]),
    (pa.array([0.1, float("nan"), float("-inf")]), [0.1, {"$nonfinite": "NaN"}, {"$nonfinite": "-Infinity"}]),
    (pa.array([0.1], pa.float32()), [0.10000000149011612]),
    (pa.array([True, None]), [True, None]),
    (pa.array(["é", ""]).dictionary_encode(), ["é", ""]),
    (pa.array(["a"], pa.large_string()), ["a"]),
    (pa.array([b"\xff", None]), [{"$base64": "/w=="}, None]),
    (pa.array([b"ab"], pa.binary(2)), [{"$base64": "YWI="}]),
    (pa.array([Decimal("1.20"), None], pa.decimal128(10, 2)), [{"$decimal": "1.20"}, None]),
    (pa.array([NS, None], pa.timestamp("ns")), ["2023-11-14T22:13:20.123456789", None]),
    (pa.array([-1], pa.timestamp("us", "Asia/Tokyo")), ["1969-12-31T23:59:59.999999Z"]),
    (pa.array([0], pa.timestamp("ms")), ["1970-01-01T00:00:00.000"]),
    (pa.array([253402300800], pa.timestamp("s")), ["+10000-01-01T00:00:00.000"]),
    (pa.array([dt.date(2024, 2, 29)]), ["2024-02-29"]),
    (pa.array([-719529], pa.date32()), ["-0001-12-31"]),
    (pa.array([86_399_999_999_999, 9_000_000_000], pa.time64("ns")), ["23:59:59.999999999", "00:00:09.000000000"]),
    (pa.array([61_001], pa.time32("ms")), ["00:01:01.001"]),
    (pa.array([-1, 1_500_000_000], pa.duration("ns")), ["-PT0.000000001S", "PT1.500000000S"]),
    (pa.array([[1, None], None, []]), [[1, None], None, []]),
    (pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)), [[1, 2], [3, 4]]),  # pyarrow 26 reads none with nulls
    (
        pa.array([{"a": NS}, None], pa.struct([("a", pa.timestamp("ns"))])),
        [{"a": "2023-11-14T22:13:20.123456789"}, None],
    ),
    (
        pa.array(
            [[{"role": "user", "content": "é"}], None], pa.list_(pa.struct([("role", "string"), ("content", "string")]))
        ),
        [[{"content": "é", "role": "user"}], None],
    ),
    (
        pa.array([[("k", NS), ("k", None)], None, []], pa.map_(pa.string(), pa.timestamp("ns"))),
        [[["k", "2023-11-14T22:13:20.123456789"], ["k", None]], None, []],
    ),
    (pa.nulls(2), [None, None]),
]


@pytest.mark.parametrize(("column", "expected"), CASES, ids=[str(column.type) for column, _ in CASES])
def test_values_are_kept_exactly(column: pa.Array, expected: list[Any]) -> None:
    assert shown(column) == expected


@pytest.mark.parametrize("column", [column for column, _ in CASES], ids=[str(column.type) for column, _ in CASES])
def test_slices_show_their_own_values(column: pa.Array) -> None:
    """Offsets of nested arrays are easy to forget."""
    assert repr(to_values(column[1:])) == repr(to_values(column)[1:])


def test_a_text_of_a_dictionary_is_held_once_however_many_rows_have_it() -> None:
    first, second = to_values(pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int32()), pa.array(["long" * 100])))

    assert first is second


def test_large_rows_are_read_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit_pipeline.containers.parquet_items._BATCH_BYTES", 5000)
    content = to_parquet(pa.table({"x": [f"{n:04}" * 250 for n in range(10)]}))
    sizes = []
    monkeypatch.setattr(
        "audit_pipeline.containers.parquet_items.to_values",
        lambda column: sizes.append(len(column)) or to_values(column),
    )

    assert len(items("parquet", content)) == 10
    assert max(sizes) <= 5


def test_a_fixed_size_list_that_is_null_takes_no_element_of_the_next() -> None:
    assert to_values(pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2))) == [[1, 2], None, [3, 4]]


def test_every_day_is_written_as_python_writes_it() -> None:
    epoch = dt.date(1970, 1, 1)
    edges = [dt.date(year, 2, 28) for year in (1600, 1900, 1996, 2000, 2100, 2400)]
    days = [*range(-719_162, 2_932_896, 1009), *((edge - epoch).days + n for edge in edges for n in range(3))]

    texts = to_values(pa.array(days, pa.date32()))

    assert texts == [(epoch + dt.timedelta(day)).isoformat() for day in days]


def test_repeated_column_names_lose_no_value() -> None:
    table = pa.Table.from_arrays([pa.array([1]), pa.array(["a"])], names=["x", "x"])

    assert items("parquet", to_parquet(table)) == [(b'{"$pairs":[["x",1],["x","a"]]}', "ok", "")]


def test_repeated_field_names_lose_no_value() -> None:
    struct = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], fields=[pa.field("f", "int64")] * 2)

    found = items("parquet", to_parquet(pa.table({"x": pa.ListArray.from_arrays([0, 1], struct)})))

    assert found == [(b'{"x":[{"$pairs":[["f",1],["f",2]]}]}', "ok", "")]


def test_text_that_is_not_utf8_quarantines_its_row_alone() -> None:
    """Writers do not check, and neither does pyarrow when it reads."""
    offsets = pa.array([0, 2, 4], pa.int32()).buffers()[1]
    column = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"\xff\xfeab"))

    assert items("parquet", to_parquet(pa.table({"x": column, "y": [[b"b"], [b"b"]]}))) == [
        (b'{"x":{"$base64":"//4="},"y":[{"$base64":"Yg=="}]}', "quarantined", "invalid_utf8"),
        (b'{"x":"ab","y":[{"$base64":"Yg=="}]}', "ok", ""),
    ]


def test_rows_go_on_over_batches_and_row_groups() -> None:
    table = pa.table({"x": range(5000)})
    content = io.BytesIO()
    pa.parquet.write_table(table, content, row_group_size=1500)

    found = items("parquet", content.getvalue())

    assert [json.loads(record)["x"] for record, _, _ in found] == list(range(5000))
    assert items("parquet", content.getvalue(), 4990) == found[4990:]


def test_an_empty_table_has_no_items() -> None:
    assert items("parquet", to_parquet(pa.table({"x": pa.array([], pa.int64())}))) == []


@pytest.mark.parametrize("cut", [0, 3, 4, 8, 200, -1, -4, -8])
def test_a_truncated_file_is_unreadable(cut: int) -> None:
    content = to_parquet(pa.table({"x": range(100)}))[:cut]

    assert items("parquet", content) == [(REST, "quarantined", "unreadable")]


def test_a_later_row_group_that_is_damaged_leaves_the_earlier_ones() -> None:
    content = io.BytesIO()
    pa.parquet.write_table(
        pa.table({"x": [str(n) * 50 for n in range(2048)]}), content, row_group_size=1024, compression="zstd"
    )
    damaged = bytearray(content.getvalue())
    second = pa.parquet.read_metadata(content).row_group(1).column(0).dictionary_page_offset
    damaged[second : second + 40] = b"\xff" * 40

    found = items("parquet", bytes(damaged))

    assert len(found) == 1025
    assert found[-1] == (REST, "quarantined", "unreadable")


def test_damage_never_escapes() -> None:
    table = pa.table({"s": ["text"] * 50, "l": [[1, 2]] * 50, "t": pa.array([NS] * 50, pa.timestamp("ns"))})
    good = to_parquet(table)
    rng = random.Random(7)
    endings = set()

    for _ in range(400):
        damaged = bytearray(good[: rng.randrange(len(good)) if rng.random() < 0.1 else len(good)])
        for _ in range(rng.choice([1, 3]) if damaged else 0):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        found = items("parquet", bytes(damaged))
        endings.add(found[-1][2] if found else "")

    assert {"", "unreadable"} <= endings


class FailingDisk(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("container", ["parquet", "json", "csv"])
def test_a_failing_disk_is_not_taken_for_a_bad_file(container: str) -> None:
    FailingDisk.readline = FailingDisk.read  # type: ignore[assignment, method-assign]

    with pytest.raises(OSError, match="Input/output"):
        list(iter_items(container, FailingDisk(b"x" * 100)))
