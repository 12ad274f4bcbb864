"""The status rule: scope, integrity, heartbeat, error, violations, too little, and only then PASS.

The order is the promise: what is not shown is NOT_EVIDENCED, and nothing is PASS by default.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from threading import Timer

import duckdb

from audit_pipeline.report.catalogue import Catalogue, Control
from audit_pipeline.report.facts import FAIL, NOT_APPLICABLE, NOT_EVIDENCED, PASS, DayEvidence, Finding, Period

MOST_QUERY_S = 120.0  # a query that takes longer shows nothing
ROUNDING = 1e-9
OF_THE_LOG = frozenset({"INT-01", "INT-02"})
"""Controls that judge the seals themselves: they cannot wait for what they are to find."""
_SCOPE_STATEMENT = """\
SELECT count(*) FROM documents WHERE doc_key = 'scope_statement' AND sha256 IS NOT NULL AND sealed_day IS NOT NULL
AND approved_by IS NOT NULL AND review_due >= $end AND valid_from < $end
AND (superseded_at IS NULL OR superseded_at >= $end)
"""
_HEARTBEATS = """\
SELECT count(DISTINCT day) FROM heartbeats
WHERE table_name = $table AND day >= CAST($start AS DATE) AND day < CAST($end AS DATE)
"""
_ANSWERS = """\
SELECT key, string_agg(DISTINCT value, ',' ORDER BY value) FROM scope
WHERE key IS NOT NULL AND value IS NOT NULL GROUP BY key ORDER BY key
"""
_UNVERIFIED = "was not verified since its last seal; run `audit-pipeline verify`"
_REGISTERS = "docs/compliance.md says how to supply it"

Measured = tuple[int, float | None, int]
"""n, coverage, violations."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The answers to the scope questions, and whether a current statement that somebody approved has them."""

    answers: Mapping[str, str]
    is_approved: bool


