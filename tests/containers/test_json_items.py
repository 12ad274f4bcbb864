"""Items of JSON documents."""

import io
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.containers import json_items
from audit_pipeline.containers.items import iter_items
from audit_pipeline.containers.json_text import dump_plain, read_value
from audit_pipeline.records import canonical
from tests.containers.test_lines import damaged_lines, json_values
from tests.formats.support import REST, items, reasons


def records(content: bytes) -> list[bytes]:
    return [record for record, _, _ in items("json", content)]


def test_an_array_gives_its_elements() -> None:
    content = b'\xef\xbb\xbf [ {"b": 1.0, "a": 1e-7} ,\n 12, "\\u00e9", [] ] \n'

    assert records(content) == [b'{"a":1e-07,"b":1.0}', b"12", '"é"'.encode(), b"[]"]


def test_an_object_gives_itself_with_its_lists_of_objects_emptied_and_then_their_elements() -> None:
    content = (
        b'{"step": 2, "log": [{"x": 1}, {"x": NaN}], "names": ["a"], "none": [], "mixed": [{}, 1], "z": [{"y": 3}]}'
    )

    assert records(content) == [
        b'{"log":[],"mixed":[{},1],"names":["a"],"none":[],"step":2,"z":[]}',
        b'{"x":1}',
        b'{"x":{"$nonfinite":"NaN"}}',
        b'{"y":3}',
    ]


def test_what_json_cannot_say_is_written_canonically() -> None:
    content = b'[{"a": 1e400}, {"a": Infinity}, ' + b"9" * 5000 + b', "\\ud800"]'

    assert records(content)[:2] == [b'{"a":{"$number":"1e400"}}', b'{"a":{"$nonfinite":"Infinity"}}']
    assert records(content)[2].startswith(b'{"$number":"999')
    assert records(content)[3] == b'"\\ud800"'


def test_a_repeated_key_is_kept_and_quarantined() -> None:
    assert items("json", b'[{"a": 1, "a": 2}, 3]') == [
        (b'{"$pairs":[["a",1],["a",2]]}', "quarantined", "duplicate_key"),
        (b"3", "ok", ""),
    ]
    assert reasons("json", b'{"log": [{"a": {"b": 1, "b": 2}}, {"a": 1}]}') == ["", "duplicate_key", ""]
    assert reasons("json", b'{"log": [{"a": 1}], "log": [{"a": 2}]}') == ["duplicate_key", "", ""]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ["invalid_json"]),
        (b" \n", ["invalid_json"]),
        (b"[1, 2", ["", "invalid_json"]),
        (b"[1, 23", ["", "invalid_json"]),
        (b'[1, "ab', ["", "invalid_json"]),
        (b"[1, tru", ["", "invalid_json"]),
        (b"[1, 2,]", ["", "", "invalid_json"]),
        (b"[1 2]", ["", "invalid_json"]),
        (b"[1] [2]", ["", "invalid_json"]),
        (b"[1, nul, 3]", ["", "invalid_json"]),
        (b'[1, "\xff", 3]', ["", "invalid_utf8"]),
        (b"[1]\xff", ["", "invalid_utf8"]),
        (b"[1, \xc3", ["", "invalid_utf8"]),
        (b'{"a": 1', ["invalid_json"]),
        (b'{"a": 1} {}', ["invalid_json"]),
        (b'{"a": "\xff"}', ["invalid_utf8"]),
        (b"[1, " + b"[" * 300 + b"]" * 300 + b", 3]", ["", "depth"]),
        (b"[" * 100_000, ["depth"]),
        (b'{"a":' * 300 + b"1" + b"}" * 300, ["depth"]),
        (b"nonsense", ["invalid_json"]),
        (b"\x00\x01\x02", ["invalid_json"]),
    ],
)
def test_a_document_that_breaks_gives_what_came_before_and_its_rest(content: bytes, expected: list[str]) -> None:
    found = items("json", content)

    assert [reason for _, _, reason in found] == expected
    assert found[-1] == (REST, "quarantined", expected[-1])


def test_a_number_cut_at_the_end_is_no_item() -> None:
    """[1, 23 may have been [1, 234]."""
    for cut in (b"23", b"23.", b"2.3e", b"2.3e+", b"-", b"023", b"2-3"):
        assert records(b"[1, " + cut) == [b"1", REST]


