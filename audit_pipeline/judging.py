"""A day's event tables judged by the policy's suites, and what that came to, kept in `quality_findings`.

The evidence waits for none of this. What is judged is a function of the suites, the waivers in force, the day's data
files and what was observed on the days before; where none of these changed, nothing is judged or written again.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.errors import InputError, StorageError
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import EVENTS, QUALITY_FINDINGS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.stores import open_store
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.quality.day_database import day_database
from audit_pipeline.quality.findings import Finding, Waiver, waive
from audit_pipeline.quality.judging import judge
from audit_pipeline.quality.page import render_page
from audit_pipeline.quality.suites import Expectation, Suite, needed_columns
from audit_pipeline.records import canonical

VERSION = 1
"""Of how days are judged: a day that an older version judged is judged again when it is run again."""

_ATTEMPTS = 100
_SCHEMAS = {name: table.schema for name, table in EVENTS.items()}


@dataclass(frozen=True, slots=True)
class JudgedDay:
    """The newest judgement of a day."""

    day: date
    findings: tuple[Finding, ...]
    judged_at: datetime
    round: int
    is_new: bool
    """False where the day was judged before, by the same, and nothing was written."""

    @property
    def page(self) -> str:
        """Name, among the reports, of the day's data-quality page."""
        return f"quality/{self.day}.html"


def judge_day(
    lake: Lake,
    day: date,
    suites: Sequence[Suite],
    waivers: Sequence[Waiver],
    *,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
) -> JudgedDay:
    """Judge a day's rows by the suites and append a finding for each expectation, unless that was done already.

    Raises:
        StorageError: a table cannot be read.
    """
    for _ in range(_ATTEMPTS):
        table = lake.open(QUALITY_FINDINGS)
        after = table.transaction(_app(day))
        at = now()
        in_force = [waiver for waiver in waivers if at.date() <= waiver.until]
        usual = usual_values(table, day, suites)
        basis = _basis(lake, day, suites, in_force, usual)
        if after and (known := _stored(table, day, after, suites, basis)) is not None:
            return known
        found = [waive(finding, in_force, at.date()) for finding in _judge(lake, day, suites, usual)]
        rows = _rows(day, found, after + 1, at, basis)
        if append_rows(table, _app(day), after, rows, at, entropy(canonical.NONCE_BYTES)):
            return JudgedDay(day, tuple(found), at, after + 1, is_new=True)
    raise StorageError(f"{day}: other workers judge this day without end; run it again when they are done")


def write_page(lake: Lake, judged: JudgedDay) -> None:
    """Put the day's data-quality page among the reports, unless it is there."""
    reports = open_store(lake.places.reports)
    page = render_page(judged.day, judged.findings, judged.judged_at, judged.round)
    if reports.get(judged.page) != page:
        reports.replace(judged.page, page)


def blocking_failures(lake: Lake, first: date, last: date) -> list[tuple[date, str, str]]:
    """(day, table, expectation) of what holds back reports of these days: failed, blocking, and waived by nobody."""
    if (table := lake.find(QUALITY_FINDINGS)) is None:
        return []
    columns = ["day", "judged_table", "expectation", "is_blocking", "state", "round"]
    rows = newest_rounds(table, table.read_days(columns, first, last).to_pylist())
    return sorted(
        (row["day"], row["judged_table"], row["expectation"])
        for row in rows
        if row["is_blocking"] and row["state"] in ("failed", "error")
    )


def newest_judged_day(lake: Lake) -> date:
    """The last day of which there is a judgement.

    Raises:
        InputError: there is none.
    """
    table = lake.find(QUALITY_FINDINGS)
    days: list[date] = table.read(["day"])["day"].to_pylist() if table else []
    if not days:
        raise InputError(f"{QUALITY_FINDINGS.uri(lake.places)}: no day was judged yet; run the daily job on one")
    return max(days)


