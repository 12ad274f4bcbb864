"""The evidence of a period, as it is read from a lake: narrow columns, days that matter, never `records.record`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.errors import InputError
from audit_pipeline.ingest import days_not_sealed
from audit_pipeline.lake.declared import EVENTS, SOURCES, VERIFICATIONS, Table
from audit_pipeline.lake.logbook import published_keys, sealed_entries
from audit_pipeline.lake.opened import Lake
from audit_pipeline.prove import SignedLog, signed_log
from audit_pipeline.report.evidence import Evidence, evidence_tables, lake_columns
from audit_pipeline.report.facts import DayEvidence, Period, Segment, Verified
from audit_pipeline.report.judging import days_of
from audit_pipeline.reporting.audited import AUDITED, read_audited
from audit_pipeline.reporting.registers import read_registers
from audit_pipeline.tlog import SealEntry, format_seal, leaf_hash

_TEXT, _INT, _TIME = pa.string(), pa.int64(), pa.timestamp("us", tz="UTC")
_SEALS = pa.schema(
    [
        ("log_index", _INT),
        ("day", pa.date32()),
        ("segment", _INT),
        ("kind", _TEXT),
        ("root", _TEXT),
        ("entry_hash", _TEXT),
        ("previous", _TEXT),
        ("key_id", _TEXT),
        ("sealed_at", _TIME),
        ("records", _INT),
        ("policy", _TEXT),
        ("adapters", _TEXT),
        ("pseudonym_key", _TEXT),
    ]
)
_COUNTS = pa.schema([("source_id", _TEXT), ("annotator_kind", _TEXT), ("n_rows", _INT)])
_COLUMNS = pa.schema([("table_name", _TEXT), ("column_name", _TEXT)])
_REPEATED = frozenset("source_id run_id annotator_id annotator_kind question".split())
"""Texts that many rows share: kept once each, so that a month of ten million rows fits."""
_ANNOTATIONS = (
    "day source_id generation snapshot position run_id event_time event_time_quality extra_json item_id annotator_id "
    "annotator_kind question outcome value_text value_num created_at"
).split()
_SAID = ("suggested_label", "instruction_version", "stratum")
"""Keys of `extra_json` that queries read."""


@dataclass(frozen=True, slots=True)
class ReadPeriod:
    """What was read of a lake for a period."""

    evidence: Evidence
    log: SignedLog | None
    """None where nothing is sealed yet."""
    days: Mapping[date, DayEvidence]
    register_problems: Mapping[str, str]

    def relying_on(self, verified: Verified, days: Iterable[date]) -> "ReadPeriod":
        """The same, of which a verification that was just made says whether these days can be relied on."""
        changed = {
            day: replace(
                self.days[day],
                verified_at=verified.at if verified.levels and self.days[day].segments else None,
                problem=verified.problem,
            )
            for day in days
        }
        return replace(self, days={**self.days, **changed})


def read_period(lake: Lake, period: Period, registers: str) -> ReadPeriod:
    """The evidence of a period. `registers` is the stream of registers; only what is sealed of it counts.

    Raises:
        ProofError: the log is not the one that was signed.
    """
    log = read_log_if_any(lake)
    seals = log.seals if log else ()
    declared = _sealed_sources(lake, registers, seals)
    supplied = read_registers(lake, registers, declared)
    tables: dict[str, pa.Table] = {}
    days: dict[str, frozenset[date]] = {}
    for name, columns in lake_columns().items():
        tables[name], days[name] = _rows(lake, name, columns, period, log)
    evidence = Evidence(tables, supplied.tables, supplied.problems, registers, days)
    wanted = {*days_of(period), *(day for of in days.values() for day in of)}
    wanted |= {day for rows in supplied.tables.values() for day in rows.column("_day").to_pylist()}
    return ReadPeriod(evidence, log, day_evidence(lake, seals, wanted), supplied.problems)


def read_log_if_any(lake: Lake) -> SignedLog | None:
    try:
        return signed_log(lake)
    except InputError:
        return None  # nothing is sealed yet


def day_evidence(lake: Lake, seals: Sequence[SealEntry], days: Iterable[date]) -> dict[date, DayEvidence]:
    """How far each of these days can be relied on, by its seals and the verifications that looked at it."""
    sources, verifications = lake.find(SOURCES), lake.find(VERIFICATIONS)
    unsealed = days_not_sealed(sources, seals) if sources is not None else set()
    runs = verifications.read(VERIFICATIONS.schema.names).to_pylist() if verifications is not None else []
    runs.sort(key=lambda run: run["verified_at"])
    by_day: dict[date, list[Segment]] = {}
    for index, seal in enumerate(seals):
        if seal.kind != "seal":
            continue
        of = Segment(index, seal.day, seal.segment, seal.root, seal.records, seal.sources, seal.time, seal.policy)
        by_day.setdefault(seal.day, []).append(of)
    found = {}
    for day in sorted(days):
        segments = tuple(by_day.get(day, ()))
        looked = [run for run in runs if (run["first_day"] or day) <= day <= (run["last_day"] or day)]
        held: datetime | None = None
        for run in looked:
            is_whole = segments and run["log_size"] > segments[-1].index
            held = run["verified_at"] if is_whole and not run["problems"] and run["levels"] else held
        problem = looked[-1]["problem"] if looked and looked[-1]["problems"] else None
        found[day] = DayEvidence(day, segments, bool(segments) and day not in unsealed, held, problem)
    return found


def _sealed_sources(lake: Lake, stream: str, seals: Sequence[SealEntry]) -> frozenset[str]:
    """Texts of the entries of a stream that are under a seal."""
    sources = lake.find(SOURCES)
    if sources is None:
        return frozenset()
    rows = sources.read(["stream", "day", "entry"])
    rows = rows.filter(pc.equal(rows["stream"], stream))
    days = set(rows.column("day").to_pylist())
    sealed = sealed_entries(lake, [seal for seal in seals if seal.day in days and seal.kind == "seal"])
    return frozenset(text for text in rows.column("entry").to_pylist() if text in sealed)


def _rows(
    lake: Lake, name: str, columns: Sequence[str], period: Period, log: SignedLog | None
) -> tuple[pa.Table, frozenset[date]]:
    """(rows with these columns, days they are of)."""
    if name == "seals":
        return _seal_rows(lake, log).select(list(columns)), frozenset()
    if name == "annotation_counts":
        return _annotation_counts(lake, period), frozenset()
    if name == "columns":
        return _filled_columns(lake), frozenset()
    if name in AUDITED:
        return read_audited(lake, name, columns, period)
    table = {"sources": SOURCES, "verifications": VERIFICATIONS, **EVENTS}[name]
    if name in {one.of_period for one in evidence_tables().values()}:
        parts = [_narrow(lake, table, columns, day) for day in days_of(period)]
        rows = pa.concat_tables(parts).unify_dictionaries()
        return rows, frozenset(day for day, part in zip(days_of(period), parts, strict=True) if part.num_rows)
    opened = lake.find(table)
    rows = (
        pa.schema([table.schema.field(column) for column in columns]).empty_table()
        if opened is None
        else opened.read(columns)
    )
    rows = rows.filter(pc.less(rows["day"], period.last + timedelta(days=1))) if "day" in columns else rows
    if name == "log_findings":
        rows = rows.filter(pc.equal(rows["kind"], "withheld"))
        return rows.group_by(list(columns)).aggregate([]).select(list(columns)), frozenset()
    return rows, frozenset(rows.column("day").to_pylist()) if "day" in columns and name in EVENTS else frozenset()


def _seal_rows(lake: Lake, log: SignedLog | None) -> pa.Table:
    if log is None:
        return _SEALS.empty_table()
    keys = published_keys(lake)
    rows = [
        {
            "log_index": index,
            "day": seal.day,
            "segment": seal.segment,
            "kind": seal.kind,
            "root": seal.root,
            "entry_hash": leaf_hash(format_seal(seal)).hex(),
            "previous": seal.previous,
            "key_id": keys.in_force(index + 1).key_id.hex(),
            "sealed_at": seal.time,
            "records": seal.records,
            "policy": seal.policy,
            "adapters": " ".join(seal.adapters) or "none",
            "pseudonym_key": seal.pseudonym_key,
        }
        for index, seal in enumerate(log.seals)
    ]
    return pa.Table.from_pylist(rows, schema=_SEALS)


def _narrow(lake: Lake, table: Table, columns: Sequence[str], day: date) -> pa.Table:
    """A day's rows with what queries read of them; texts that repeat are kept once."""
    opened = lake.find(table)
    read = _ANNOTATIONS if table.name == "annotations" else columns
    if opened is None:
        rows = pa.schema([table.schema.field(column) for column in read]).empty_table()
    else:
        rows = opened.read(read, day)
    if table.name == "annotations":
        rows = _said(rows).select(list(columns))
    for at, field in enumerate(rows.schema):
        if field.name in _REPEATED or field.name in _SAID or field.name == "label":
            rows = rows.set_column(at, field.name, rows.column(at).cast(_TEXT).dictionary_encode())
    return rows


