"""The report for programs: one JSON document with everything that the pages say."""

import json
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from audit_pipeline.report.catalogue import Control
from audit_pipeline.report.facts import Facts, Finding

SCHEMA = "audit-report/v1"


def render_json(facts: Facts) -> bytes:
    """Equal facts are equal bytes."""
    others = [field.name for field in fields(facts) if field.name not in ("findings", "catalogue", "leaves")]
    said = {name: plain(getattr(facts, name)) for name in others}
    of_catalogue = [field.name for field in fields(facts.catalogue) if field.name != "controls"]
    catalogue = {name: plain(getattr(facts.catalogue, name)) for name in of_catalogue}
    return dump(
        {
            "schema": SCHEMA,
            **said,
            "as_of": plain(facts.as_of),
            "no_reliance": facts.no_reliance,
            "catalogue": catalogue,
            "counts": dict(facts.counts()),
            "findings": [_finding(finding) for finding in facts.findings],
        }
    )


def dump(document: Any) -> bytes:
    """JSON of one form: equal documents are equal bytes. Ours hold plain values, so the standard library is enough."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _finding(finding: Finding) -> dict[str, Any]:
    """With the control's own words and query, so that the number can be had again."""
    said = {field.name: plain(getattr(finding, field.name)) for field in fields(finding)}
    said["days_read"] = day_spans(finding.days_read)
    return said


def day_spans(days: tuple[date, ...]) -> list[str]:
    """Days as spans of following days, in order."""
    spans: list[list[date]] = []
    for day in days:
        if spans and (day - spans[-1][1]).days == 1:
            spans[-1][1] = day
        else:
            spans.append([day, day])
    return [first.isoformat() if first == last else f"{first} to {last}" for first, last in spans]


def plain(value: Any) -> Any:
    """A value in types that JSON has."""
    if isinstance(value, Control):
        return value.plain
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, date | datetime) else value
