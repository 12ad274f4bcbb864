"""Weights & Biases: the history of a run, the same as a chart's CSV, and its summary.

Sources: wandb `core/internal/runhistory/runhistory.go`, `core/internal/runsummary/runsummary.go` and `util.py`
(make_safe_for_json); a chart's CSV is made by W&B's web application.

`_step` counts W&B's own rows; the trainer's step is `train/global_step` where it logs one. A metric that a row does not
have is null in a wide file and empty in a CSV, where NaN may be empty too: neither gives an event.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from audit_pipeline.formats.adapter import Adapter, Event, Items, SourceContext, is_number, share
from audit_pipeline.formats.metrics import always, metric_events, split_of
from audit_pipeline.formats.paths import file_name, folder_name
from audit_pipeline.formats.times import epoch_time
from audit_pipeline.records.events import CANONICAL_METRICS

_RUN_FOLDER = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(.+)")
_NUMBER = re.compile(r"-?\d{1,300}(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_OF_CSV = _NONFINITE | {"nan": float("nan"), "inf": float("inf"), "-inf": float("-inf")}
_CHART_AXIS = "Step"
_STEP_KEYS = ("train/global_step", "_step")
_EPOCH_KEY = "train/epoch"


def run_id_of(path: str) -> str | None:
    """The run that a folder of W&B's names, else the nearest folder."""
    named = (_RUN_FOLDER.fullmatch(part) for part in reversed(PurePosixPath(path).parts[:-1]))
    return next((found[1] for found in named if found), folder_name(path))


def _score_history(path: str, items: Sequence[Any]) -> float:
    return max(0.9 * share(items, _is_row), 0.9 * share(items, _is_chart_row))


def _is_row(item: dict[str, Any]) -> bool:
    return "_step" in item and bool({"_timestamp", "_runtime"} & item.keys()) and "_wandb" not in item


def _is_chart_row(item: dict[str, Any]) -> bool:
    """A row of a chart: `Step`, then for each run `<run> - <metric>` and the same with __MIN and __MAX."""
    lines = item.keys() - {_CHART_AXIS}
    ends = {f"{name}{end}" for name in lines for end in ("__MIN", "__MAX") if not name.endswith(("__MIN", "__MAX"))}
    return _CHART_AXIS in item and bool(ends) and ends <= lines and all(" - " in name for name in lines)


def _history_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if not isinstance(item, dict):
            continue
        if "_step" in item:
            yield from _row_events(run_id_of(source.path), position, item)
        elif _is_chart_row(item):
            yield from _chart_events(position, item)


def _row_events(run_id: str | None, position: int, item: dict[str, Any], split: str | None = None) -> Iterator[Event]:
    is_csv = isinstance(item.get("_step"), str)
    metrics = {key: _plain(value, _OF_CSV if is_csv else _NONFINITE) for key, value in item.items()}
    metrics = {key: value for key, value in metrics.items() if value is not None}
    common: dict[str, Any] = {"run_id": run_id}
    step_key = next((key for key in _STEP_KEYS if is_number(metrics.get(key))), None)
    if step_key is not None:
        common["step"] = metrics.pop(step_key)
    if is_number(metrics.get(_EPOCH_KEY)):
        common["epoch"] = metrics.pop(_EPOCH_KEY)
    if (logged := epoch_time(metrics.get("_timestamp"))) is not None:
        del metrics["_timestamp"]
        common["event_time"], common["event_time_quality"] = logged
    if metrics:
        yield from metric_events(position, metrics, common, always(split) if split else _split_of)
    else:
        yield position, "log_findings", {"kind": "no_event", "found": "a row without a metric"}


def _plain(value: Any, words: dict[str, float]) -> Any:
    """The number that a text stands for: W&B writes NaN and infinities as texts, and a CSV has nothing else."""
    if not isinstance(value, str):
        return value
    if value in words:
        return words[value]
    if words is not _OF_CSV:
        return value
    if _NUMBER.fullmatch(value):
        number = float(value)
        return int(value) if value.lstrip("-").isdigit() else number if abs(number) != float("inf") else value
    return value or None


