"""What somebody may do to a sealed lake is found at the level that promises it, and the stated limits are the limits.

The kinds are in forged/, flips in flips.py; docs/forgeries.md is the table of all, made by
`python docs/make_forgeries.py`, and the slow tests run every case of it.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from audit_pipeline.errors import AuditError
from audit_pipeline.lake.query import connect
from tests.flips import Changed, choose_flips, count_kinds, run_changes
from tests.forged import KINDS
from tests.forgeries import ALL, DAY, Forger, Forgery, Material, levels_that_find, make_material, try_forgery, verify_at
from tests.lakes import LakeForTests

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Material]:
    folder = tmp_path_factory.mktemp("material")
    yield make_material(folder)
    shutil.rmtree(folder)


def find(kind: str) -> Forgery:
    (one,) = [one for one in KINDS if one.kind == kind]
    return one


def test_the_lake_that_is_forged_holds_at_every_level(material: Material, tmp_path: Path) -> None:
    """Else every forgery would be found."""
    forger = Forger(material, tmp_path / "lake")

    assert levels_that_find(forger) == ((), "")
    for level in ALL:
        assert level in verify_at(level, forger.lake, material.verifier, material.held).levels


@pytest.mark.parametrize("one", KINDS, ids=[one.kind for one in KINDS])
def test_a_forgery_is_found_at_the_levels_that_promise_it(one: Forgery, material: Material, tmp_path: Path) -> None:
    """One place of each kind: another one in each worker would be another test."""
    place = one.places[len(one.kind) % len(one.places)]

    outcome = try_forgery(one, place, material, tmp_path / "lake")

    assert outcome.found_at == one.found_at, f"{place}: {outcome.message}"


def test_kinds_have_names_of_their_own_and_places_enough() -> None:
    kinds = [one.kind for one in KINDS]

    assert len(set(kinds)) == len(kinds) >= 40
    assert sum(len(one.places) for one in KINDS) >= 300
    assert all(len(set(one.places)) == len(one.places) for one in KINDS)


HIDING = [
    ("a deletion vector", "in one more commit", "true"),
    ("a deletion vector", "in the commit itself", "true"),
    ("lying statistics in a commit", "minValues day", f"day = '{DAY}'"),
    ("lying statistics in a commit", "minValues position", "position < 5"),
    ("lying statistics in a data file", "of positions, with its commit", "position = 0"),
    ("lying statistics in a data file, inventories and marks again", "-", "position = 0"),
    ("a forged Delta checkpoint", "hides a file", "true"),
    ("a forged Delta checkpoint", "hides a file, without pointer", "true"),
    ("a forged Delta checkpoint", "hides a file, old commits removed", "true"),
    ("a file that engines read beside the commits", "parts of a checkpoint", "true"),
    ("a file that engines read beside the commits", "a checkpoint under a UUID", "true"),
    ("one more commit", "remove", "true"),
    ("another program's operation", "restore", "true"),
]


@pytest.mark.parametrize(("kind", "place", "where"), HIDING, ids=[f"{kind}, {place}" for kind, place, _ in HIDING])
def test_an_engine_believes_the_forgery(kind: str, place: str, where: str, material: Material, tmp_path: Path) -> None:
    """DuckDB leaves out rows that are still in the files: such forgeries are real, and more than other bytes."""
    forger = Forger(material, tmp_path / "lake")
    before = count_rows(forger, where)

    find(kind).forge(forger, place)

    assert count_rows(forger, where) < before


def count_rows(forger: Forger, where: str) -> int:
    with connect(forger.lake.places) as database:
        row = database.sql(f"SELECT count(*) FROM records WHERE {where}").fetchone()
        assert row is not None
        return int(row[0])


def test_an_engine_stops_at_a_pointer_to_nowhere(material: Material, tmp_path: Path) -> None:
    forger = Forger(material, tmp_path / "lake")

    find("a file that engines read beside the commits").forge(forger, "a pointer to nowhere")

    with pytest.raises(DeltaError):
        DeltaTable(str(forger.lake.places.lake / "restricted/records"))
    with pytest.raises((AuditError, duckdb.Error)):
        count_rows(forger, "true")


def flip(root: Path, count: int, seed: int, folder: Path) -> dict[str, tuple[int, int, int]]:
    lake = LakeForTests(root)
    files = lake.files()
    flips = choose_flips(lake, count, seed)
    folder.mkdir()
    found = run_changes(root, [Changed(one.path, one.of(files[one.path])) for one in flips], folder)
    missed = [one for one, seen in zip(flips, found, strict=True) if not seen.problems]
    assert not missed
    return count_kinds(found)


def test_a_flipped_bit_is_found_whatever_file_it_is_in(material: Material, tmp_path: Path) -> None:
    """60 of them, in every kind of file but Delta checkpoints, which a table has from its 100th commit on."""
    counted = flip(material.root, 60, 1, tmp_path / "flips")

    assert sum(found for _, _, found in counted.values()) == 60
    assert {"commits", "checkpoint", "inventories", "data files of records", "marks (outside the lake)"} <= set(counted)


def test_the_table_of_forgeries_names_every_kind_and_counts_its_cases() -> None:
    """Each kind has a row that says that all its cases were found; the slow test makes the page anew."""
    rows = (ROOT / "docs" / "forgeries.md").read_text().splitlines()

    for one in KINDS:
        counted = f"| {len(one.places)} | {len(one.places)} |"
        assert any(row.startswith(f"| {one.kind} |") and row.endswith(counted) for row in rows), one.kind


@pytest.mark.slow
def test_every_forgery_and_a_thousand_flips_are_found_as_the_table_says(tmp_path: Path) -> None:
    page = tmp_path / "forgeries.md"
    subprocess.run([sys.executable, ROOT / "docs/make_forgeries.py", page], check=True, timeout=3000)

    assert (ROOT / "docs" / "forgeries.md").read_text() == page.read_text(), "run `python docs/make_forgeries.py`"


THREATS = (ROOT / "docs" / "threat-model.md").read_text


def test_each_line_of_the_threat_model_names_a_test_that_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", THREATS())

    assert len(set(named)) > 10
    for file, test in named:
        assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.MULTILINE), f"{file}::{test}"


def test_each_row_of_the_threat_models_tables_has_a_test() -> None:
    rows = [line for line in THREATS().splitlines() if line.startswith("| ") and not line.startswith("| what")]

    assert rows
    for row in rows:
        assert "`tests/" in row or "forgery: " in row, row


def test_each_forgery_that_the_threat_model_names_exists() -> None:
    kinds = {one.kind: one for one in KINDS}
    named = re.findall(r"forgery: ([^;|]+?)(?=\s*[;|])", THREATS())

    assert set(named) <= kinds.keys(), set(named) - kinds.keys()
    limits = {kind for kind, one in kinds.items() if not one.found_at}
    assert limits <= set(named), "a limit that the page does not state"
