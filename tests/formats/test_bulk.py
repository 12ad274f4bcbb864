"""What is read and built many at a time is what it is one by one."""

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit_pipeline.formats import adapters, record, rows
from audit_pipeline.formats.adapter import Adapter, Metrics
from audit_pipeline.formats.adapters import derive_rows
from audit_pipeline.formats.metric_rows import expand, metric_columns
from audit_pipeline.formats.metrics import CANONICAL_NAMES, always, canonical_of, split_of
from audit_pipeline.formats.record import parse_objects, parse_record
from audit_pipeline.records.events import EVENT_SCHEMAS
from tests.formats.support import PEOPLE, source

TEXTS = st.text(max_size=8) | st.sampled_from(['"', "\\", "\u2028", "$nonfinite", "é", "\ud800", "sk-" + "a" * 20])
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**53, 2**53 + 1, 2**64, 10**400, -0.0, True, None])
VALUES = st.recursive(
    NUMBERS | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=6
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)
ODD_RECORDS = [
    b'{"a":1,"a":2}',
    b'{"a":{"b":1,"b":1}}',
    b'{"a\\u0022":1,"b":2,"b":3}',
    b'{"a":1e400}',
    b'{"a":NaN}',
    b'{"a":1} {"b":2}',
    b'{"a":1},{"b":2}',
    b'\xef\xbb\xbf{"a":1}',
    b'{"a":1}\r',
    b' {"a":1}',
    b"[1]",
    b"1",
    b'{"$nonfinite":"NaN"}',
    b'{"a":"\\ud800"}',
    b'{"a":"' + b"x" * 300 + b'"}',
    b'{"a":' + b"[" * 300 + b"]" * 300 + b"}",
    b'{"a":123456789012345678901234567890.5e-3}',
    b'{"a":' + b"1" * 5000 + b"}",
    b'{"a":' + b"1" * 5000 + b".5}",
]


def alone(of: bytes) -> Any:
    try:
        return parse_record(of)
    except ValueError:
        return ValueError


def same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other) and type(one) is type(other)


@given(st.lists(OBJECTS.map(lambda value: json.dumps(value).encode()) | st.sampled_from(ODD_RECORDS), max_size=6))
def test_objects_read_at_once_are_what_each_is_alone(records: list[bytes]) -> None:
    together = parse_objects(records)

    assert together is None or all(map(same, together, map(alone, records)))


@pytest.mark.parametrize("odd", ODD_RECORDS[:7])
def test_what_is_not_plain_is_not_read_at_once(odd: bytes) -> None:
    assert parse_objects([b'{"a":1}']) == [{"a": 1}]
    assert parse_objects([b'{"a":1}', odd]) is None


ENTRIES = st.lists(
    st.tuples(
        st.dictionaries(TEXTS | st.sampled_from(["loss", "eval_loss", "train/reward"]), VALUES, min_size=1, max_size=5),
        st.sampled_from([split_of, always("summary")]),
        st.fixed_dictionaries({"step": NUMBERS, "epoch": NUMBERS}, optional={"extra": OBJECTS, "run_id": TEXTS}),
    ).map(lambda parts: Metrics(parts[0], parts[2], parts[1])),
    min_size=1,
    max_size=5,
)


def table(entries: list[Metrics], *, one_by_one: bool) -> dict[str, pa.Table]:
    found = rows.EventRows("trl_log_history", 1, PEOPLE)
    found.begin(source("a/logs.jsonl"))
    for position, entry in enumerate(entries):
        for event in expand(entry) if one_by_one else [entry]:
            found.add(position, "training_metrics", event)
    return found.tables()


@given(ENTRIES)
def test_metrics_built_by_column_are_what_they_are_row_by_row(entries: list[Metrics]) -> None:
    by_column, by_row = table(entries, one_by_one=False), table(entries, one_by_one=True)

    assert by_column.keys() == by_row.keys()
    for name, found in by_column.items():
        assert found.schema == EVENT_SCHEMAS[name]
        assert repr(found.to_pylist()) == repr(by_row[name].to_pylist())


def test_an_entry_without_metrics_gives_no_row() -> None:
    assert table([Metrics({}, {"step": 1}, split_of)], one_by_one=False) == {}


def test_names_are_told_by_their_start_and_not_remembered_whole() -> None:
    assert max(map(len, CANONICAL_NAMES)) < 60
    assert split_of("eval/" + "x" * 10**6) == "eval"
    assert canonical_of("loss" + " " * 10**6) is None


def test_plain_metrics_are_built_by_column() -> None:
    entries = [Metrics({"loss": 0.5, "n": 3, "nan": math.nan, "on": True}, {"step": 1}, split_of)]

    assert metric_columns(entries, lambda common: {}) is not None