def test_an_element_beyond_the_bound_ends_the_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "MAX_ELEMENT", 100)
    monkeypatch.setattr(json_items, "_WINDOW_BYTES", 64)

    whole = b'[1, "' + b"x" * 200 + b'", 3]'
    assert reasons("json", whole) == ["", "oversize"]
    assert reasons("json", whole[:150]) == ["", "oversize"]
    assert reasons("json", b'[1, "' + b"x" * 90 + b'", 3]') == ["", "", ""]


def test_an_element_beyond_the_bound_is_refused_also_where_all_of_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "MAX_ELEMENT", 100)

    assert reasons("json", b'[1, "' + b"x" * 200 + b'", 3]') == ["", "oversize"]


def test_an_object_beyond_the_bound_is_one_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items, "MAX_OBJECT", 20)

    assert items("json", b'{"a": "' + b"x" * 20 + b'"}') == [(REST, "quarantined", "oversize")]


@pytest.mark.parametrize("text", [b'{"a": [%b]}', b"[[%b]]"])
def test_values_that_would_take_too_much_memory_are_not_made(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 64 MiB of empty lists, three and a half gigabytes."""
    monkeypatch.setattr(json_items, "MAX_HELD", 100_000)
    monkeypatch.setattr(json_items, "_COSTLY", 100)

    assert reasons("json", text % (b"[]," * 300 + b"0")) == [""]
    assert reasons("json", text % (b"[]," * 500 + b"0")) == ["oversize"]


class Endless(io.RawIOBase):
    """An array of 100 GB that is never there as a whole."""

    def __init__(self) -> None:
        self.bytes_read = 0

    def seek(self, offset: int, whence: int = 0) -> int:
        return 100 << 30 if whence == io.SEEK_END else offset

    def read(self, size: int = -1) -> bytes:
        assert 0 < size <= 4 << 20, "a bounded piece at a time"
        start = b"[" if self.bytes_read == 0 else b""
        piece = (start + b'{"step": 12345}, ' * (size // 17))[:size]
        self.bytes_read += len(piece)
        return piece


def test_a_large_array_is_read_as_far_as_it_is_asked_for() -> None:
    file = Endless()

    found = list(itertools.islice(iter_items("json", file), 1000))  # type: ignore[arg-type]

    assert found == [(b'{"step":12345}', "ok", "")] * 1000
    assert file.bytes_read <= 2 << 20


@settings(max_examples=150, deadline=None)
@given(st.lists(json_values, max_size=6), st.sampled_from([1, 2, 3, 7, 64]), st.booleans())
def test_windows_do_not_show(values: list[object], window: int, ascii_only: bool) -> None:
    """Items are the same however few bytes are read at a time, and are what canonical JSON says of each element."""
    content = json.dumps(values, ensure_ascii=ascii_only, indent=1).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items, "_WINDOW_BYTES", window)
        found = records(content)

    assert found == [canonical.dump_canonical(value) for value in values]


@settings(max_examples=300, deadline=None)
@given(damaged_lines(), st.sampled_from([1, 5, 1 << 20]))
def test_damage_never_escapes_and_does_not_depend_on_windows(text: bytes, window: int) -> None:
    content = b"[" + text.replace(b"\n", b",") + b"]"
    whole = items("json", content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items, "_WINDOW_BYTES", window)

        assert items("json", content) == whole
    assert all(record != REST for record, _, _ in whole[:-1])
    items("json", text)


@settings(max_examples=300, deadline=None)
@given(damaged_lines())
def test_the_plain_reading_is_the_exact_reading(text: bytes) -> None:
    """Whatever `read_value` accepts, it reads and writes as the canonical functions do."""
    for line in text.decode("utf-8", "replace").split("\n"):
        try:
            exact = canonical.load_json(line.strip(" \t\r"))
        except ValueError:
            continue
        value, _, is_plain = read_value(line.strip(" \t\r"))

        assert canonical.dump_canonical(value) == canonical.dump_canonical(exact)
        if is_plain:
            assert dump_plain(value) == canonical.dump_canonical(exact)


@pytest.mark.parametrize(
    ("content", "count"), [(b"[1, 2, 3", 3), (b"[1, 2]", 2), (b'{"a": 1, "b": [{"c": 1}, {"c": 2}]}', 3), (b"{", 1)]
)
def test_skipping_leaves_out_the_first_items(content: bytes, count: int) -> None:
    everything = items("json", content)

    assert len(everything) == count
    for skip in range(len(everything) + 2):
        assert items("json", content, skip) == everything[skip:]
