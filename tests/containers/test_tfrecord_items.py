"""Items of TFRecord files, and their checksum."""

import base64
import io
import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.containers import event_proto, tfrecord_items
from audit_pipeline.containers.crc32c import crc32c, masked_crc32c
from audit_pipeline.containers.items import iter_items
from audit_pipeline.formats.record import parse_record
from tests.formats.support import REST, items, reasons
from tests.tfrecords import (
    WALL_TIME,
    as_events,
    checksum,
    content,
    double,
    event,
    first_event,
    frame,
    integer,
    plugin,
    scalar,
    single,
    summary,
    text,
    varint,
)


def shown(record: bytes) -> Any:
    """The one record's item as JSON."""
    [(item, status, reason)] = items("tfrecord", frame(record))
    assert (status, reason) == ("ok", "")
    return json.loads(item)


def value_of(value: bytes) -> Any:
    return shown(summary(value))["summary"]["value"][0]


def in_bytes(value: bytes) -> dict[str, str]:
    return {"$base64": base64.b64encode(value).decode()}


def test_the_checksum_is_crc32c() -> None:
    """Test values of RFC 3720 appendix B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


def test_the_checksum_is_the_same_however_long_the_data() -> None:
    data = random.Random(7).randbytes(5000)

    for size in (*range(60), *range(1010, 1075), 2047, 2048, 2049, 2088, 5000):
        assert masked_crc32c(data[:size]).to_bytes(4, "little") == checksum(data[:size]), size


def test_an_event_is_an_object_of_the_fields_that_are_there() -> None:
    found = items("tfrecord", frame(first_event(), summary(scalar("train/loss", 0.1), step=-3)))

    assert found == [
        (b'{"file_version":"brain.Event:2","wall_time":1795454137.25}', "ok", ""),
        (
            b'{"step":-3,"summary":{"value":[{"simple_value":0.10000000149011612,"tag":"train/loss"}]},'
            b'"wall_time":1795454137.25}',
            "ok",
            "",
        ),
    ]


@pytest.mark.parametrize(("number", "name"), [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity")])
def test_numbers_that_are_not_finite_are_kept(number: float, name: str) -> None:
    assert value_of(scalar("x", number))["simple_value"] == {"$nonfinite": name}
    assert shown(event(wall_time=number))["wall_time"] == {"$nonfinite": name}


def test_each_kind_of_field_has_its_name() -> None:
    shape = content(2, integer(1, 2) + content(2, b"rows")) + integer(3, 1)
    tensor = integer(1, 1) + content(2, shape) + content(4, b"ab") + single(5, 0.5) + integer(13, 15360)
    histogram = double(1, -1.0) + content(6, b"".join(map(_packed, (1.0, 2.0)))) + double(7, 3.0)
    metadata = content(1, content(1, b"text") + content(2, b"\x08\x00")) + content(2, b"d") + integer(4, 2)
    source = event(content(3, b"brain.Event:2"), content(10, content(1, b"w")))

    assert value_of(content(1, b"t") + content(8, tensor) + content(9, metadata)) == {
        "tag": "t",
        "tensor": {
            "dtype": 1,
            "tensor_shape": {"dim": [{"size": 2, "name": "rows"}], "unknown_rank": 1},
            "tensor_content": in_bytes(b"ab"),
            "float_val": [0.5],
            "half_val": [15360],
        },
        "metadata": {
            "plugin_data": {"plugin_name": "text", "content": in_bytes(b"\x08\x00")},
            "display_name": "d",
            "data_class": 2,
        },
    }
    assert value_of(content(5, histogram)) == {"histo": {"min": -1.0, "bucket_limit": [1.0, 2.0], "bucket": [3.0]}}
    assert value_of(content(4, integer(1, 9) + content(4, b"P"))) == {
        "image": {"height": 9, "encoded_image_string": in_bytes(b"P")}
    }
    assert shown(source)["source_metadata"] == {"writer": "w"}
    assert shown(event(content(7, integer(1, 1))))["session_log"] == {"status": 1}
    assert shown(event(content(4, b"g")))["graph_def"] == in_bytes(b"g")


def _packed(number: float) -> bytes:
    return double(1, number)[1:]


def test_packed_and_single_numbers_are_the_same_array() -> None:
    packed = content(10, varint(1) + varint(-2) + varint(2**63 - 1))
    apart = integer(10, 1) + integer(10, -2) + integer(10, 2**63 - 1)

    numbers = {"tensor": {"int64_val": [1, -2, 2**63 - 1]}}
    assert value_of(content(8, packed)) == value_of(content(8, apart)) == numbers
    assert value_of(content(8, integer(17, 2**64 - 1))) == {"tensor": {"uint64_val": [2**64 - 1]}}


def test_text_that_is_not_utf8_is_bytes() -> None:
    assert value_of(text("t", b"M\xc3\xbcller", b"M\xfcller"))["tensor"]["string_val"] == [
        "Müller",
        in_bytes(b"M\xfcller"),
    ]
    assert value_of(content(1, b"\xff")) == {"tag": in_bytes(b"\xff")}


def test_unknown_fields_are_kept_in_order_with_their_bytes() -> None:
    strange = integer(99, 300) + single(98, 1.0) + content(99, b"x") + double(97, 2.0)

    assert shown(event(strange))["unknown"] == [
        {"field": 99, "wire": 0, "bytes": in_bytes(varint(300))},
        {"field": 98, "wire": 5, "bytes": in_bytes(b"\x00\x00\x80?")},
        {"field": 99, "wire": 2, "bytes": in_bytes(b"x")},
        {"field": 97, "wire": 1, "bytes": in_bytes(b"\x00\x00\x00\x00\x00\x00\x00@")},
    ]
    assert value_of(scalar("t", 1.0) + content(30, b""))["unknown"] == [
        {"field": 30, "wire": 2, "bytes": in_bytes(b"")}
    ]


NO_EVENTS = {
    "empty": b"",
    "an Example": content(1, content(1, b"features")),
    "text": b"hello, world",
    "no wall_time": integer(2, 5),
    "a field twice": event(integer(2, 5), integer(2, 5)),
    "another wire type": event(single(2, 1.0)),
    "a group": event(b"\xa3\x06"),
    "field 0": event(integer(0, 1)),
    "cut off": event(content(3, b"brain"))[:-1],
    "a number cut off": event()[:-1],
    "a varint without end": event(b"\x10" + b"\x80" * 10),
    "more than 64 bits": event(b"\x10" + b"\xff" * 9 + b"\x02"),
    "half a packed number": summary(content(8, content(5, b"abc"))),
    "a packed number cut off": summary(content(8, content(7, b"\x01\x80"))),
}


@pytest.mark.parametrize("record", NO_EVENTS.values(), ids=NO_EVENTS.keys())
def test_a_record_that_is_no_event_is_its_bytes(record: bytes) -> None:
    assert shown(record) == in_bytes(record)
    assert items("tfrecord", frame(first_event(), record, first_event()))[2] == items("tfrecord", as_events(0))[0]


def test_a_record_of_very_many_values_is_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB may hold 32 million of them."""
    assert event_proto.MAX_VALUES == 262_144
    monkeypatch.setattr(event_proto, "MAX_VALUES", 100)
    around = 5  # wall_time, summary, value, tensor, float_val
    for pack, one in ((5, b"\0\0\0\0"), (6, bytes(8)), (7, b"\x81\x01")):
        most = summary(content(8, content(pack, one * (100 - around))))
        more = summary(content(8, content(pack, one * (101 - around))))

        assert len(shown(most)["summary"]["value"][0]["tensor"].popitem()[1]) == 95
        assert shown(more) == in_bytes(more)
    assert shown(event(integer(99, 1) * 99))["unknown"]
    assert "$base64" in shown(event(integer(99, 1) * 100))


