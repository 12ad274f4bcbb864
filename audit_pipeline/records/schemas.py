"""Columns and Arrow schemas of the evidence tables. Only types every Delta reader knows: no unsigned, no fixed-size.

docs/tables.md is made from this file and from events.py.
"""

import pyarrow as pa

from audit_pipeline.records.events import Column

SCHEMA_VERSION = 1
"""Written into each table's description and checked when the table is opened."""

_TEXT, _INT, _BYTES, _DAY = pa.string(), pa.int64(), pa.binary(), pa.date32()
_TIME = pa.timestamp("us", tz="UTC")

RECORD_COLUMNS = (
    Column("day", _DAY, "day of the source", True),
    Column("source_id", _TEXT, "SHA-256 of stream and path", True),
    Column("generation", _INT, "rewrites of the source before this record", True),
    Column("snapshot", _INT, "run of bytes, within the generation, that it came in with", True),
    Column("position", _INT, "which record of the generation, from 0", True),
    Column("record", _BYTES, "the line's exact bytes, or the item as canonical JSON", True),
    Column("salt", _BYTES, "16 random bytes that hide the record's leaf", True),
    Column("status", _TEXT, "ok, partial_tail or quarantined", True),
    Column("reason", _TEXT, "why it is not ok, or empty", True),
)

SOURCE_COLUMNS = (
    Column("day", _DAY, "day of the source", True),
    Column("stream", _TEXT, "stream it landed in", True),
    Column("source_id", _TEXT, "SHA-256 of stream and path", True),
    Column("path", _TEXT, "relative to the stream's fixed folder", True),
    Column("generation", _INT, "rewrites of the source before", True),
    Column("snapshot", _INT, "which snapshot of the generation, from 0", True),
    Column("position", _INT, "position of the first record", True),
    Column("records", _INT, "number of records", True),
    Column("start", _INT, "first byte taken, of the decompressed source", True),
    Column("end", _INT, "byte after the last one taken", True),
    Column("container", _TEXT, "how the bytes are cut into records", True),
    Column("compression", _TEXT, "none, gzip or zstd", True),
    Column("growth", _TEXT, "new, appended, extended or rewritten", True),
    Column("quarantined", _INT, "records that could not be read as what they are", True),
    Column("partial_tails", _INT, "1 where the last line had no newline", True),
    Column("format", _TEXT, "the tool's format, by which events are made", True),
    Column("format_evidence", _TEXT, "why it is taken for this format", True),
    Column("mapping", _TEXT, "what the policy says of its columns, as canonical JSON, where the format needs it said"),
    Column("size_bytes", _INT, "size of the landed file then", True),
    Column(
        "mtime_ns",
        _INT,
        "its modification time then, ns since 1970; of an object in a bucket, its second and a digest of its etag",
        True,
    ),
    Column("is_complete", pa.bool_(), "whether the file, as it was then, is taken in to its end", True),
    Column("resume_at", _INT, "byte at which the next snapshot starts", True),
    Column("resume_position", _INT, "position of the next record", True),
    Column("object", _TEXT, "name under `evidence/` of the source kept whole"),
    Column("line_object", _TEXT, "name under `evidence/` of the one line, where it is too long for a row"),
    Column("nonce", _BYTES, "hides the entry's content digest", True),
    Column("entry", _TEXT, "the exact text of the day tree's leaf", True),
    Column("data_file", _TEXT, "file of `records` with the rows", True),
    Column("ingested_at", _TIME, "when the batch was written", True),
)

SEAL_COLUMNS = (
    Column("index", _INT, "which entry of the log, from 0", True),
    Column("day", _DAY, "day it closes", True),
    Column("kind", _TEXT, "seal; key, a new key of the log; freeze, its end", True),
    Column("segment", _INT, "which seal of the day, from 1", True),
    Column("sources", _INT, "sources under it", True),
    Column("records", _INT, "records under it", True),
    Column("root", _TEXT, "root of the day tree, hex", True),
    Column("sealed_at", _TIME, "when it was decided", True),
    Column("entry", _TEXT, "the exact text of the log's leaf", True),
)

VERIFICATION_COLUMNS = (
    Column("day", _DAY, "day of the run that verified", True),
    Column("first_day", _DAY, "first day whose rows were checked; empty: all days"),
    Column("last_day", _DAY, "last day whose rows were checked; empty: all days"),
    Column("verified_at", _TIME, "when it was done", True),
    Column("checkpoint", _TEXT, "the signed checkpoint that was checked; empty where none could be", True),
    Column("log_size", _INT, "entries of the log under that checkpoint", True),
    Column("seals", _INT, "its entries that close these days", True),
    Column("records", _INT, "records hashed again", True),
    Column("files", _INT, "stored files compared with the inventories", True),
    Column("unsealed_records", _INT, "records of these days under no seal", True),
    Column("levels", _TEXT, "what was shown, words apart by spaces; empty where there are problems", True),
    Column("problems", _INT, "things that do not hold", True),
    Column("problem", _TEXT, "the first of them"),
)

