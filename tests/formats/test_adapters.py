"""Event rows of records, whatever the tool."""

import json
import string
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit_pipeline.errors import PolicyError
from audit_pipeline.formats.adapters import ADAPTERS, derive_rows
from audit_pipeline.formats.record import parse_record
from audit_pipeline.records import canonical
from audit_pipeline.records.events import EVENT_COLUMNS, EVENT_SCHEMAS
from tests.containers.test_lines import json_values
from tests.formats.support import MTIME, PEOPLE, source

SOURCE = source("run/1.jsonl")
TOOLS = sorted(name for name, adapter in ADAPTERS.items() if not adapter.events.__name__.startswith("_no_"))
LINE = b'{"step": 1, "epoch": 0.5, "loss": 0.25}'


def rows_of(record: bytes, status: str = "ok", format: str = "trl_log_history") -> list[dict[str, Any]]:
    """The metrics of one record. A record that was not quarantined either has some or a finding that says why not."""
    tables = derive_rows(format, SOURCE, [(0, record, status)], PEOPLE)
    assert status != "ok" or tables.keys() & {"training_metrics", "log_findings"}
    return tables["training_metrics"].to_pylist() if "training_metrics" in tables else []


def test_a_row_names_its_record_and_itself() -> None:
    records = [(41, LINE, "ok"), (42, b'{"step": 2, "epoch": 0.5, "loss": 1, "kl": 2}', "ok")]

    rows = derive_rows("trl_log_history", SOURCE, records, PEOPLE)["training_metrics"].to_pylist()

    assert [(row["position"], row["metric"]) for row in rows] == [(41, "loss"), (42, "loss"), (42, "kl")]
    assert [row["event_id"] for row in rows] == [f"{'5' * 64}-0-0-{name}" for name in ("41-0", "42-0", "42-1")]
    assert {(row["source_id"], row["generation"], row["snapshot"]) for row in rows} == {("5" * 64, 0, 0)}
    assert {(row["day"], row["source_format"], row["adapter_version"]) for row in rows} == {
        (SOURCE.day, "trl_log_history", str(ADAPTERS["trl_log_history"].version))
    }


def test_rows_do_not_depend_on_how_records_are_cut_into_calls() -> None:
    records = [(at, LINE, "ok") for at in range(6)]

    whole = derive_rows("trl_log_history", SOURCE, records, PEOPLE)["training_metrics"]
    parts = [derive_rows("trl_log_history", SOURCE, records[i : i + 2], PEOPLE)["training_metrics"] for i in (0, 2, 4)]

    assert pa.concat_tables(parts).equals(whole)


@pytest.mark.parametrize(
    ("record", "status", "rows"),
    [
        (LINE, "ok", 1),
        (b"\xef\xbb\xbf" + LINE + b"\r", "ok", 1),
        (LINE, "partial_tail", 1),
        (LINE[:-4], "partial_tail", 0),
        (LINE + b" {}", "partial_tail", 0),
        (LINE, "quarantined", 0),
        (b"", "ok", 0),
        (b" \r", "ok", 0),
        (b"\xff", "partial_tail", 0),
        (b"[" * 100_000, "partial_tail", 0),
        (b'{"step": 1, "epoch": 1, "loss": 1, "loss": 2}', "ok", 0),
    ],
)
def test_only_records_that_can_be_read_give_events(record: bytes, status: str, rows: int) -> None:
    assert len(rows_of(record, status)) == rows


def test_the_time_of_the_file_or_none() -> None:
    [row] = rows_of(LINE)
    untimed = derive_rows("trl_log_history", source("run/1.jsonl", None), [(0, LINE, "ok")], PEOPLE)["training_metrics"]

    assert (row["event_time"], row["event_time_quality"]) == (MTIME, "file_mtime")
    assert untimed.column("event_time").to_pylist() == [None]
    assert untimed.column("event_time_quality").to_pylist() == ["none"]


@pytest.mark.parametrize(
    ("step", "expected"),
    [(3, 3), (3.0, 3), (2**63 - 1, 2**63 - 1), (2**63, None), (3.5, None), (True, None), ("3", None), ([3], None)],
)
def test_a_value_that_does_not_fit_its_column_moves_to_extra(step: Any, expected: int | None) -> None:
    [row] = rows_of(json.dumps({"step": step, "epoch": 0.5, "loss": 1}).encode())

    assert row["step"] == expected
    moved = None if expected is not None else json.dumps({"step": step}, separators=(",", ":"))
    assert row["extra_json"] == moved


