"""Items of CSV files."""

import csv
import random

import pytest

from audit_pipeline.containers import csv_items
from tests.formats.support import REST, items, reasons

OK = "ok"


def test_a_row_is_an_object_from_header_to_text() -> None:
    content = b'\xef\xbb\xbfid,"a ""name""",note\r\n1,x,"two\nlines"\r\n\r\n2,"a,b",\r\n'

    assert items("csv", content) == [
        (b'{"a \\"name\\"":"x","id":"1","note":"two\\nlines"}', OK, ""),
        (b'{"a \\"name\\"":"a,b","id":"2","note":""}', OK, ""),
    ]


@pytest.mark.parametrize("delimiter", [b"\t", b";", b","])
@pytest.mark.parametrize("quoted", [b"a,,,", b"a;;;"])
def test_the_delimiter_is_found_in_the_header(delimiter: bytes, quoted: bytes) -> None:
    content = b'"%s"|b\n1|2\n'.replace(b"|", delimiter) % quoted

    assert items("csv", content) == [(b'{"%s":"1","b":"2"}' % quoted, OK, "")]


def test_repeated_header_names_lose_no_field() -> None:
    assert items("csv", b"a,a\n1,2\n") == [(b'{"$pairs":[["a","1"],["a","2"]]}', OK, "")]


def test_a_row_with_another_number_of_fields_is_quarantined_with_its_fields() -> None:
    assert items("csv", b"a,b\n1\n1,2,3\n4,5\n") == [
        (b'{"$fields":["1"]}', "quarantined", "csv_fields"),
        (b'{"$fields":["1","2","3"]}', "quarantined", "csv_fields"),
        (b'{"a":"4","b":"5"}', OK, ""),
    ]


def test_a_row_that_breaks_the_rules_of_quotes_does_not_take_others_with_it() -> None:
    assert items("csv", b'a,b\n1,"x"y\n2,3\n') == [
        (b'{"$fields":["1","xy"]}', "quarantined", "csv_syntax"),
        (b'{"a":"2","b":"3"}', OK, ""),
    ]


def test_a_quote_left_open_is_the_rest_and_no_row() -> None:
    """Read leniently, all further rows would be one field of a row that looks right."""
    assert items("csv", b'a,b\n1,2\n3,"4\n5,6\n') == [
        (b'{"a":"1","b":"2"}', OK, ""),
        (REST, "quarantined", "csv_syntax"),
    ]


def test_bytes_that_are_not_utf8_quarantine_their_row_alone() -> None:
    assert items("csv", b"a,b\n1,M\xfcller\n2,3\n") == [
        (b'{"$fields":["1",{"$base64":"TfxsbGVy"}]}', "quarantined", "invalid_utf8"),
        (b'{"a":"2","b":"3"}', OK, ""),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"\n\r\n", []),
        (b"a,b\n", []),
        (b"a,b\n1,\x00\n", [""]),
        (b"a,b\n1,x\ry\n2,3\n", ["csv_syntax", ""]),
        (b"a\rb\r1\r2\r", ["csv_syntax"]),
        (b"a,\xff\n1,2\n", ["invalid_utf8"]),
        (b'"a', ["csv_syntax"]),
        (b'"a"b,c\n1,2\n', ["csv_syntax"]),
        (b"\xff\xfea\x00,\x00b\x00\n\x00", ["invalid_utf8"]),
    ],
)
def test_odd_files_give_reasons_and_no_exception(content: bytes, expected: list[str]) -> None:
    assert reasons("csv", content) == expected


def test_a_field_beyond_the_bound_ends_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_items, "MAX_FIELD", 200_000)
    line = b"x" * 150_000

    assert reasons("csv", b"a,b\n1,2\n1," + line * 2 + b"\n3,4\n") == ["", "oversize"]
    assert reasons("csv", b"a,b\n1,2\n1," + line + b"\n3,4\n") == ["", "", ""]


def test_a_quote_left_open_does_not_read_the_whole_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_items, "MAX_FIELD", 200_000)
    monkeypatch.setattr(csv_items, "raise_field_limit", lambda: csv.field_size_limit(200_000))

    assert reasons("csv", b'a,b\n1,"2\n' + b"x\n" * 150_000) == ["oversize"]


def test_damage_never_escapes() -> None:
    rng = random.Random(1)
    alphabet = [b'"', b",", b"\n", b"\r", b"\x00", b"\xff", b"a", b"\xc3\xa9", b"'", b"\\", b" "]

    for _ in range(2000):
        content = b"a,b\n" + b"".join(rng.choices(alphabet, k=rng.randrange(30)))
        found = items("csv", content)
        assert all(record != REST for record, _, _ in found[:-1])
        assert items("csv", content, 2) == found[2:]
