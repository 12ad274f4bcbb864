"""The report for programs: one JSON document with everything that the pages say."""

import json
from dataclasses import fields, is_dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from audit_pipeline.report.catalogue import Catalogue, Control
from audit_pipeline.report.facts import Facts, Finding

SCHEMA = "audit-report/v1"


def render_json(facts: Facts) -> bytes:
    """Equal facts are equal bytes."""
    others = {field.name: getattr(facts, field.name) for field in fields(facts) if field.name not in _LEFT_OUT}
    catalogue = facts.catalogue
    return dump(
        {
            "schema": SCHEMA,
            **others,
            "as_of": facts.as_of,
            "no_reliance": facts.no_reliance,
            "catalogue": {name: getattr(catalogue, name) for name in _CATALOGUE},
            "counts": dict(facts.counts()),
            "findings": [_finding(finding) for finding in facts.findings],
        }
    )


def dump(document: Any) -> bytes:
    """JSON of one form: equal documents are equal bytes. Numbers are finite, so the standard library is enough."""
    return _ENCODER.encode(document).encode()


def _finding(finding: Finding) -> dict[str, Any]:
    """With the control's own words and query, so that the number can be had again."""
    return {**_members(finding), "days_read": day_spans(finding.days_read)}


def _members(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _plain(value: Any) -> Any:
    """A value in types that JSON has, one level deep: the encoder asks again for what is inside."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Control):
        return value.plain
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return _members(value)
    raise TypeError(f"{type(value).__name__} is not for a report")


_LEFT_OUT = frozenset({"findings", "catalogue", "leaves"})
_CATALOGUE = [field.name for field in fields(Catalogue) if field.name != "controls"]
_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False, default=_plain
)


@lru_cache(maxsize=256)  # most controls read the same days
def day_spans(days: tuple[date, ...]) -> tuple[str, ...]:
    """Days as spans of following days, in order."""
    spans: list[list[date]] = []
    for day in days:
        if spans and (day - spans[-1][1]).days == 1:
            spans[-1][1] = day
        else:
            spans.append([day, day])
    return tuple(first.isoformat() if first == last else f"{first} to {last}" for first, last in spans)
