"""Where JSON parsers differ or lose something: from a landed line to the event tables nothing is rounded or dropped."""

import json
from typing import Any

import pytest

from tests.lakes import LakeForTests


def landed(lake: LakeForTests, value: bytes) -> tuple[list[tuple[str, str]], list[dict[str, Any]]]:
    """((status, reason) of each record, metrics) of a log entry with a field `x`."""
    lake.land("dpo/log_history.jsonl", b'{"step": 1, "epoch": 0.5, "loss": 0.25, "x": ' + value + b"}\n")
    lake.run()
    metrics = [row for row in lake.rows("training_metrics") if row["metric"] == "x"]
    return [(status, reason) for _, status, reason in lake.records()], metrics


EXACT = {
    "NaN": (b"NaN", ("nan", None, "NaN")),
    "-Infinity": (b"-Infinity", ("-inf", None, "-Infinity")),
    "a lone surrogate": (b'"\\ud800"', ("text", None, None)),
    "an integer above 64 bits": (
        b"12345678901234567890123",
        ("finite", 12345678901234567890123.0, "12345678901234567890123"),
    ),
    "a number no double holds": (b"1e400", ("text", None, None)),
    "U+2028 in a text": ('"a\u2028b"'.encode(), ("text", None, "a\u2028b")),
    "a double's last digit": (b"0.1000000000000000055", ("finite", 0.1, None)),
}


@pytest.mark.parametrize(("value", "expected"), EXACT.values(), ids=EXACT.keys())
def test_a_value_is_exact_in_the_tables(lake: LakeForTests, value: bytes, expected: tuple[str, Any, Any]) -> None:
    statuses, (metric,) = landed(lake, value)

    assert statuses == [("ok", "")]
    assert (metric["value_state"], metric["value"], metric["value_raw"]) == expected
    if expected == ("text", None, None):  # neither a double nor an Arrow text can hold it
        assert json.loads(metric["extra_json"]) in ({"value_raw": "\ud800"}, {"value_raw": {"$number": "1e400"}})


def test_a_repeated_key_loses_neither_value(lake: LakeForTests) -> None:
    lake.land("dpo/log_history.jsonl", b'{"step": 1, "epoch": 0.5, "loss": 0.25, "loss": 0.75}\n' * 2)
    lake.land("pairs.jsonl", b'{"prompt": "q", "chosen": "a", "rejected": "b", "meta": {"k": 1, "k": 2}}\n')
    lake.run()

    assert {status for _, status, _ in lake.records()} == {"ok"}
    (pair,) = lake.rows("annotations")
    assert pair["extra_json"] == '{"meta":{"$pairs":[["k",1],["k",2]]}}'
    # As a whole record it is no object that an adapter could read without choosing one of the two.
    findings = [row["found"] for row in lake.rows("log_findings")]
    assert findings == ["not of a shape that trl_log_history 1 knows"] * 2 or lake.rows("training_metrics") == []


REFUSED = {
    "invalid UTF-8": (b'"\xff"', "invalid_utf8"),
    "a raw NUL in a text": (b'"\0"', "invalid_json"),
    "a depth of 5,000": (b"[" * 5000 + b"]" * 5000, "depth"),
    "two values": (b"1} {", "invalid_json"),
}


@pytest.mark.parametrize(("value", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_json_is_a_record_with_its_reason(lake: LakeForTests, value: bytes, reason: str) -> None:
    """Beside lines that are, which the file is known by."""
    good = b'{"step": 1, "epoch": 0.5, "loss": 0.25}\n'
    line = b'{"step": 2, "epoch": 0.5, "loss": ' + value + b"}"
    lake.land("dpo/log_history.jsonl", good * 5 + line + b"\n")
    lake.run()

    assert lake.records()[5] == (line, "quarantined", reason)
    assert len(lake.rows("training_metrics")) == 5


def test_a_byte_order_mark_is_kept_and_read_over(lake: LakeForTests) -> None:
    line = b'\xef\xbb\xbf{"step": 1, "epoch": 0.5, "loss": 0.25}'
    lake.land("dpo/log_history.jsonl", line + b"\n")
    lake.run()

    assert lake.records() == [(line, "ok", "")]
    assert [row["value"] for row in lake.rows("training_metrics")] == [0.25]