CONTROL_FINDING_COLUMNS = (
    Column("day", _DAY, "day of the run that judged", True),
    Column("first_day", _DAY, "first day of the period that was judged", True),
    Column("last_day", _DAY, "its last day", True),
    Column("control", _TEXT, "id of the control", True),
    Column("status", _TEXT, "PASS, FAIL, NOT_EVIDENCED or NOT_APPLICABLE", True),
    Column("reason", _TEXT, "one word why; empty for PASS", True),
    Column("detail", _TEXT, "the same for a reader; empty for PASS", True),
    Column("examined", _INT, "records that the query examined", True),
    Column("coverage", pa.float64(), "share of them that could be judged, where the control measures it"),
    Column("violations", _INT, "violations found", True),
    Column("is_early", pa.bool_(), "whether the law did not apply yet at the period's end", True),
    Column("catalogue_digest", _TEXT, "SHA-256 of the catalogue, hex", True),
    Column("log_size", _INT, "entries of the log that were read", True),
    Column("judged_at", _TIME, "when it was judged", True),
)

REPORT_COLUMNS = (
    Column("day", _DAY, "day of the run that made it", True),
    Column("report_id", _TEXT, "its folder under the reports place", True),
    Column("first_day", _DAY, "first day of the period", True),
    Column("last_day", _DAY, "its last day", True),
    Column("made_at", _TIME, "when it was made", True),
    Column("sha256", _TEXT, "SHA-256 over the digests of its files, hex", True),
    Column("rerender_sha256", _TEXT, "the same of a second rendering of the same facts", True),
    Column("catalogue_digest", _TEXT, "SHA-256 of the catalogue, hex", True),
    Column("catalogue_reviewed", _DAY, "when the catalogue was last reviewed", True),
    Column("log_size", _INT, "entries of the log that were read", True),
    Column("is_notice", pa.bool_(), "whether it is the notice that nothing can be relied on", True),
)

QUALITY_FINDING_COLUMNS = (
    Column("day", _DAY, "day whose rows were judged", True),
    Column("judged_table", _TEXT, "table that was judged", True),
    Column("expectation", _TEXT, "name of the expectation in the table's suite", True),
    Column("description", _TEXT, "what must hold, in words", True),
    Column("type", _TEXT, "kind of the expectation, as Great Expectations calls it", True),
    Column("expected", _TEXT, "its arguments, as canonical JSON", True),
    Column("severity", _TEXT, "critical, warning or info", True),
    Column("is_blocking", pa.bool_(), "whether reports wait while it fails", True),
    Column("state", _TEXT, "passed, failed, waived, not_judged or error", True),
    Column("reason", _TEXT, "why it is waived, not judged or an error, or empty", True),
    Column("observed", _TEXT, "what was observed, in words, or empty", True),
    Column("observed_value", pa.float64(), "the same as a number, where it is one"),
    Column("names", pa.list_(_TEXT), "names that were observed, of fields, where it is about them", True),
    Column("rows", _INT, "rows that the table has of the day", True),
    Column("failing", _INT, "rows that fail, where it is about rows"),
    Column("sample", pa.list_(_TEXT), "event_id of the first of them, at most 20", True),
    Column("round", _INT, "which judgement of the day, from 1: the newest counts", True),
    Column("judged_at", _TIME, "when it was judged", True),
    Column(
        "basis", _TEXT, "SHA-256, hex, of what was judged by: suites, waivers, names of data files, days before", True
    ),
)

ALERT_COLUMNS = (
    Column("number", _INT, "which row of the table, from 1", True),
    Column("day", _DAY, "day on which it was written", True),
    Column("at", _TIME, "when", True),
    Column("alert", _TEXT, "name of the alert", True),
    Column("event", _TEXT, "raised, grown, resolved, reopened, acknowledged, notice, sent, failed or handed", True),
    Column("kind", _TEXT, "kind of fault, a section of deploy/runbooks.md", True),
    Column("subject", _TEXT, "what it is a fault of: a check, a stream, a store; many: of several", True),
    Column("severity", _TEXT, "warning, error or critical", True),
    Column("items", _TEXT, "what was found that was not known before: days, sources, runs; words apart by spaces"),
    Column("summary", _TEXT, "one line about it"),
    Column("notice", _INT, "which notice of the alert, from 1"),
    Column("reason", _TEXT, "why there is a notice: raised, grown, repeated, escalated or resolved"),
    Column("channels", _TEXT, "who is to get the notice; words apart by spaces"),
    Column("channel", _TEXT, "channel that took it, or did not"),
    Column("attempt", _INT, "which attempt, from 1"),
    Column("due_at", _TIME, "when it is tried again"),
    Column("error", _TEXT, "why the channel did not take it"),
    Column("person", _TEXT, "who acknowledged it, by the name they gave"),
)


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.type, nullable=not column.is_required) for column in columns])


RECORDS = _schema(RECORD_COLUMNS)
"""One row per record."""

SOURCES = _schema(SOURCE_COLUMNS)
"""One row per snapshot: a projection of the commits of `records`, with what the next run needs to go on."""

SEALS = _schema(SEAL_COLUMNS)
"""One row per entry of the log, in the log's order."""

VERIFICATIONS = _schema(VERIFICATION_COLUMNS)
"""One row per verification of a run that found something else than the one before it of the same days."""

CONTROL_FINDINGS = _schema(CONTROL_FINDING_COLUMNS)
"""One row per control and judgement of a period; none where the newest of the same period says the same."""

REPORTS = _schema(REPORT_COLUMNS)
"""One row per report that was made."""

QUALITY_FINDINGS = _schema(QUALITY_FINDING_COLUMNS)
"""One row per expectation and judgement of a day."""

ALERTS = _schema(ALERT_COLUMNS)
"""One row per event of an alert: found, told, acknowledged, over."""
