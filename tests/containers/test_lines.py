"""The status of JSON lines: the fast check never accepts what the exact one refuses."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.containers.items import fast_lines_ok, json_line_status
from audit_pipeline.containers.json_text import MAX_DEPTH

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


@pytest.mark.parametrize("line", GOOD)
def test_a_json_text_is_ok(line: bytes) -> None:
    """Also where Python's JSON is wider than RFC 8259: NaN; and a blank line is a record like any other."""
    assert json_line_status(line, False) == OK


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_line_that_is_no_json_text_is_quarantined(line: bytes, reason: str) -> None:
    assert json_line_status(line, False) == ("quarantined", reason)
    assert not fast_lines_ok(line + b"\n", 1)


def test_a_byte_order_mark_may_open_the_first_line_only() -> None:
    assert json_line_status(b"\xef\xbb\xbf{}", True) == OK
    assert json_line_status(b"\xef\xbb\xbf\xef\xbb\xbf{}", True) == ("quarantined", "invalid_json")


def test_depth_counts_brackets_outside_strings_only() -> None:
    deep = b"[" * MAX_DEPTH + b'"' + b"[" * 1000 + b'\\"[["' + b"]" * MAX_DEPTH

    assert json_line_status(deep, False) == OK
    assert fast_lines_ok(deep, 1)


def test_the_same_depth_is_refused_wherever_it_is_called_from() -> None:
    """Python counts the caller's frames too; ours must not."""
    line = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH

    def from_depth(frames: int) -> tuple[str, str]:
        return from_depth(frames - 1) if frames else json_line_status(line, False)

    assert from_depth(0) == from_depth(400) == OK


@pytest.mark.parametrize(
    ("chunk", "lines"),
    [
        (b'{"a": 1}\n{"b": 2}\n', 2),
        (b'{"a": 1}\n{"b": 2}', 2),
        (b'{"a": 1}\r\n{"b": "\xc3\xa9"}\r\n', 2),
    ],
)
def test_plain_lines_are_accepted_fast(chunk: bytes, lines: int) -> None:
    assert fast_lines_ok(chunk, lines)


@pytest.mark.parametrize(
    ("chunk", "lines"),
    [
        (b"1 2\n[3,\n4]\n", 3),  # two values on one line, one over two: three values all the same
        (b"1 2\n\n", 2),
        (b'{"a":\n1}\n', 2),
        (b'"a\nb"\n', 2),
        (b"{}\n{}\n", 3),
        (b"{}\n{}\n", 1),
    ],
)
def test_values_that_are_not_one_per_line_are_not_accepted(chunk: bytes, lines: int) -> None:
    assert not fast_lines_ok(chunk, lines)


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
        if fast_lines_ok(line, 1):
            assert json_line_status(line, False) == OK
            json.loads(line, parse_int=str)
    if fast_lines_ok(chunk, len(lines)):
        assert all(json_line_status(line, False) == OK for line in lines)