@pytest.mark.parametrize(
    ("format", "records"),
    [
        ("verl_rollouts", [{"input": "q", "output": "a", "gts": None, "score": n / 7, "step": 1} for n in range(600)]),
        ("trl_log_history", [{"step": n, "epoch": 0.5, "loss": 1.0, "kl": n} for n in range(600)]),
    ],
)
def test_an_odd_record_changes_no_other(
    format: str, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps(value).encode() for value in records]
    lines[300] = lines[300][:-1] + b',"x":1e400}'
    given = [(at, line, "ok") for at, line in enumerate(lines)]

    fast = derive_rows(format, source("run/1.jsonl"), given, PEOPLE)
    monkeypatch.setattr(adapters, "parse_objects", lambda records: None)
    slow = derive_rows(format, source("run/1.jsonl"), given, PEOPLE)

    assert fast.keys() == slow.keys()
    assert all(fast[name].equals(slow[name]) for name in fast)


def test_most_records_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(record: bytes) -> Iterator[Any]:
        raise AssertionError(record)

    monkeypatch.setattr(record, "read_value", refuse)
    records = [(at, b'{"step":%d,"epoch":0.5,"loss":1.0}' % at, "ok") for at in range(600)]

    found = derive_rows("trl_log_history", source("run/logs.jsonl"), records, PEOPLE)

    assert found["training_metrics"].num_rows == 600


def one_by_one(format: str) -> Adapter:
    """The adapter without its columns."""
    return dataclasses.replace(adapters.ADAPTERS[format], columns=None)


ROLLOUT = {"input": "q\n\nHuman: é", "output": "a", "gts": "4", "score": 0.5, "step": 3, "acc": 1}
ROLLOUT_CHANGES = {
    "input": ["", "user\n", 5, None, "mail bob@example.com"],
    "output": ["<|im_start|>", ["a"], "\ud800"],
    "gts": [None, {"a": [1]}, 4, "é"],
    "score": [None, -1, 2**60, True, "0.5", 1e300],
    "step": [None, 1.0, "3", 2**70],
    "acc": [False, None, 0.25],
    "uid": ["s_1_2", 7],
}
METRICS = {"actor/pg_loss": 0.5, "actor/grad_norm": 1, "val/x": 0.25, "training/epoch": 2, "critic/rewards/mean": -1.0}
METRIC_CHANGES = {
    "actor/pg_loss": [None, "NaN", True, 2**60],
    "training/epoch": [0.5, None, "1"],
    "loss": [1.5],
    "mail bob@example.com": [1.0],
}
LEFT_OUT = object()


def changed(base: dict[str, Any], changes: dict[str, list[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """`base` with some values replaced, added or left out."""
    some = st.fixed_dictionaries({}, optional={key: st.sampled_from([*of, LEFT_OUT]) for key, of in changes.items()})
    return some.map(lambda given: {key: of for key, of in {**base, **given}.items() if of is not LEFT_OUT})


LOGS = {
    "verl_rollouts": changed(ROLLOUT, ROLLOUT_CHANGES),
    "verl_metrics": st.builds(
        lambda data, step, more: {"step": step, "data": data, **more},
        changed(METRICS, METRIC_CHANGES),
        st.sampled_from([1, 2, None, "3"]),
        st.sampled_from([{}, {}, {"time": 1.5}]),
    )
    | st.sampled_from([{"step": 1}, {"step": 1, "data": [1]}, {"step": 1, "data": {}}]),
}
PLAIN = {"verl_rollouts": ROLLOUT, "verl_metrics": {"step": 1, "data": METRICS}}


@pytest.mark.parametrize("format", LOGS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_an_adapter_gives_by_column_is_what_it_gives_one_by_one(
    format: str, data: st.DataObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = data.draw(st.lists(st.tuples(st.integers(0, 120), LOGS[format] | st.just(b"not json")), max_size=5))
    plain = data.draw(LOGS[format] | st.just(PLAIN[format]))
    first = data.draw(st.sampled_from([0, 7]))
    records = [json.dumps(plain).encode()] * 120
    for at, value in odd:
        records.insert(at, value if isinstance(value, bytes) else json.dumps(value).encode())
    given = [(first + at, line, "quarantined" if line == b"not json" else "ok") for at, line in enumerate(records)]

    by_column = derive_rows(format, source("rollout_data/run/1.jsonl"), given, PEOPLE)
    with monkeypatch.context() as patched:
        patched.setitem(adapters.ADAPTERS, format, one_by_one(format))
        by_row = derive_rows(format, source("rollout_data/run/1.jsonl"), given, PEOPLE)

    assert by_column.keys() == by_row.keys()
    for name, found in by_column.items():
        assert found.schema == by_row[name].schema
        assert repr(found.to_pylist()) == repr(by_row[name].to_pylist()), name


@pytest.mark.parametrize("format", LOGS)
def test_records_that_are_alike_are_not_looked_at_one_by_one(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Any, items: Any) -> Iterator[Any]:
        if list(items):
            raise AssertionError
        return iter(())

    monkeypatch.setitem(adapters.ADAPTERS, format, dataclasses.replace(adapters.ADAPTERS[format], events=refuse))
    records = [(at, json.dumps(PLAIN[format]).encode(), "ok") for at in range(200)]

    assert derive_rows(format, source("run/1.jsonl"), records, PEOPLE)
