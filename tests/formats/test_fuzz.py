"""Mutated logs of every tool: nothing but a quarantined record or a finding comes of them, and nothing is lost."""

import hashlib
import io
import random
import re
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audit_pipeline.containers.items import iter_items
from audit_pipeline.containers.lines import line_exceptions
from audit_pipeline.formats.adapter import Adapter
from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.detect import detect
from audit_pipeline.formats.record import parse_record
from audit_pipeline.records import canonical
from audit_pipeline.records.events import EVENT_SCHEMAS
from tests.formats.shapes import SHAPES, Shape
from tests.formats.support import PEOPLE, REST, source

VALUES, FILES = 5_000, 1_500
AT_ONCE = 8  # values in one source
MOST_BYTES = 200 << 20  # of memory, beyond what was held before, for one input
TOOLS = [adapter for adapter in ADAPTERS.values() if adapter.has_events]
VALUES_EACH, FILES_EACH = (-(-count // len(TOOLS)) for count in (VALUES, FILES))
ODD = [
    None, True, False, 0, -1, -0.0, 0.1, 2**63, -(2**63) - 1, 10**400, 1e308, float("nan"), float("inf"),
    "", "x", "None", "NaN", "1e999", "\u0663", "\ud800", "\u2028", "a" * 5000,
    "2026-03-05T10:00:00Z", "9999-12-31T23:59:59-23:59",
    [], [[]], [None], [{}], [1, "a", None, {"b": []}], [{"role": 1, "content": [2]}],
    {}, {"role": None}, {"role": "user", "content": "\ud800"}, {"value": {"value": {}}}, {"$nonfinite": "NaN"},
    b"\xff", canonical.OutOfRange("1e400"), canonical.RepeatedKeys([("a", 1), ("a", {})]),
]  # fmt: skip
NOT_READ_IN_PART = frozenset(["json", "parquet", "sqlite"])
WORD = re.compile(r"[A-Za-z0-9]{3,}")
Record = tuple[int, bytes, str]
"""(position, record, status)"""


def mutated(value: Any, chosen: random.Random) -> Any:
    """The value with one place of it changed: another value, a lost, doubled or renamed member, a swapped pair."""
    if isinstance(value, dict) and value and chosen.random() < 0.9:
        key = chosen.choice(list(value))
        what = chosen.randrange(8)
        if what == 0:
            return {k: v for k, v in value.items() if k != key}
        if what == 1:
            return {**value, key + chosen.choice(["s", " ", "_", "\u00e9", "\ud800"]): value[key]}
        if what == 2:
            other = chosen.choice(list(value))
            return {**value, key: value[other], other: value[key]}
        return {**value, key: mutated(value[key], chosen)}
    if isinstance(value, list) and value and chosen.random() < 0.8:
        at = chosen.randrange(len(value))
        what = chosen.randrange(4)
        if what == 0:
            return value[:at] + value[at + 1 :]
        if what == 1:
            return [*value, value[at]]
        return [*value[:at], mutated(value[at], chosen), *value[at + 1 :]]
    if isinstance(value, str) and len(value) > 1 and chosen.random() < 0.3:
        cut = chosen.randrange(1, len(value))
        return value[:cut] + chosen.choice(["\n", "\0", " ", "\ud800", "9" * 30]) + chosen.choice(["", value[cut:]])
    return chosen.choice(ODD)


def mutated_often(value: Any, chosen: random.Random) -> Any:
    for _ in range(chosen.randrange(1, 4)):
        value = mutated(value, chosen)
    return value


def flipped(content: bytes, chosen: random.Random) -> bytes:
    """Some bytes changed, or the end cut off, or a piece of it repeated."""
    changed = bytearray(content)
    for _ in range(chosen.randrange(1, 4)):
        changed[chosen.randrange(len(changed))] = chosen.randrange(256)
    what = chosen.random()
    if what < 0.3:
        return bytes(changed[: chosen.randrange(len(changed) + 1)])
    if what < 0.4:
        begin, end = sorted(chosen.randrange(len(changed) + 1) for _ in range(2))
        return bytes(changed[:end] + changed[begin:])
    return bytes(changed)


@contextmanager
def bounded(what: Callable[[], str]) -> Iterator[None]:
    """Fail where memory grows beyond MOST_BYTES meanwhile; what `what` says tells the input."""
    before = peak_bytes(is_reset=True)
    yield
    grown = peak_bytes() - before
    assert grown <= MOST_BYTES, f"{grown >> 20} MiB more for {what()}"


def peak_bytes(*, is_reset: bool = False) -> int:
    """The most memory this process held since the last reset; since its start where Linux does not tell."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if is_reset:
        Path("/proc/self/clear_refs").write_text("5")
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) << 10


def check_rows(adapter: Adapter, path: str, records: list[Record], mapping: str | None = None) -> None:
    tables = derive_rows(adapter.name, replace(source(path), mapping=mapping), records, PEOPLE)

    named = set()
    for table, rows in tables.items():
        assert rows.schema == EVENT_SCHEMAS[table]
        rows.validate(full=True)
        ids = rows.column("event_id").to_pylist()
        assert len(set(ids)) == len(ids)
        named.update(rows.column("position").to_pylist())
    # A record is an event, or a finding that says why not, or quarantined with its reason.
    assert named >= {position for position, _, status in records if status == "ok"}
    assert named <= {position for position, _, _ in records}


@pytest.mark.parametrize("adapter", TOOLS, ids=lambda adapter: adapter.name)
def test_values_of_any_shape_become_events_or_findings(adapter: Adapter) -> None:
    chosen = random.Random(adapter.name)
    shapes = SHAPES[adapter.name]
    for _ in range(0, VALUES_EACH, AT_ONCE):
        shape = chosen.choice(shapes)
        values = [mutated_often(chosen.choice(shape.values), chosen) for _ in range(AT_ONCE)]
        with bounded(lambda values=values: repr(values)[:1000]):
            assert 0 <= adapter.score(shape.path, values) <= 1
            records = [(at, as_record(adapter, value), "ok") for at, value in enumerate(values)]
            check_rows(adapter, shape.path, records, shape.mapping)


def as_record(adapter: Adapter, value: Any) -> bytes:
    if "text" in adapter.containers and isinstance(value, str):
        return value.encode(errors="surrogatepass")
    return canonical.dump_canonical(value)


@pytest.mark.parametrize("adapter", TOOLS, ids=lambda adapter: adapter.name)
def test_damaged_files_become_records_and_nothing_is_lost(adapter: Adapter) -> None:
    chosen = random.Random(adapter.name)
    shapes = [shape for shape in SHAPES[adapter.name] if shape.content]
    for _ in range(FILES_EACH if shapes else 0):
        shape = chosen.choice(shapes)
        content = flipped(shape.content, chosen)
        with bounded(lambda content=content: repr(content)[:1000]):
            found = detect(shape.path, content, len(content), chosen.choice([None, adapter.name]), content)
            records = records_of(content, found.container)
            if ADAPTERS[found.format].has_events:
                check_rows(ADAPTERS[found.format], shape.path, records)
            check_records(records, found.container, content)
        check_what_is_intact(content, shape)


def check_records(records: list[Record], container: str, content: bytes) -> None:
    """A line that can be read is JSON or blank, an item canonical JSON; what could not be read is said."""
    for _, record, status in records:
        if container not in {"jsonl", "text"}:
            assert canonical.dump_canonical(canonical.load_json(record.decode())) == record
        elif container == "jsonl" and status != "quarantined" and record.strip():
            canonical.load_json(record.decode("utf-8-sig"))
    if container == "json" and not is_json(content):
        assert records[-1][2] == "quarantined"
    if container == "csv" and REST not in {record for _, record, _ in records}:
        header, _, rows = content.partition(b"\n")
        kept = "".join(map(text_of, (parse_record(record) for _, record, _ in records)))
        assert [word for word in WORD.findall(rows.decode(errors="replace")) if word not in kept] == [], header


def is_json(content: bytes) -> bool:
    try:
        canonical.load_json(content.decode("utf-8-sig"))
    except ValueError:
        return False
    return True


def text_of(value: Any) -> str:
    """All text in a record."""
    if isinstance(value, dict | list):
        return " ".join(map(text_of, [*value, *value.values()] if isinstance(value, dict) else value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def check_what_is_intact(content: bytes, shape: Shape) -> None:
    """What comes before the damage is read as ever, and with checksums nothing else is."""
    if shape.container == "whole":
        return
    intact = same_start(content, shape.content)
    start, damaged, whole = (records_of(one, shape.container) for one in (content[:intact], content, shape.content))
    before = start[:-1]  # the last may go on
    assert before == damaged[: len(before)] == whole[: len(before)]
    if shape.container in NOT_READ_IN_PART and 0 < intact < len(shape.content):
        assert start[-1][2] == "quarantined"
    if shape.container == "tfrecord":
        assert {record for _, record, status in damaged if status == "ok"} <= {record for _, record, _ in whole}


def same_start(one: bytes, other: bytes) -> int:
    """How many bytes both start with."""
    differ = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))


def records_of(content: bytes, container: str) -> list[Record]:
    if container == "whole":
        record = {"$hash_only": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        return [(0, canonical.dump_canonical(record), "ok")]
    if container in {"jsonl", "text"}:
        lines = content.removesuffix(b"\n").split(b"\n")
        found = line_exceptions(memoryview(content), np.array(list(map(len, lines))), container, is_first=True)
        odd = {at: status for at, status, _ in found}
        return [(at, line, odd.get(at, "ok")) for at, line in enumerate(lines)]
    return [(at, record, status) for at, (record, status, _) in enumerate(iter_items(container, io.BytesIO(content)))]
