"""What a verification of a run found, as a row: an auditor sees when the evidence was last seen to hold."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import pyarrow as pa

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import VERIFICATIONS
from audit_pipeline.lake.opened import Lake
from audit_pipeline.records.canonical import NONCE_BYTES
from audit_pipeline.verify import Verification

Days = tuple[date | None, date | None]
"""The first and the last; None: without end."""

_APP = VERIFICATIONS.name
_ATTEMPTS = 100
_SAME = ("first_day", "last_day", "seals", "records", "levels", "problems", "problem")
"""Where these are as they were, nothing was found that the table does not say already."""


def record_verification(
    lake: Lake,
    found: Verification,
    day: date,
    *,
    first: date | None,
    last: date | None,
    now: Callable[[], datetime],
    entropy: Callable[[int], bytes],
) -> bool:
    """Append what was found of the days `first` to `last`; False where their newest row says the same."""
    row = {
        "day": day,
        "first_day": first,
        "last_day": last,
        "verified_at": now(),
        "checkpoint": found.checkpoint,
        "log_size": found.log_size,
        "seals": found.seals,
        "records": found.records,
        "files": found.files,
        "unsealed_records": found.unsealed_records,
        "levels": " ".join(found.levels),
        "problems": len(found.problems),
        "problem": found.problems[0].message if found.problems else None,
    }
    for _ in range(_ATTEMPTS):
        table = lake.open(VERIFICATIONS)
        # What fails again is said again when something newer held meanwhile, be it of more days.
        rows = table.read([*_SAME, "verified_at"], None if found.problems else day).to_pylist()
        before = max(
            (one for one in rows if _says_of(one, first, last, wider=bool(found.problems))),
            key=lambda one: one["verified_at"],
            default=None,
        )
        if before is not None and all(before[name] == row[name] for name in _SAME):
            return False
        new = pa.Table.from_pylist([row], schema=VERIFICATIONS.schema)
        if append_rows(table, _APP, table.transaction(_APP), new, now(), entropy(NONCE_BYTES)):
            return True
    raise StorageError(f"{lake.places.lake}: no verification could be recorded in {_ATTEMPTS} attempts; run again")


def said_at(lake: Lake, found: Verification, first: date | None, last: date | None, now: datetime) -> datetime:
    """When the table first said what was just found of these days, and nothing else since; `now` where it does not."""
    rows = lake.open(VERIFICATIONS).read(["first_day", "last_day", "verified_at", "problems", "levels"]).to_pylist()
    # A row of times to come is none of ours.
    of_days = [
        row for row in rows if (row["first_day"], row["last_day"]) == (first, last) and row["verified_at"] <= now
    ]
    newest = max(of_days, key=lambda row: row["verified_at"], default=None)
    is_this = newest is not None and (newest["problems"], newest["levels"]) == (
        len(found.problems),
        " ".join(found.levels),
    )
    return newest["verified_at"] if newest is not None and is_this else now


def _says_of(row: Mapping[str, Any], first: date | None, last: date | None, *, wider: bool) -> bool:
    """Whether a row is of these days, or, where `wider`, of these and others."""
    if not wider:
        return (row["first_day"], row["last_day"]) == (first, last)
    return covers((row["first_day"], row["last_day"]), (first, last))


def covers(outer: Days, inner: Days) -> bool:
    """Whether a verification of the days `outer` looked at all that one of `inner` did."""
    starts = outer[0] is None or (inner[0] is not None and outer[0] <= inner[0])
    ends = outer[1] is None or (inner[1] is not None and inner[1] <= outer[1])
    return starts and ends
