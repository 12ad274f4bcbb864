"""Columns and Arrow schemas of the privacy ledger and of what is released."""

import pyarrow as pa

from audit_pipeline.records.events import Column

_TEXT, _INT, _DAY, _TIME = pa.string(), pa.int64(), pa.date32(), pa.timestamp("us", tz="UTC")

LEDGER_COLUMNS = (
    Column("day", _DAY, "first day of the window", True),
    Column("number", _INT, "which reservation of the ledger, from 1", True),
    Column("kind", _TEXT, "reserve; other kinds are reserved", True),
    Column("scope", _TEXT, "whose budget it is", True),
    Column("period", _TEXT, "accounting period, a year", True),
    Column("cadence", _TEXT, "daily or weekly", True),
    Column("release", _TEXT, "name of the release", True),
    Column("revision", _INT, "which release of the window, from 0", True),
    Column("attempt", _INT, "reservations for it before", True),
    Column("release_key", _TEXT, "digest of what was asked, of which window and revision", True),
    Column("rho", _TEXT, "what the draw costs: zero-concentrated privacy loss, as an exact fraction", True),
    Column("delta", _TEXT, "chance of naming a rare key, as an exact fraction", True),
    Column("max_windows", _INT, "windows of the cadence that one annotator may enter in the period", True),
    Column("spec", _TEXT, "what was asked, as canonical JSON", True),
    Column("input", _TEXT, "digest of which rows were read, hidden by the nonce", True),
    Column("input_version", _INT, "Delta version of annotations that was read", True),
    Column("nonce", _TEXT, "hides the digest of the input; hex", True),
    Column("writer", _TEXT, "random name of the run that reserved", True),
    Column("reserved_at", _TIME, "when", True),
    Column("previous", _TEXT, "digest of the reservation before"),
)

NUMBERS = pa.list_(
    pa.struct(
        [
            ("statistic", _TEXT),
            ("key", _TEXT),
            ("value", pa.float64()),
            ("lower", pa.float64()),
            ("upper", pa.float64()),
        ]
    )
)
"""Published numbers, each with the ends of its 95% interval; nulls where noise leaves nothing to say."""

RELEASE_COLUMNS = (
    Column("day", _DAY, "first day of the window", True),
    Column("last_day", _DAY, "last day of the window", True),
    Column("release", _TEXT, "name of the release", True),
    Column("revision", _INT, "which release of the window, from 0", True),
    Column("release_key", _TEXT, "digest of what was asked, of which window and revision", True),
    Column("reservation", _INT, "number of the reservation that paid for it", True),
    Column("numbers", NUMBERS, "what is published: statistic, key, value and the ends of its 95% interval", True),
    Column("manifest", _TEXT, "how it was made and what it costs, as canonical JSON", True),
    Column("published_at", _TIME, "when", True),
)


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    return pa.schema([pa.field(column.name, column.type, nullable=not column.is_required) for column in columns])


LEDGER = _schema(LEDGER_COLUMNS)
"""One row per reservation of privacy loss."""

RELEASES = _schema(RELEASE_COLUMNS)
"""One row per published release of a window. All of it is public."""
