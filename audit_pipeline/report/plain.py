"""The report for programs: one JSON document with everything that the pages say."""

from dataclasses import fields, is_dataclass
from datetime import date, datetime
from typing import Any

from audit_pipeline.records import canonical
from audit_pipeline.report.facts import Facts, Finding

SCHEMA = "audit-report/v1"


def render_json(facts: Facts) -> bytes:
    """Canonical JSON, so that equal facts are equal bytes."""
    said = {field.name: plain(getattr(facts, field.name)) for field in fields(facts) if field.name != "findings"}
    catalogue = {name: value for name, value in said.pop("catalogue").items() if name != "controls"}
    return canonical.dump_canonical(
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
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, date | datetime) else value
