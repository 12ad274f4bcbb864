"""`verify` looks at the ledger and at what was released under it."""

from pathlib import Path

import pytest

from audit_pipeline.errors import StorageError
from audit_pipeline.verify import verify
from tests.lakes import rewrite
from tests.privacy.annotated import AnnotatedLake
from tests.privacy.test_under_fire import Gone, ask


def messages(lake: AnnotatedLake, table: str) -> str:
    return "\n".join(problem.message for problem in verify(lake.lake).problems if problem.table == table)


def test_a_ledger_and_its_releases_hold(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    lake.files.take_inventory()

    assert verify(lake.lake).problems == ()


def test_a_ledger_behind_its_mark_is_found(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    kept = {path: path.read_bytes() for path in lake.files.places.lake.rglob("*") if path.is_file()}
    with pytest.raises(StorageError):
        ask(lake, "two", Gone())
    for path in [path for path in lake.files.places.lake.rglob("*") if path.is_file() and path not in kept]:
        path.unlink()

    assert "has 1 reservations, not the one that the newest mark names" in messages(lake, "privacy_ledger")


def test_a_changed_price_breaks_the_chain(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    ask(lake, "two")
    (file,) = (lake.files.places.lake / "audit/privacy_ledger").rglob("dp-ledger/1.parquet")

    rewrite(file, lambda rows: rows.set_column(rows.schema.names.index("rho"), "rho", [["1/1000000"]]))

    assert "row 2 does not follow on the one before" in messages(lake, "privacy_ledger")


def test_a_release_that_nobody_reserved_is_found(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    (file,) = (lake.files.places.lake / "released/releases").rglob("1.parquet")

    rewrite(file, lambda rows: rows.set_column(rows.schema.names.index("reservation"), "reservation", [[7]]))

    assert "one: published under no reservation of the ledger" in messages(lake, "releases")
