"""Canonical JSON: equal values give equal bytes, and nothing of a value is lost."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.records import canonical

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=20,
)

WRITTEN = {
    '{"b":1,"a":[1.0,1e2,true,null]}': b'{"a":[1.0,100.0,true,null],"b":1}',
    "[NaN,Infinity,-Infinity]": b'[{"$nonfinite":"NaN"},{"$nonfinite":"Infinity"},{"$nonfinite":"-Infinity"}]',
    "[1e400,-1e400]": b'[{"$number":"1e400"},{"$number":"-1e400"}]',
    '{"a":1,"a":2}': b'{"$pairs":[["a",1],["a",2]]}',
    '"\\ud800x"': b'"\\ud800x"',
    "[123456789012345678901234567890]": b"[123456789012345678901234567890]",
    '"\\u00e9\\u2028\\n"': '"é\u2028\\n"'.encode(),
    "[0.1,1e-7,-0.0]": b"[0.1,1e-07,-0.0]",
}


@pytest.mark.parametrize(("text", "expected"), WRITTEN.items())
def test_values_are_written_as_the_format_says(text: str, expected: bytes) -> None:
    assert canonical.dump_canonical(canonical.load_json(text)) == expected


@given(JSON_VALUES)
def test_reading_what_was_written_gives_the_value(value: Any) -> None:
    assert canonical.load_json(canonical.dump_canonical(value).decode()) == value


@given(JSON_VALUES)
def test_equal_values_give_equal_bytes_however_they_were_written(value: Any) -> None:
    spread = json.dumps(value, indent=3, ensure_ascii=True)

    assert canonical.dump_canonical(canonical.load_json(spread)) == canonical.dump_canonical(value)


def test_bytes_and_decimals_have_a_tag() -> None:
    from decimal import Decimal

    assert canonical.dump_canonical([b"\xff", Decimal("1.20")]) == b'[{"$base64":"/w=="},{"$decimal":"1.20"}]'


@pytest.mark.parametrize("size", [0, 15, 17])
def test_a_salt_that_is_not_16_bytes_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        canonical.record_leaf(bytes(size), b"record")


def test_salt_and_record_cannot_be_traded() -> None:
    assert canonical.record_leaf(bytes(16), b"\0record") != canonical.record_leaf(bytes(16), b"record")


def test_a_nan_stays_a_nan() -> None:
    assert math.isnan(canonical.load_json("NaN"))


def test_moving_a_landing_zone_renames_no_source() -> None:
    assert canonical.source_id("runs", "2026-03-05/a.jsonl") == canonical.source_id("runs", "2026-03-05/a.jsonl")
    assert canonical.source_id("runs", "a") != canonical.source_id("run", "sa")
