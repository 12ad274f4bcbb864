"""Rows of `training_metrics` from a flat object of metrics, for every tool that logs one."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from audit_pipeline.formats.adapter import is_number
from audit_pipeline.records import canonical


def metric_rows(
    metrics: Mapping[str, Any], common: Mapping[str, Any], canonical_names: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """One row per metric: the values of `common`, then what the metric says.

    `canonical_names` tells, for a raw name, which of the few metrics that every trainer has it is.
    """
    for name, value in metrics.items():
        row = {**common, "metric": name, "metric_canonical": canonical_names.get(name), "attempt": 0}
        yield {**row, **metric_value(value)}


def metric_value(value: Any) -> dict[str, Any]:
    """`value`, `value_state` and `value_raw`. true and false are 1 and 0; what is no number has the state `text`."""
    number = _as_double(value)
    if number is None:
        raw = value if isinstance(value, str) else canonical.dump_canonical(value).decode()
        return {"value": None, "value_state": "null" if value is None else "text", "value_raw": raw}
    if math.isfinite(number):
        return {"value": number, "value_state": "finite", "value_raw": json.dumps(value)}
    state, raw = ("nan", "NaN") if math.isnan(number) else ("+inf", "Infinity") if number > 0 else ("-inf", "-Infinity")
    return {"value": None, "value_state": state, "value_raw": raw}


def score_value(value: Any, null_state: str = "null") -> dict[str, Any]:
    """`score` and `score_state` of a number, true, false or null."""
    if value is None:
        return {"score": None, "score_state": null_state}
    number = _as_double(value)
    if number is None:  # an integer that only extra_json can hold
        return {"score": value, "score_state": "finite"}
    if math.isnan(number):
        return {"score": None, "score_state": "nan"}
    return {"score": number, "score_state": "finite" if math.isfinite(number) else "inf"}


def _as_double(value: Any) -> float | None:
    """The nearest double, None for what is no number or larger than a double."""
    if not isinstance(value, bool) and not is_number(value):
        return None
    try:
        return float(value)
    except OverflowError:
        return None
