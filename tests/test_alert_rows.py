"""Alerts as rows of a real table: appended once, read back as they were, sealed like everything else."""

from dataclasses import replace
from datetime import UTC, timedelta

import pytest

from audit_pipeline.alert_rows import append_alerts, read_alerts
from audit_pipeline.alerts import AlertRow, Book, Fault, Rules, Severity, due_notices, raise_and_resolve
from audit_pipeline.audit_trail import take_in_audit_rows
from audit_pipeline.lake.declared import ALERTS
from tests.lakes import TODAY, LakeForTests

RULES = Rules(dict.fromkeys(Severity, ("chat",)))


@pytest.fixture
def home(tmp_path) -> LakeForTests:
    return LakeForTests(tmp_path)


def find(home: LakeForTests, *items: str) -> list[AlertRow]:
    faults = [Fault("check_failed", "records:nothing_lost", item, Severity.ERROR, "2 files") for item in items]

    def decide(book: Book) -> list[AlertRow]:
        return raise_and_resolve(book, ["check_failed"], faults, RULES, home.now)

    return list(append_alerts(home.lake, decide, now=home.now, entropy=home.entropy))


def test_what_was_appended_is_read_back(home: LakeForTests) -> None:
    rows = find(home, "2026-03-05")
    told = append_alerts(home.lake, lambda book: due_notices(book, RULES, home.now), now=home.now, entropy=home.entropy)

    assert [row.number for row in (*rows, *told)] == [1, 2]
    (alert,) = read_alerts(home.lake, home.now).open()
    assert (alert.items, alert.summary, alert.raised_at) == (("2026-03-05",), "2 files", home.now)
    assert alert.raised_at.tzinfo is not None
    assert [notice.reason for notice in alert.notices] == ["raised"]


def test_nothing_new_makes_no_table(home: LakeForTests) -> None:
    assert find(home) == []
    assert home.lake.find(ALERTS) is None


def test_who_comes_second_decides_again(home: LakeForTests) -> None:
    """Two watches see the same fault at once: one alert."""
    decided = []

    def decide(book: Book) -> list[AlertRow]:
        rows = raise_and_resolve(
            book, ["check_failed"], [Fault("check_failed", "c", "a", Severity.ERROR)], RULES, home.now
        )
        if not decided:
            decided.append(rows)
            find_other(home)
        return rows

    def find_other(home: LakeForTests) -> None:
        append_alerts(home.lake, lambda book: decided[0], now=home.now, entropy=home.entropy)

    append_alerts(home.lake, decide, now=home.now, entropy=home.entropy)

    assert len(read_alerts(home.lake, home.now).alerts) == 1


def test_numbers_go_on_after_a_month_without_alerts(home: LakeForTests) -> None:
    find(home, "a")
    home.now += timedelta(days=40)

    (row,) = find(home, "a")

    assert row.number == 2
    assert row.event == "raised"


def test_alerts_are_sealed_with_the_next_seal_and_make_none_of_their_own(home: LakeForTests) -> None:
    home.land("a.jsonl", b"{}\n")
    home.ingest()
    home.seal()
    find(home, "2026-03-05")
    assert take_in_audit_rows(home.lake, TODAY, now=lambda: home.now, entropy=home.entropy) is None

    home.land("b.jsonl", b"{}\n")
    home.ingest()
    taken = take_in_audit_rows(home.lake, TODAY, now=lambda: home.now, entropy=home.entropy)
    home.seal()

    assert taken is not None
    assert taken.records == 1
    found = home.verify()
    assert (found.problems, found.unsealed_records) == ((), 0)


def test_a_row_that_somebody_changed_is_found(home: LakeForTests) -> None:
    home.land("a.jsonl", b"{}\n")
    home.ingest()
    find(home, "2026-03-05")
    take_in_audit_rows(home.lake, TODAY, now=lambda: home.now, entropy=home.entropy)
    home.seal()
    home.take_inventory()
    (path,) = (home.places.lake / "audit/alerts/alerts").iterdir()
    path.write_bytes(path.read_bytes().replace(b"2026-03-05", b"2026-03-04"))

    assert home.verify().problems


def test_times_are_utc(home: LakeForTests) -> None:
    (row,) = find(home, "a")

    assert replace(row).at.astimezone(UTC) == home.now