@pytest.mark.parametrize("cut", range(1, len(as_events(0))))
def test_a_file_cut_off_anywhere_keeps_what_came_before(cut: int) -> None:
    whole = as_events(2)

    found = items("tfrecord", whole + as_events(0)[:cut])

    assert found == [*items("tfrecord", whole), (REST, "quarantined", "unreadable")]


def test_a_file_that_is_being_written_has_the_same_first_items() -> None:
    whole = items("tfrecord", as_events(5))

    assert [items("tfrecord", as_events(count)) for count in range(5)] == [whole[: count + 1] for count in range(5)]
    assert items("tfrecord", b"") == []


@pytest.mark.parametrize("at", range(len(as_events(0))))
def test_a_changed_byte_is_unreadable(at: int) -> None:
    damaged = bytearray(as_events(0) + as_events(1))
    damaged[at] ^= 1

    assert items("tfrecord", bytes(damaged)) == [(REST, "quarantined", "unreadable")]


def test_a_record_above_the_limit_is_oversize(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tfrecord_items.MAX_RECORD == 64 << 20
    most, more = event(content(4, b"g" * 80)), event(content(4, b"g" * 81))
    assert (len(most), len(more)) == (91, 92)

    monkeypatch.setattr(tfrecord_items, "MAX_RECORD", 91)
    assert reasons("tfrecord", frame(first_event(), most, first_event())) == ["", "", ""]
    assert reasons("tfrecord", frame(first_event(), more, first_event())) == ["", "oversize"]


def test_a_length_that_is_a_lie_takes_no_memory() -> None:
    """A length of 2^63 with its right checksum."""
    length = (1 << 63).to_bytes(8, "little")

    assert reasons("tfrecord", as_events(1) + length + checksum(length) + b"x") == ["", "", "oversize"]


def test_skipped_items_are_left_out() -> None:
    whole = as_events(4) + b"torn"

    assert [items("tfrecord", whole, skip) for skip in range(8)] == [items("tfrecord", whole)[n:] for n in range(8)]


class FailingDisk(io.BytesIO):
    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


def test_a_failing_disk_is_not_taken_for_a_bad_file() -> None:
    with pytest.raises(OSError, match="Input/output"):
        list(iter_items("tfrecord", FailingDisk(b"x" * 100)))


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=40)
    | st.lists(
        st.tuples(st.integers(1, 19), st.sampled_from([integer, double, content]), st.integers(0, 9)), max_size=6
    ).map(lambda parts: event(*(make(field, b"\x08\x01" * n if make is content else n) for field, make, n in parts)))
)
def test_any_bytes_are_an_item_that_can_be_read(record: bytes) -> None:
    [(item, status, _)] = items("tfrecord", frame(record))

    assert status == "ok"
    value = parse_record(item)
    assert value == record or "wall_time" in value


def test_a_message_without_fields_is_an_empty_object() -> None:
    assert value_of(
        content(1, b"t") + plugin("scalars") + content(8, integer(1, 1) + content(2, b"") + single(5, 2.0))
    ) == {
        "tag": "t",
        "metadata": {"plugin_data": {"plugin_name": "scalars"}},
        "tensor": {"dtype": 1, "tensor_shape": {}, "float_val": [2.0]},
    }
    assert shown(event())["wall_time"] == WALL_TIME
