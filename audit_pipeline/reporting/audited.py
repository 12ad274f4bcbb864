"""What the pipeline wrote about itself, as evidence: rows of audit tables that are records of `_audit`.

What was written since the last seal is no evidence yet, and is left out. The days that vouch for rows are those under
which they were taken in.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date
from fractions import Fraction
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.audit_trail import STREAM
from audit_pipeline.lake.audit_rows import audit_path
from audit_pipeline.lake.declared import ALERTS, LEDGER, QUALITY_FINDINGS, RELEASES, REPORTS, SOURCES, Table
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.reservations import reservations_of
from audit_pipeline.privacy.ledger import Reservation, loss
from audit_pipeline.privacy.mechanisms import epsilon_at
from audit_pipeline.report.facts import Period
from audit_pipeline.report.judging import bounds

SealedRows = tuple[pa.Table, frozenset[date]]
"""Rows, and the days whose seals vouch for them."""

_TIMES = {REPORTS.name: "made_at", RELEASES.name: "published_at", ALERTS.name: "at"}
"""When a row was written. Findings are judged by the day they are of: a later judgement of it counts."""
_LOSSES = pa.schema(
    [
        ("number", pa.int64()),
        ("reserved_at", pa.timestamp("us", tz="UTC")),
        ("scope", pa.string()),
        ("period", pa.string()),
        ("asked", pa.string()),
        ("epsilon", pa.float64()),
        ("delta", pa.float64()),
        ("cum_epsilon", pa.float64()),
        ("cum_delta", pa.float64()),
        ("accountant", pa.string()),
    ]
)


def read_audited(lake: Lake, name: str, columns: Sequence[str], period: Period) -> SealedRows:
    """Sealed rows of an audit table up to the period's end; of the ledger, the losses that follow from them.

    Raises:
        ProofError: the ledger is no chain.
    """
    end = bounds(period)["end"].replace(tzinfo=UTC)
    if name == LEDGER.name:
        ledger, days = sealed_rows(lake, LEDGER, LEDGER.schema.names)
        releases, others = sealed_rows(lake, RELEASES, ["reservation", "manifest"])
        losses = privacy_losses(reservations_of(ledger), releases.to_pylist(), period)
        return losses.select(list(columns)), days | others
    if name == QUALITY_FINDINGS.name:
        return sealed_rows(lake, QUALITY_FINDINGS, columns, lambda rows: pc.less_equal(rows["day"], period.last))
    table = {one.name: one for one in (REPORTS, RELEASES, ALERTS)}[name]
    time = _TIMES[name]
    return sealed_rows(lake, table, columns, lambda rows: pc.less(rows[time], pa.scalar(end, rows[time].type)))


AUDITED = frozenset({LEDGER.name, QUALITY_FINDINGS.name, *_TIMES})
"""The audit tables that controls are measured on. Seals and verifications are read as what they are."""


def sealed_rows(
    lake: Lake, table: Table, columns: Sequence[str], keep: Callable[[pa.Table], pa.Array] | None = None
) -> SealedRows:
    """The rows of the table's commits that were taken in, of them those that `keep` says true of."""
    opened, sources = lake.find(table), lake.find(SOURCES)
    parts = [pa.schema([table.schema.field(column) for column in columns]).empty_table()]
    days: set[date] = set()
    if opened is not None and sources is not None:
        rows = sources.read(["stream", "path", "day"])
        rows = rows.filter(pc.equal(rows["stream"], STREAM.name))
        taken = dict(zip(rows["path"].to_pylist(), rows["day"].to_pylist(), strict=True))
        for version, commit in opened.commits(1, opened.version):
            if (day := taken.get(audit_path(table.name, version))) is None:
                continue
            found = pa.concat_tables([parts[0], *(opened.read_file(file.name, columns) for file in commit.files)])
            found = found.filter(keep(found)) if keep else found
            if found.num_rows:
                parts.append(found)
                days.add(day)
    return pa.concat_tables(parts), frozenset(days)


def privacy_losses(
    reservations: Sequence[Reservation], releases: Sequence[Mapping[str, Any]], period: Period
) -> pa.Table:
    """What one annotator had lost at most after each reservation of the period, and after the last one before it.

    Epsilon is told at the delta that the manifests of the same year's `releases` name; null where there is none, for a
    loss without its delta says nothing.
    """
    deltas, accountants = {}, {}
    for row in releases:
        said = json.loads(row["manifest"])
        deltas[said["privacy_loss"]["privacy_unit_details"]["period"]] = said["privacy_loss"]["period_budget"]["delta"]
        accountants[row["reservation"]] = f"{said['software']['library']} {said['software']['version']}"
    start, end = (at.replace(tzinfo=UTC) for at in bounds(period).values())
    shown = [one.number for one in reservations if start <= one.reserved_at < end]
    shown += {one.period: one.number for one in reservations if one.reserved_at < start}.values()
    rows = []
    for number in sorted(shown):
        one, until = reservations[number - 1], reservations[:number]
        total, delta = loss(until, one.period), deltas.get(one.period)
        # As it is written, 1e-06 is a millionth; as a binary fraction it is not, and sums of it would be a hair off.
        exact = None if delta is None else Fraction(str(delta))
        rows.append(
            {
                "number": number,
                "reserved_at": one.reserved_at,
                "scope": one.scope,
                "period": one.period,
                "asked": f"{one.release}, {one.window}, revision {one.revision}, attempt {one.attempt}",
                "epsilon": None if delta is None else epsilon_at(one.price.rho, delta),
                "delta": None if exact is None else float(exact + one.price.delta),
                "cum_epsilon": None if delta is None else epsilon_at(total.rho, delta),
                "cum_delta": None if exact is None else float(exact + total.delta),
                "accountant": accountants.get(number),
            }
        )
    return pa.Table.from_pylist(rows, schema=_LOSSES)
