"""MLflow: the files of a run in a file store, and the rows of a SQLite store.

Sources: MLflow 3.17 `store/tracking/file_store.py` (_log_run_metric, _log_run_param, _set_run_tag,
_make_persisted_run_info_dict), `store/tracking/dbmodels/models.py`, `store/tracking/sqlalchemy_store.py`
(sanitize_metric_value), `entities/run_status.py`.

A file store has one file per key, and a value of several lines is several records: each gives a row of its own, in
order of position, and none is joined. A run's settings are therefore many rows of `runs`, to be read together.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from audit_pipeline.formats.adapter import Adapter, Event, Items, SourceContext, as_person, is_number
from audit_pipeline.formats.metrics import metric_events
from audit_pipeline.formats.paths import file_name
from audit_pipeline.formats.times import epoch_ms_time
from audit_pipeline.records import canonical
from audit_pipeline.records.events import CANONICAL_METRICS

_RUN_FILE = re.compile(r"(?:.*?/)?([0-9a-f]{32})/(?:(metrics|params|tags)/(.+)|meta\.yaml)", re.DOTALL)
_METRIC_LINE = re.compile(
    r"(?P<timestamp>-?\d{1,19}) (?P<value>nan|-?inf|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?) (?P<step>-?\d{1,19})"
    r"(?: (?P<dataset_name>.+) (?P<dataset_digest>\S+))?\r?",
    re.ASCII,
)
_META_LINE = re.compile(r"([A-Za-z_]\w*): (.*)", re.ASCII)
_META_KEYS = frozenset(["artifact_uri", "experiment_id", "lifecycle_stage", "start_time", "status"])
_FOLDED = 80  # where PyYAML goes on in the next line, if the value has a space there
_STATUSES = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_LARGEST = 1.7976931348623157e308  # for an infinity, which SQL has no word for
_TABLES = {
    "runs": ("run_uuid", "user_id", "status", "start_time", "end_time", "lifecycle_stage"),
    "metrics": ("key", "value", "timestamp", "run_uuid", "step", "is_nan"),
    "params": ("key", "value", "run_uuid"),
    "tags": ("key", "value", "run_uuid"),
}
_GOES_ON = "a part of a value that goes on in another line"


class _Place(NamedTuple):
    run: str
    kind: str
    """`metrics`, `params`, `tags` or `meta`."""
    key: str


def _place(path: str) -> _Place | None:
    """Which file of which run this is. Folders above the run may have any names."""
    plain = path.removesuffix(path.rpartition("/")[2]) + file_name(path)
    found = _RUN_FILE.fullmatch(plain)
    return _Place(found[1], found[2] or "meta", found[3] or "") if found else None


def _score_file(path: str, items: Sequence[Any]) -> float:
    place = _place(path)
    if place is None:
        return 0.0
    lines = [item for item in items if isinstance(item, str)]
    if place.kind == "metrics":
        return 0.95 * sum(map(bool, map(_METRIC_LINE.fullmatch, lines))) / len(items) if items else 0.0
    if place.kind == "meta":
        return 0.95 * ({line.partition(":")[0] for line in lines} >= _META_KEYS)
    return 0.9  # any text is a value


def _score_database(path: str, items: Sequence[Any]) -> float:
    return 0.95 * all(any(_creates(item, table, columns) for item in items) for table, columns in _TABLES.items())


def _creates(item: Any, table: str, columns: Sequence[str]) -> bool:
    name = re.match(r'CREATE TABLE (?:IF NOT EXISTS )?["`\[]?(\w+)', str(item))
    return name is not None and name[1] == table and set(columns) <= set(re.findall(r"\w+", str(item)))


def _file_events(source: SourceContext, items: Items) -> Iterator[Event]:
    place = _place(source.path)
    for position, line in items:
        if place is None or not isinstance(line, str):
            continue
        if place.kind == "metrics":
            yield from _metric_line(position, place, line)
        elif place.kind == "meta":
            yield from _meta_line(position, place.run, line)
        else:
            yield from _setting(position, place.run, place.kind, place.key, line)


def _metric_line(position: int, place: _Place, line: str) -> Iterator[Event]:
    if (found := _METRIC_LINE.fullmatch(line)) is None:
        return
    value = float(found["value"])
    if math.isinf(value) and "inf" not in found["value"]:
        return  # a number that no double holds: MLflow writes none
    extra = {name: found[name] for name in ("dataset_name", "dataset_digest") if found[name] is not None}
    common = _logged(place.run, int(found["step"]), int(found["timestamp"]), extra)
    yield from metric_events(position, {place.key: value}, common)


def _logged(run: str, step: Any, timestamp: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """The columns of a metric beside its value."""
    common = {"run_id": run, "step": step}
    if (logged_at := epoch_ms_time(timestamp)) is None:
        return {**common, "extra": extra | {"timestamp": timestamp}}
    return {**common, "event_time": logged_at[0], "event_time_quality": logged_at[1], "extra": extra}


def _meta_line(position: int, run: str, line: str) -> Iterator[Event]:
    line = line.removesuffix("\r")
    if line.startswith(" "):
        yield position, "log_findings", {"kind": "no_event", "found": _GOES_ON}
    elif (found := _META_LINE.fullmatch(line)) is not None:
        key, text = found.groups()
        if _may_go_on(line, text):
            yield position, "log_findings", {"kind": "no_event", "found": _GOES_ON}
        else:
            yield position, "runs", {**_run(run), **_run_values({key: _scalar(text)})}


def _may_go_on(line: str, text: str) -> bool:
    if text[:1] in {"'", '"'}:
        return _unquoted(text) is None
    return len(line) > _FOLDED and " " in text


def _scalar(text: str) -> str | int | None:
    if text[:1] in {"'", '"'}:
        return _unquoted(text)
    if text == "null":
        return None
    return int(text) if re.fullmatch(r"-?\d{1,19}", text, re.ASCII) else text


def _unquoted(text: str) -> str | None:
    """The text that a quoted YAML scalar stands for; None where it is not whole."""
    if not re.fullmatch(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*\"""", text):
        return None
    try:
        return str(yaml.safe_load(text))
    except (yaml.YAMLError, ValueError, OverflowError):  # the latter two of an escape beyond Unicode
        return None


