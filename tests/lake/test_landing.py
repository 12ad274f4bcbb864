"""Which files of the landing zone belong to which stream and day."""

import os
from datetime import date
from pathlib import Path

import pytest

from audit_pipeline.lake.landing import Stream, list_landing

DAY = date(2026, 3, 5)


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    for name in (
        "runs/2026-03-05/a.jsonl",
        "runs/2026-03-05/deep/er/b.json",
        "runs/2026-03-06/c.jsonl",
        "runs/2026-02-30/no-such-day.jsonl",
        "runs/notes.txt",
        "exports/labels-2026-03-05.json",
        "exports/labels-2026-03-06.json",
        "exports/other.csv",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path


def paths(landing: Path, path: str, day: date | None = None) -> list[str]:
    return [landed.path for landed in list_landing(landing, Stream("s", path), day)]


def test_a_dated_folder_gives_its_day(landing: Path) -> None:
    assert paths(landing, "runs/{date}/**", DAY) == ["2026-03-05/a.jsonl", "2026-03-05/deep/er/b.json"]


def test_all_days_are_those_with_a_real_date(landing: Path) -> None:
    found = list_landing(landing, Stream("s", "runs/{date}/**"))

    assert {landed.day for landed in found} == {DAY, date(2026, 3, 6)}
    assert len(found) == 3


def test_a_date_may_be_part_of_a_file_name(landing: Path) -> None:
    assert paths(landing, "exports/labels-{date}.json", DAY) == ["labels-2026-03-05.json"]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("exports/*.json", ["labels-2026-03-05.json", "labels-2026-03-06.json"]),
        ("exports/*", ["labels-2026-03-05.json", "labels-2026-03-06.json", "other.csv"]),
        ("runs/*.txt", ["notes.txt"]),
        ("runs/**/b.json", ["2026-03-05/deep/er/b.json"]),
        ("**/?.csv", []),
        ("exports/other.csv", ["other.csv"]),
    ],
)
def test_wildcards_stay_within_a_folder_unless_doubled(landing: Path, glob: str, expected: list[str]) -> None:
    assert paths(landing, glob) == expected


def test_sizes_and_times_are_those_of_the_file(landing: Path) -> None:
    os.utime(landing / "runs/notes.txt", ns=(1, 5))

    (found,) = list_landing(landing, Stream("s", "runs/notes.txt"))

    assert (found.size, found.mtime_ns, found.day) == (len("runs/notes.txt"), 5, None)


def test_a_folder_that_links_back_to_itself_is_walked_once(landing: Path) -> None:
    (landing / "runs/2026-03-05/again").symlink_to(landing / "runs/2026-03-05")

    assert paths(landing, "runs/{date}/**", DAY) == ["2026-03-05/a.jsonl", "2026-03-05/deep/er/b.json"]


def test_a_pipe_is_not_a_file(landing: Path) -> None:
    os.mkfifo(landing / "runs/2026-03-06/pipe")

    assert paths(landing, "runs/{date}/**", date(2026, 3, 6)) == ["2026-03-06/c.jsonl"]


def test_names_that_are_not_utf8_are_listed(landing: Path) -> None:
    (landing / os.fsdecode(b"runs/2026-03-06/\xff.jsonl")).write_bytes(b"")

    assert len(paths(landing, "runs/{date}/**", date(2026, 3, 6))) == 2


def test_a_landing_zone_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert paths(tmp_path / "nothing", "runs/{date}/**") == []
