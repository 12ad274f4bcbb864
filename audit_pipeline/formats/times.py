"""Times as logs write them: ISO 8601 texts and epoch numbers. Each gives (aware UTC time, `event_time_quality`)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from audit_pipeline.formats.adapter import is_number

_ISO = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?P<zone> ?(?:[Zz]|UTC|[+-]\d\d(?::?[0-5]\d)?))?", re.ASCII
)
_EPOCH_S = range(946_684_800, 4_102_444_800)  # the years 2000 to 2099: other numbers are no time of a run


def iso_time(text: Any) -> tuple[datetime, str] | None:
    """A date with a time of day; None for anything else. Digits after the microseconds are dropped.

    The quality is `utc` where the text says so, `offset` where it has another one, and `naive_assumed` where it has no
    zone and is read as UTC.
    """
    if not isinstance(text, str) or (found := _ISO.fullmatch(text)) is None:
        return None
    zone = found["zone"] or ""
    name = zone.strip().upper()
    try:
        written = datetime.fromisoformat(text.removesuffix(zone) + ("+00:00" if name in {"Z", "UTC"} else name))
        if written.tzinfo is None:
            return written.replace(tzinfo=UTC), "naive_assumed"
        return written.astimezone(UTC), "offset" if written.utcoffset() else "utc"
    except (ValueError, OverflowError):  # no such date, or in UTC one before the year 1 or after 9999
        return None


def epoch_time(value: Any) -> tuple[datetime, str] | None:
    """A number of seconds since 1970; None for what is no number or outside of the years 2000 to 2099."""
    if not is_number(value) or not _EPOCH_S.start <= value < _EPOCH_S.stop:
        return None
    return datetime.fromtimestamp(value, UTC), "epoch_s"


def epoch_ms_time(value: Any) -> tuple[datetime, str] | None:
    """A number of milliseconds since 1970; None for what is no number or outside of the years 2000 to 2099."""
    if not is_number(value) or not 1000 * _EPOCH_S.start <= value < 1000 * _EPOCH_S.stop:
        return None
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=value), "epoch_ms"