@dataclass(frozen=True, slots=True)
class Judge:
    """What is the same for all controls of a report."""

    database: duckdb.DuckDBPyConnection
    period: Period
    catalogue: Catalogue
    scope: Scope
    days: Mapping[date, DayEvidence]
    """Of the period and of all rows that are read."""
    days_read: Callable[[str], frozenset[date]]
    """The days whose seals vouch for a table."""
    problems: Mapping[str, str]
    """By table: why what was supplied cannot be read."""

    def judge(self, control: Control) -> Finding:
        """The finding of one control."""
        days = self._days(control)
        measured, error = self._measure(control)
        status, reason, detail = self._status(control, days, measured, error)
        n, coverage, violations = measured
        applies_from = self.catalogue.applies_from(control)
        is_early = applies_from is not None and applies_from > self.period.last
        return Finding(control, status, reason, detail, n, coverage, violations, is_early, days)

    def _status(
        self, control: Control, days: tuple[date, ...], measured: Measured, error: str | None
    ) -> tuple[str, str, str]:
        """(status, reason, detail), by the first rule that holds."""
        n, coverage, violations = measured
        out_of_scope = self._out_of_scope(control)
        if out_of_scope is not None:
            return out_of_scope
        if control.id not in OF_THE_LOG and (unsound := self._unsound(days)) is not None:
            return NOT_EVIDENCED, *unsound
        if (silent := self._silent_table(control)) is not None:
            return NOT_EVIDENCED, "no_heartbeat", silent
        if error is not None:
            return NOT_EVIDENCED, "error", error
        if violations > control.max_violations:
            return FAIL, "violations", f"{violations} violations, {control.max_violations} allowed"
        if n < control.min_n:
            return NOT_EVIDENCED, "no_records", f"{n} examined, at least {control.min_n} needed"
        if control.min_coverage is not None and (coverage is None or coverage < control.min_coverage - ROUNDING):
            shown = "none" if coverage is None else f"{coverage:.4f}"
            return NOT_EVIDENCED, "coverage", f"coverage {shown}, at least {control.min_coverage} needed"
        return PASS, "", ""

    def _out_of_scope(self, control: Control) -> tuple[str, str, str] | None:
        key = control.scope_key()
        if key is None:
            return None
        if key not in self.scope.answers:
            return NOT_EVIDENCED, "scope", f"the scope statement does not answer {key!r}; {_REGISTERS}"
        if not self.scope.is_approved:
            return NOT_EVIDENCED, "scope", f"no scope statement is sealed, approved and current; {_REGISTERS}"
        if control.is_in_scope(self.scope.answers[key]):
            return None
        said = self.days_read("scope") | self.days_read("documents")
        if (unsound := self._unsound(tuple(sorted(said)))) is not None:
            return NOT_EVIDENCED, *unsound
        return NOT_APPLICABLE, "scope", f"the approved scope statement says {key} = {self.scope.answers[key]!r}"

    def _days(self, control: Control) -> tuple[date, ...]:
        read = {day for table in control.tables for day in self.days_read(table)}
        return tuple(sorted(read | set(days_of(self.period))))

    def _unsound(self, days: tuple[date, ...]) -> tuple[str, str] | None:
        """(reason, detail) where a day that was read has no seal, or was not seen to hold since."""
        of = [self.days[day] for day in days]
        for reason, what, bad in (
            ("integrity", "does not verify", [day.day for day in of if day.problem is not None]),
            ("unsealed", "is not sealed whole; run `audit-pipeline run`", [day.day for day in of if not day.is_sealed]),
            ("unverified", _UNVERIFIED, [day.day for day in of if day.verified_at is None]),
        ):
            if bad:
                more = f" and {len(bad) - 1} more days" if len(bad) > 1 else ""
                return reason, f"{bad[0]}{more}: {what}"
        return None

    def _silent_table(self, control: Control) -> str | None:
        """What is missing where a table has no row, and no heartbeat says that there was nothing to say."""
        for table in control.tables:
            if not self._one(f'SELECT count(*) FROM (FROM "{table}" LIMIT 1)')[0]:  # noqa: S608 - names of our own
                if table not in control.may_be_empty:
                    return f"`{table}` has no row; {_REGISTERS}"
                wanted = len(days_of(self.period))
                found = self._one(_HEARTBEATS, {"table": table, **bounds(self.period)})[0]
                if found < wanted:
                    return f"`{table}` has no row, and heartbeats on {found} of {wanted} days; {_REGISTERS}"
        return None

    def _measure(self, control: Control) -> tuple[Measured, str | None]:
        """(what the query gives, why it gives nothing)."""
        if broken := sorted(set(control.tables) & self.problems.keys()):
            return (0, None, 0), f"{broken[0]}: {self.problems[broken[0]]}"
        given = {
            name: value
            for name, value in {**bounds(self.period), **control.thresholds}.items()
            if re.search(rf"\${name}\b", control.query)
        }
        watch = Timer(MOST_QUERY_S, self.database.interrupt)
        watch.start()
        try:
            rows = self.database.execute(control.query, given).fetchall()
        except duckdb.Error as err:
            return (0, None, 0), f"the query fails: {' '.join(str(err).split())[:200]}"
        finally:
            watch.cancel()
        if len(rows) != 1 or len(rows[0]) != 3:
            return (0, None, 0), "the query gives not one row of n, coverage and violations"
        n, coverage, violations = rows[0]
        return (int(n or 0), None if coverage is None else float(coverage), int(violations or 0)), None

    def _one(self, sql: str, given: Mapping[str, object] | None = None) -> tuple[int, ...]:
        found: tuple[int, ...] | None = self.database.execute(sql, given or {}).fetchone()
        assert found is not None
        return found


def read_scope(database: duckdb.DuckDBPyConnection, period: Period) -> Scope:
    """The scope as the registers say it. Of a question with several answers, all of them, comma-separated."""
    rows = database.execute(_ANSWERS).fetchall()
    approved = database.execute(_SCOPE_STATEMENT, {"end": bounds(period)["end"]}).fetchone()
    return Scope(dict(rows), approved is not None and approved[0] > 0)


def bounds(period: Period) -> dict[str, datetime]:
    """The half-open span of time that queries see."""
    return {
        "start": datetime.combine(period.first, time()),
        "end": datetime.combine(period.last + timedelta(days=1), time()),
    }


def days_of(period: Period) -> list[date]:
    return [period.first + timedelta(days=n) for n in range((period.last - period.first).days + 1)]