def test_text_that_arrow_refuses_moves_to_extra() -> None:
    """A lone surrogate is good JSON and no UTF-8."""
    pair = b'{"chosen": "\\ud800", "rejected": "b", "prompt": [{"role": "user", "content": "\\udfff"}]}'

    rows = derive_rows("preference_pairs", SOURCE, [(0, pair, "ok")], PEOPLE)["generations"].to_pylist()

    assert (rows[0]["completion_text"], rows[0]["extra_json"]) == (None, '{"completion_text":"\\ud800"}')
    assert rows[0]["prompt_messages"] == [{"role": "user", "content": None, "extra_json": '{"content":"\\udfff"}'}]


def test_what_canonical_json_wrote_is_read_back() -> None:
    value = {
        "a": [float("inf"), canonical.OutOfRange("1e400"), b"\xff", {"b": float("-inf")}],
        "c": canonical.RepeatedKeys([("x", 1), ("x", float("inf"))]),
        "d": {"$base64": "no base64"},
        "e": {"$unknown": "text"},
        "f": {"$nonfinite": 3, "x": "$"},
    }

    record = canonical.dump_canonical(value)

    assert parse_record(record) == value
    assert isinstance(parse_record(record)["a"][1], canonical.OutOfRange)
    assert str(parse_record(b'{"$decimal": "1.20"}')) == "1.20"
    assert parse_record(b'{"$decimal": "x"}') == {"$decimal": "x"}


@settings(max_examples=200, deadline=None)
@given(json_values.map(canonical.dump_canonical))
def test_a_record_is_read_back_as_it_was_written(record: bytes) -> None:
    assert canonical.dump_canonical(parse_record(record)) == record


keys = st.sampled_from(
    "step epoch loss ts data input output score gts prompt completion chosen rejected label id advantage log_history "
    "global_step max_steps role content train_runtime acc".split()
)
odd_values = st.recursive(
    json_values | st.text(alphabet=string.printable, max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(TOOLS), st.lists(st.dictionaries(keys, odd_values, max_size=8), min_size=1, max_size=3))
def test_odd_values_never_escape(format: str, values: list[dict[str, Any]]) -> None:
    """Neither in an adapter nor in Arrow; and what has an id in the source keeps its record's position."""
    records = [(at, json.dumps(value).encode(), "ok") for at, value in enumerate(values)]

    tables = derive_rows(format, source("a/b/7.jsonl"), records, PEOPLE)

    for table, rows in tables.items():
        assert rows.schema == EVENT_SCHEMAS[table]
        rows.validate(full=True)
        assert len(set(rows.column("event_id").to_pylist())) == rows.num_rows
        assert set(rows.column("position").to_pylist()) <= set(range(len(values)))


def test_generic_formats_have_no_events() -> None:
    generic = ADAPTERS.keys() - set(TOOLS)

    assert len(generic) == 11
    for name in generic:
        assert derive_rows(name, SOURCE, [(0, LINE, "ok")], PEOPLE) == {}


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(PolicyError, match=r"'trl' is not known; give one of docs/formats\.md"):
        derive_rows("trl", SOURCE, [], PEOPLE)
    with pytest.raises(PolicyError, match=r"'trl_log_histroy' is not known; did you mean trl_log_history\?"):
        derive_rows("trl_log_histroy", SOURCE, [], PEOPLE)


def test_every_tool_file_is_registered() -> None:
    folder = Path(derive_rows.__code__.co_filename).parent
    tools = [path.stem for path in folder.glob("*.py") if "\nADAPTERS = (" in path.read_text()]

    found = [adapter for tool in tools for adapter in import_module(f"audit_pipeline.formats.{tool}").ADAPTERS]

    assert len(tools) > 20
    assert {adapter.name: adapter for adapter in found} == ADAPTERS
    assert len(found) == len(ADAPTERS)


def test_event_tables_use_types_that_every_delta_reader_knows() -> None:
    allowed = {pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us", tz="UTC")}

    def leaves(kind: pa.DataType) -> list[pa.DataType]:
        inner = [kind.field(i).type for i in range(kind.num_fields)]
        return [leaf for one in inner for leaf in leaves(one)] if inner else [kind]

    for schema in EVENT_SCHEMAS.values():
        assert {leaf for kind in schema.types for leaf in leaves(kind)} <= allowed
        assert len(set(schema.names)) == len(schema.names)
    assert all(column.meaning for columns in EVENT_COLUMNS.values() for column in columns)
    digests = [(table, name) for table, schema in EVENT_SCHEMAS.items() for name in schema.names if "sha256" in name]
    assert digests == [("model_checkpoints", "sha256")], "of weights, whose record is that digest"