def _split_of(metric: str) -> str:
    return "system" if metric.startswith("_") else split_of(metric)


def _chart_events(position: int, item: dict[str, Any]) -> Iterator[Event]:
    runs: dict[str, dict[str, Any]] = {}
    for name, text in item.items():
        if name != _CHART_AXIS and (value := _plain(text, _OF_CSV)) is not None:
            run, _, metric = name.rpartition(" - ")
            runs.setdefault(run, {})[metric] = value
    step = _plain(item[_CHART_AXIS], _OF_CSV)
    for run, metrics in runs.items():
        yield from metric_events(position, metrics, {"run_id": run, "step": step}, _split_of)
    if not runs:
        yield position, "log_findings", {"kind": "no_event", "found": "a row without a metric"}


def _score_summary(path: str, items: Sequence[Any]) -> float:
    is_named = file_name(path) == "wandb-summary.json"
    first = items[0] if items and isinstance(items[0], dict) else {}
    keys = {"_step", "_runtime", "_timestamp"} & first.keys()
    return 0.85 * (isinstance(first.get("_wandb"), dict) and bool(keys)) + 0.1 * is_named


def _summary_events(source: SourceContext, items: Items) -> Iterator[Event]:
    for position, item in items:
        if isinstance(item, dict) and item.keys() & {"_wandb", "_step", "_runtime", "_timestamp"}:
            yield from _row_events(run_id_of(source.path), position, item, "summary")


RUN_ORIGIN = "id of the run, from the folder that W&B names after it, else the nearest folder"
_STEP = "train/global_step, else _step"
_METRIC_FIELDS = {
    **{
        f"training_metrics.{column}": where
        for column, where in (
            ("run_id", RUN_ORIGIN),
            ("step", _STEP),
            ("epoch", "train/epoch"),
            ("event_time", "_timestamp"),
            ("event_time_quality", "`epoch_s` where _timestamp is the time"),
            ("attempt", "0"),
            ("metric", "any other key"),
            ("metric_canonical", "by the key"),
            ("split", "by the key; `system` for _step, _runtime and others of W&B"),
            ("value", "value of the key"),
            ("value_state", "by the value"),
            ("value_raw", "value of the key"),
            ("extra_json", "numbers that are no step or epoch"),
        )
    },
}
_CHART = "; of a chart's CSV, the run and metric in `<run> - <metric>`, and Step"
_ROW_FIELDS = {
    **_METRIC_FIELDS,
    "training_metrics.run_id": RUN_ORIGIN + _CHART,
    "policy_updates.run_id": RUN_ORIGIN + _CHART,
    "policy_updates.step": _STEP,
    "policy_updates.epoch": "train/epoch",
    "policy_updates.event_time": "_timestamp",
    "policy_updates.event_time_quality": "`epoch_s` where _timestamp is the time",
    "policy_updates.attempt": "0",
    "policy_updates.extra_json": "numbers that are no step or epoch",
    "policy_updates.not_finite": "those of the numbers that are NaN or infinite",
    **{f"policy_updates.{name}": "value of the key that says so" for name in CANONICAL_METRICS},
}
_SUMMARY_FIELDS = {**_METRIC_FIELDS, "training_metrics.split": "`summary`"}
ADAPTERS = (
    Adapter(
        "wandb_history",
        1,
        ("jsonl", "csv", "parquet", "json"),
        _score_history,
        _history_events,
        reads="Rows of a W&B run's history as JSON Lines, CSV or Parquet, and CSV exported from a chart.",
        fields=_ROW_FIELDS,
    ),
    Adapter(
        "wandb_summary",
        1,
        ("json", "jsonl"),
        _score_summary,
        _summary_events,
        reads="`wandb-summary.json` of a W&B run.",
        fields=_SUMMARY_FIELDS,
    ),
)
