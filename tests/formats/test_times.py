"""Times as logs write them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from audit_pipeline.formats.times import epoch_ms_time, epoch_time, iso_time

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "found", "quality"),
    [
        ("2026-03-01T12:00:00Z", NOON, "utc"),
        ("2026-03-01T12:00:00.000+00:00", NOON, "utc"),
        ("2026-03-01 12:00 UTC", NOON, "utc"),
        ("2026-03-01t12:00:00z", NOON, "utc"),
        ("2026-03-01T13:00:00+01:00", NOON, "offset"),
        ("2026-03-01 06:30:00-0530", NOON, "offset"),
        ("2026-03-01T14+02", None, ""),
        ("2026-03-01T14:00+02", NOON, "offset"),
        ("2026-03-01T12:00:00", NOON, "naive_assumed"),
        ("2026-03-01 12:00:00,123", NOON.replace(microsecond=123_000), "naive_assumed"),
        ("2026-03-01T12:00:00.1234567Z", NOON.replace(microsecond=123_456), "utc"),
    ],
)
def test_a_text_is_a_time_and_says_how_well(text: str, found: datetime | None, quality: str) -> None:
    assert iso_time(text) == (None if found is None else (found, quality))


@pytest.mark.parametrize(
    "text",
    [
        *(None, 5, True, [], "", "now", "2026-03-01", "12:00:00", "2026-02-30T12:00:00", "2026-03-01T25:00:00Z"),
        *("2026-03-01T12:00:60Z", "2026-03-01T12:00:00+01:60", "2026-03-01T12:00:00Z\n", "٢٠٢٦-03-01T12:00:00Z"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-03-01T12:00:00+99:00"),
    ],
)
def test_what_is_no_time_is_none(text: Any) -> None:
    assert iso_time(text) is None


def test_epochs_are_times_of_this_century_to_the_microsecond() -> None:
    assert epoch_time(1_772_366_400) == (NOON, "epoch_s")
    assert epoch_time(1_772_366_400.25) == (NOON.replace(microsecond=250_000), "epoch_s")
    assert epoch_ms_time(1_772_366_400_001) == (NOON.replace(microsecond=1000), "epoch_ms")
    assert epoch_time(946_684_800) == (datetime(2000, 1, 1, tzinfo=UTC), "epoch_s")


@pytest.mark.parametrize(
    "value",
    [None, True, "1772366400", 0, -1, 946_684_799, 4_102_444_800_000, 10**400, float("nan"), float("inf"), [1]],
)
def test_other_numbers_are_no_epochs(value: Any) -> None:
    assert epoch_time(value) is None
    assert epoch_ms_time(value) is None