def _run(run: Any) -> dict[str, Any]:
    return {"run_id": run, "run_key": run, "framework": "mlflow"}


def _run_values(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of `runs` from the fields of a run, as either store names them."""
    values: dict[str, Any] = {}
    extra = {}
    for key, value in fields.items():
        at = epoch_ms_time(value)
        if key == "start_time" and at is not None:
            values |= {"started_at": at[0], "event_time": at[0], "event_time_quality": at[1]}
        elif key == "end_time" and at is not None:
            values["ended_at"] = at[0]
        elif key in {"run_name", "name"}:
            values["run_name"] = value
        elif key == "status" and isinstance(value, str | int):
            values["status"] = _STATUSES.get(str(value), value)
        elif key == "experiment_id":
            values["project"] = str(value) if isinstance(value, int) else value
        elif key == "user_id":
            values["user_pseudonym"] = as_person(value)
        else:
            extra[key] = value
    return {**values, "extra": extra}


def _setting(position: int, run: str, kind: str, key: str, value: Any) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """A row of `runs` with a parameter or tag."""
    shown: dict[str, Any]
    if kind == "params":
        shown = {"config_json": canonical.dump_canonical({key: value}).decode()}
    elif key == "mlflow.user":
        shown = {"user_pseudonym": as_person(value)}
    elif key in _TAG_COLUMNS:
        shown = {_TAG_COLUMNS[key]: value}
    else:
        shown = {"extra": {"tags": {key: value}}}
    yield position, "runs", {**_run(run), **shown}


_TAG_COLUMNS = {"mlflow.runName": "run_name", "mlflow.source.git.commit": "git_commit"}


def _row_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        table, row = (item.get("table"), item.get("row")) if isinstance(item, dict) else (None, None)
        if not isinstance(table, str) or not isinstance(row, dict):
            continue
        if table not in _TABLES:
            found = "a row of a table other than runs, metrics, params and tags"
            yield position, "log_findings", {"kind": "no_event", "found": found}
        elif isinstance(row.get("run_uuid"), str):
            yield from _row(position, table, row["run_uuid"], {k: v for k, v in row.items() if k != "run_uuid"})


def _row(position: int, table: str, run: str, row: dict[str, Any]) -> Iterator[Event]:
    if table == "runs":
        yield position, "runs", {**_run(run), **_run_values(row)}
        return
    key, value = row.pop("key", None), row.pop("value", None)
    if not isinstance(key, str):
        return
    if table != "metrics":
        for at, of, values in _setting(position, run, table, key, value):
            yield at, of, {**values, "extra": values.get("extra", {}) | row}
        return
    meant = _meant(value, row.pop("is_nan", None))
    step, timestamp = row.pop("step", None), row.pop("timestamp", None)
    extra = row if meant is value else row | {"value": value}
    yield from metric_events(position, {key: meant}, _logged(run, step, timestamp, extra))


def _meant(value: Any, is_nan: Any) -> Any:
    """What was logged: a NaN is stored as 0 with a mark, an infinity as the largest double."""
    if is_nan in (1, True):
        return math.nan
    if is_number(value) and abs(value) == _LARGEST:
        return math.copysign(math.inf, value)
    return value


_FIELDS = {
    "runs.run_id": "folder of the run; run_uuid",
    "runs.run_key": "folder of the run; run_uuid",
    "runs.framework": "`mlflow`",
    "runs.run_name": "run_name or name; the tag mlflow.runName",
    "runs.project": "experiment_id",
    "runs.git_commit": "the tag mlflow.source.git.commit",
    "runs.config_json": "{key: value} of one parameter; of a value of several lines in a file, one line",
    "runs.user_pseudonym": "user_id; the tag mlflow.user",
    "runs.started_at": "start_time",
    "runs.ended_at": "end_time",
    "runs.status": "status; in a file a number, whose name is given",
    "runs.event_time": "start_time",
    "runs.event_time_quality": "`epoch_ms` where start_time is the time",
    "runs.extra_json": "{tags: {key: value}} of any other tag, like parameters; other fields of the run",
    **{
        f"{table}.{column}": where
        for table in ("training_metrics", "policy_updates")
        for column, where in (
            ("run_id", "folder of the run; run_uuid"),
            ("step", "step"),
            ("event_time", "timestamp"),
            ("event_time_quality", "`epoch_ms` where timestamp is the time"),
            ("attempt", "0"),
        )
    },
    "training_metrics.split": "by the key",
    "training_metrics.metric": "key",
    "training_metrics.metric_canonical": "by the key",
    "training_metrics.value": "value",
    "training_metrics.value_state": "by the value; in a database NaN is is_nan and an infinity the largest double",
    "training_metrics.value_raw": "value",
    "training_metrics.extra_json": "dataset_name, dataset_digest; value and timestamp that mean another; other columns",
    **{f"policy_updates.{name}": "value, if the key says that it is this" for name in CANONICAL_METRICS},
    "policy_updates.not_finite": "that number, if it is NaN or infinite",
}

ADAPTERS = (
    Adapter(
        "mlflow_file_store",
        1,
        ("text", "jsonl", "json"),
        _score_file,
        _file_events,
        bytes.decode,
        "Files of a run in an MLflow file store: `<run>/metrics/<key>`, `params/<key>`, `tags/<key>`, `meta.yaml`.",
        _FIELDS,
        needs_newline=lambda path: (place := _place(path)) is not None and place.kind == "metrics",
    ),
    Adapter(
        "mlflow_sqlite",
        1,
        ("sqlite",),
        _score_database,
        _row_events,
        reads="SQLite database of an MLflow tracking store: its tables runs, metrics, params and tags.",
        fields=_FIELDS | {"policy_updates.extra_json": "step that is no number"},
    ),
)