def _said(rows: pa.Table) -> pa.Table:
    """Judgements with when they happened, and with what `extra_json` says in the keys that queries read."""
    is_known = pc.invert(pc.is_in(rows["event_time_quality"], pa.array(["none", "file_mtime"])))
    happened = pc.coalesce(rows["created_at"], pc.if_else(is_known, rows["event_time"], pa.scalar(None, _TIME)))
    rows = rows.append_column("happened_at", happened)
    for name in _SAID:
        found = pc.struct_field(pc.extract_regex(rows["extra_json"], rf'"{name}":"(?P<it>[^"\\]*)"'), 0)
        rows = rows.append_column(name, found)
    label = pc.coalesce(rows["outcome"], rows["value_text"], rows["value_num"].cast(_TEXT))
    return rows.append_column("label", pc.if_else(pc.is_valid(rows["suggested_label"]), label, pa.scalar(None, _TEXT)))


def _annotation_counts(lake: Lake, period: Period) -> pa.Table:
    """Judgements of all days up to the period's end, counted by source and kind of judge, a day at a time."""
    annotations, sources = lake.find(EVENTS["annotations"]), lake.find(SOURCES)
    if annotations is None or sources is None:
        return _COUNTS.empty_table()
    days = sorted({day for day in sources.read(["day"]).column("day").to_pylist() if day <= period.last})
    parts = [
        rows.group_by(["source_id", "annotator_kind"]).aggregate([([], "count_all")]).rename_columns(_COUNTS.names)
        for day in days
        if (rows := annotations.read(["source_id", "annotator_kind"], day)).num_rows
    ]
    return pa.concat_tables(part.cast(_COUNTS) for part in parts) if parts else _COUNTS.empty_table()


def _filled_columns(lake: Lake) -> pa.Table:
    """The columns of event tables that have rows."""
    found = [
        {"table_name": name, "column_name": column}
        for name, table in EVENTS.items()
        if (opened := lake.find(table)) is not None and opened.active_files()
        for column in table.schema.names
    ]
    return pa.Table.from_pylist(found, schema=_COLUMNS)


def checkpoint_root(log: SignedLog | None) -> tuple[str, int, str]:
    """(note, size, root in hex) of the published checkpoint; empty where nothing is sealed."""
    if log is None:
        return "", 0, ""
    return log.note.decode(), log.checkpoint.size, log.checkpoint.root.hex()