def newest_rounds(table: OpenTable, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of each day's rows those of its newest judgement, which the table counts: a row may say any number."""
    rows = list(rows)
    newest = {day: table.transaction(_app(day)) for day in {row["day"] for row in rows}}
    return [row for row in rows if row["round"] == newest[row["day"]]]


def usual_values(table: OpenTable, day: date, suites: Iterable[Suite]) -> dict[str, dict[str, Any]]:
    """By table and expectation, what is usual: the median, or all names, of enough days before this one."""
    compared = [(suite.table, one) for suite in suites for one in suite.expectations if one.past is not None]
    if not compared:
        return {}
    longest = max(one.past.days for _, one in compared if one.past)
    columns = ["day", "judged_table", "expectation", "observed_value", "names", "state", "round"]
    before = table.read_days(columns, day - timedelta(days=longest), day - timedelta(days=1))
    rows = newest_rounds(table, before.to_pylist())
    usual: dict[str, dict[str, Any]] = {}
    for name, one in compared:
        assert one.past is not None
        first = day - timedelta(days=one.past.days)
        mine = [r for r in rows if (r["judged_table"], r["expectation"]) == (name, one.name) and r["day"] >= first]
        observed = [row for row in mine if row["observed_value"] is not None and row["state"] != "error"]
        if len(observed) >= one.past.at_least:
            usual.setdefault(name, {})[one.name] = _usual(one, observed)
    return usual


def _usual(expectation: Expectation, rows: Sequence[Mapping[str, Any]]) -> Any:
    if "known" in expectation.kwargs:
        return sorted({name for row in rows for name in row["names"]})
    return median(row["observed_value"] for row in rows)


def _judge(lake: Lake, day: date, suites: Sequence[Suite], usual: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    needed = needed_columns(suites, {name: schema.names for name, schema in _SCHEMAS.items()})
    tables = {
        name: (pa.schema([_SCHEMAS[name].field(column) for column in columns]), _parts(lake, name, columns, day))
        for name, columns in needed.items()
    }
    with day_database(tables) as database:
        for suite in suites:
            yield from judge(suite, database, usual.get(suite.table, {}))


def _parts(lake: Lake, name: str, columns: Sequence[str], day: date) -> Iterator[pa.Table]:
    """The day's rows of an event table, a data file at a time."""
    if (table := lake.find(EVENTS[name])) is None:
        return
    for file in table.files_of_day(day):
        yield _of_day(table.read_file(file, list(dict.fromkeys(["day", *columns]))), day).select(list(columns))


def _of_day(rows: pa.Table, day: date) -> pa.Table:
    return rows.filter(pc.equal(rows["day"], day))


def _basis(
    lake: Lake,
    day: date,
    suites: Sequence[Suite],
    waivers: Sequence[Waiver],
    usual: Mapping[str, Mapping[str, Any]],
) -> str:
    needed = needed_columns(suites, {name: schema.names for name, schema in _SCHEMAS.items()})
    tables = {name: lake.find(EVENTS[name]) for name in needed}
    said = {
        "version": VERSION,
        "suites": {suite.table: suite.digest for suite in suites},
        "waivers": [[w.table, w.expectation, w.who, w.why, w.until.isoformat()] for w in waivers],
        "files": {name: table.files_of_day(day) if table else [] for name, table in tables.items()},
        "usual": usual,
    }
    return hashlib.sha256(canonical.dump_canonical(said)).hexdigest()


def _app(day: date) -> str:
    return f"quality/{day}"


def _rows(day: date, findings: Sequence[Finding], number: int, at: datetime, basis: str) -> pa.Table:
    rows = [
        {
            "day": day,
            "judged_table": one.table,
            "expectation": one.expectation.name,
            "description": one.expectation.description,
            "type": one.expectation.type,
            "expected": canonical.dump_canonical(dict(one.expectation.kwargs)).decode(),
            "severity": one.expectation.severity,
            "is_blocking": one.expectation.is_blocking,
            "state": one.state,
            "reason": one.reason,
            "observed": one.observed,
            "observed_value": one.observed_value,
            "names": list(one.names),
            "rows": one.rows,
            "failing": one.failing,
            "sample": list(one.sample),
            "round": number,
            "judged_at": at,
            "basis": basis,
        }
        for one in findings
    ]
    return pa.Table.from_pylist(rows, schema=QUALITY_FINDINGS.schema)


def _stored(table: OpenTable, day: date, number: int, suites: Iterable[Suite], basis: str) -> JudgedDay | None:
    """The day's judgement of that number, where it was made by the same."""
    rows = [row for row in table.read(QUALITY_FINDINGS.schema.names, day).to_pylist() if row["round"] == number]
    if not rows or rows[0]["basis"] != basis:
        return None
    by_name = {(suite.table, one.name): one for suite in suites for one in suite.expectations}
    findings = tuple(
        Finding(
            table=row["judged_table"],
            expectation=by_name[row["judged_table"], row["expectation"]],
            state=row["state"],
            reason=row["reason"],
            observed=row["observed"],
            observed_value=row["observed_value"],
            rows=row["rows"],
            failing=row["failing"],
            sample=tuple(row["sample"]),
            names=tuple(row["names"]),
        )
        for row in rows
    )
    return JudgedDay(day, findings, rows[0]["judged_at"], number, is_new=False)
