"""The status of JSON lines: the fast check never accepts what the exact one refuses."""

import json
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.containers.items import json_line_status
from audit_pipeline.containers.json_text import MAX_DEPTH
from audit_pipeline.containers.lines import fast_lines_ok, line_exceptions

OK = ("ok", "")

GOOD = [
    b"{}",
    b'{"a": [1, -0.5e-3, true, null, "\\u00e9\\n/"]}',
    '{"a": "é\u2028\u0085"}'.encode(),
    b'"text"',
    b"12",
    b' {"a": 1}\t\r',
    b'{"a": NaN, "b": -Infinity}',
    b'{"a": 1, "a": 2}',
    b'"\\ud800"',
    b"1e400",
    b"1" * 5000,
    b"",
    b" \t\r",
]
BAD = [
    (b"{", "invalid_json"),
    (b'{"a": 1,}', "invalid_json"),
    (b"[1 2]", "invalid_json"),
    (b'{"a": 1}{"b": 2}', "invalid_json"),
    (b"1 2", "invalid_json"),
    (b"01", "invalid_json"),
    (b"1.", "invalid_json"),
    (b".5", "invalid_json"),
    (b"+1", "invalid_json"),
    (b"nan", "invalid_json"),
    (b"'a'", "invalid_json"),
    (b'"\\x"', "invalid_json"),
    (b'"\\u12g4"', "invalid_json"),
    (b'"a\tb"', "invalid_json"),
    (b'"a\x00b"', "invalid_json"),
    (b"\x00\x00\x00", "invalid_json"),
    (b"\x0c1", "invalid_json"),
    ("\u00a01".encode(), "invalid_json"),
    (b"\xef\xbb\xbf{}", "invalid_json"),
    (b'"\xff"', "invalid_utf8"),
    (b'"\xed\xa0\x80"', "invalid_utf8"),
    (b'"\xc0\xaf"', "invalid_utf8"),
    (b'{"cut": "\xc3', "invalid_utf8"),
    (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "depth"),
    (b'{"a":' * 5000, "depth"),
]


def is_accepted_fast(lines: Sequence[bytes], end: bytes = b"\n") -> bool:
    return fast_lines_ok(b"\n".join(lines) + end, np.array([len(line) for line in lines], np.int64))


@pytest.mark.parametrize("line", GOOD)
def test_a_json_text_is_ok(line: bytes) -> None:
    """Also where Python's JSON is wider than RFC 8259: NaN; and a blank line is a record like any other."""
    assert json_line_status(line, False) == OK


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_line_that_is_no_json_text_is_quarantined(line: bytes, reason: str) -> None:
    assert json_line_status(line, False) == ("quarantined", reason)
    assert not is_accepted_fast([line])


def test_a_byte_order_mark_may_open_the_first_line_only() -> None:
    assert json_line_status(b"\xef\xbb\xbf{}", True) == OK
    assert json_line_status(b"\xef\xbb\xbf\xef\xbb\xbf{}", True) == ("quarantined", "invalid_json")


def test_depth_counts_brackets_outside_strings_only() -> None:
    deep = b"[" * MAX_DEPTH + b'"' + b"[" * 1000 + b'\\"[["' + b"]" * MAX_DEPTH

    assert json_line_status(deep, False) == OK
    assert is_accepted_fast([deep])


def test_the_same_depth_is_refused_wherever_it_is_called_from() -> None:
    """Python counts the caller's frames too; ours must not."""
    line = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    def from_depth(frames: int) -> tuple[str, str]:
        return from_depth(frames - 1) if frames else json_line_status(line, False)

    assert from_depth(0) == from_depth(400) == OK


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("end_of_line", [b"", b"\r"])
def test_plain_lines_are_accepted_fast(end_of_line: bytes, end: bytes) -> None:
    lines = [b'{"a": 1}', b'{"b": "\xc3\xa9"}', b"12", b'{"c":' + b" " * 1000 + b"[1]}"]

    assert is_accepted_fast([line + end_of_line for line in lines], end)


@pytest.mark.parametrize(
    "lines",
    [
        [b"1 2", b"[3,", b"4]"],  # two values on one line, one over two: three values all the same
        [b"[1", b"]{}", b" 22"],
        [b"  [1", b"]22 3", b"4"],  # and the first as long as its line
        [b" [1", b"]", b"2"],
        [b"1 2", b""],
        [b'{"a":', b"1}"],
        [b'"a', b'b"'],
        [b"{}\r", b"\r", b"1"],
        [b""],
    ],
)
def test_values_that_are_not_one_per_line_are_not_accepted(lines: Sequence[bytes]) -> None:
    assert not is_accepted_fast(lines)


@settings(max_examples=3000, deadline=None)
@given(st.lists(st.text("[]{}1, \r", max_size=6), min_size=1, max_size=5))
def test_however_values_lie_on_lines_only_one_per_line_is_accepted(texts: list[str]) -> None:
    lines = [text.encode() for text in texts]

    if is_accepted_fast(lines):
        assert all(json_line_status(line, False) == OK and line.strip() for line in lines)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FRAGMENTS = [bytes([byte]) for byte in range(256)] + [
    *(b"\\u", b"\\ud83d", b"NaN", b"-Infinity", b"1e999", b"0x", b"//", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\n\n"),
]


@st.composite
def damaged_lines(draw: st.DrawFn) -> bytes:
    """JSON lines with a few bytes added, lost or changed."""
    ascii_only = draw(st.booleans())
    text = b"\n".join(json.dumps(v, ensure_ascii=ascii_only).encode() for v in draw(st.lists(json_values, max_size=4)))
    for _ in range(draw(st.integers(0, 3))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 2))
        text = text[:at] + draw(st.sampled_from(FRAGMENTS)) + text[at + length :]
    return text


@settings(max_examples=1500, deadline=None)
@given(damaged_lines())
def test_what_the_fast_check_accepts_the_exact_one_accepts(chunk: bytes) -> None:
    lines = chunk.split(b"\n")

    for line in lines:
        if is_accepted_fast([line]):
            assert json_line_status(line, False) == OK
            json.loads(line, parse_int=str)
    if is_accepted_fast(lines, b""):
        assert all(json_line_status(line, False) == OK for line in lines)


@settings(max_examples=300, deadline=None)
@given(st.lists(damaged_lines(), max_size=4), st.integers(1, 400), st.booleans())
def test_odd_lines_among_many_are_found_one_by_one(damaged: list[bytes], plain: int, is_first: bool) -> None:
    """A chunk with an odd line is looked at line by line: the same lines are found as by looking at each exactly."""
    lines = [b'{"a": [1, 2]}'] * plain
    for at, odd in enumerate(damaged):
        lines[at * 97 % plain : 0] = odd.split(b"\n")

    found = line_exceptions(
        memoryview(b"\n".join(lines)), np.array([len(line) for line in lines], np.int64), "jsonl", is_first=is_first
    )

    exact = [(at, *json_line_status(line, is_first and at == 0)) for at, line in enumerate(lines)]
    assert found == [one for one in exact if one[1] != "ok"]
