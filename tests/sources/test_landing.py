"""Which files of the landing zone belong to which stream and day."""

import os
from datetime import date
from pathlib import Path

import pytest

from audit_pipeline.errors import InputError
from audit_pipeline.sources.landing import Landed, Stream, list_landing, list_untaken

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


def by_day(landing: Path, path: str) -> list[Landed]:
    """The files of all days, after a check that asking for each day alone gives the same."""
    stream = Stream("s", path)
    found = list_landing(landing, stream)
    days = sorted({file.day for file in found} | {DAY, date(2026, 3, 4), date(2026, 3, 6)})
    assert [file for day in days for file in list_landing(landing, stream, day)] == found
    return found


@pytest.mark.parametrize("path", ["runs/{date}/**", "*/{date}/**", "**/{date}/**"])
@pytest.mark.parametrize(
    ("link", "target"),
    [
        ("runs/2026-03-04", "2026-03-05"),
        ("runs/2026-03-05/tomorrow", "../2026-03-06"),
        ("runs/2026-03-05/up", ".."),
        ("runs/2026-03-05/deep/top", "../../.."),
        ("runs/2026-03-05/deep/self", "."),
        ("runs/2026-03-04", ".."),
        ("runs/2026-03-04", "2026-03-04"),
        ("runs/2026-03-04", "notes.txt"),
        ("runs/2026-03-04", "nowhere"),
        ("copy", "runs"),
    ],
)
def test_a_day_alone_has_the_files_it_has_among_all_days(landing: Path, path: str, link: str, target: str) -> None:
    """Else a run of the day and the look for days with work would disagree for ever."""
    (landing / link).symlink_to(target)

    by_day(landing, path)


def test_a_day_that_links_to_another_day_has_its_files_too(landing: Path) -> None:
    (landing / "runs/2026-03-04").symlink_to("2026-03-05")

    found = [file.path for file in by_day(landing, "runs/{date}/**")]

    assert found == [
        *("2026-03-04/a.jsonl", "2026-03-04/deep/er/b.json"),
        *("2026-03-05/a.jsonl", "2026-03-05/deep/er/b.json"),
        "2026-03-06/c.jsonl",
    ]


def test_within_a_day_a_folder_is_taken_under_its_own_name_alone(landing: Path) -> None:
    (landing / "runs/2026-03-05/also").symlink_to("deep")

    assert paths(landing, "runs/{date}/**", DAY) == ["2026-03-05/a.jsonl", "2026-03-05/deep/er/b.json"]


def test_a_link_to_a_folder_that_holds_it_is_not_followed(landing: Path) -> None:
    """Followed, the files of other days would become files of this one."""
    (landing / "runs/2026-03-05/up").symlink_to("..")
    (landing / "runs/2026-03-05/top").symlink_to("../../..")

    assert [file.path for file in by_day(landing, "runs/{date}/**")] == [
        *("2026-03-05/a.jsonl", "2026-03-05/deep/er/b.json", "2026-03-06/c.jsonl"),
    ]


def test_many_links_to_links_are_walked_in_good_time(landing: Path) -> None:
    """Each folder has two links to the next: followed under every name that would be 2^40 folders."""
    for number in range(40):
        folder = landing / "runs/2026-03-05" / f"chain{number:02}"
        folder.mkdir()
        for name in ("left", "right"):
            (folder / name).symlink_to(f"../chain{number + 1:02}")

    assert len(paths(landing, "runs/{date}/**", DAY)) == 2


def test_a_linked_day_is_not_untaken(landing: Path) -> None:
    (landing / "runs/2026-03-04").symlink_to("2026-03-05")

    untaken = list_untaken(landing, [Stream("s", "runs/{date}/**")], date(2026, 3, 1), date(2026, 3, 9))

    assert [path for path, _ in untaken if path.startswith("runs/2026-03-0")] == []


def test_a_pipe_is_not_a_file(landing: Path) -> None:
    os.mkfifo(landing / "runs/2026-03-06/pipe")

    assert paths(landing, "runs/{date}/**", date(2026, 3, 6)) == ["2026-03-06/c.jsonl"]


def test_names_that_are_not_utf8_are_listed(landing: Path) -> None:
    (landing / os.fsdecode(b"runs/2026-03-06/\xff.jsonl")).write_bytes(b"")

    assert len(paths(landing, "runs/{date}/**", date(2026, 3, 6))) == 2


def test_a_landing_zone_that_is_not_there_is_refused_and_a_stream_without_a_folder_is_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mount it, or make the folder"):
        paths(tmp_path / "nothing", "runs/{date}/**")
    assert paths(tmp_path, "runs/{date}/**") == []
