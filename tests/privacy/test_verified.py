"""`verify` looks at the ledger and at what was released under it."""

from pathlib import Path

import pyarrow as pa
import pytest

from audit_pipeline.errors import ProofError, StorageError
from audit_pipeline.lake.audit_rows import TIME_KEY, append_rows
from audit_pipeline.lake.data_files import NONCE_KEY, offer_rows
from audit_pipeline.lake.declared import LEDGER, RELEASES
from audit_pipeline.privacy.release import release_key
from audit_pipeline.releasing import check_ledger
from audit_pipeline.verify import verify
from tests.lakes import rewrite
from tests.privacy.annotated import NOON, AnnotatedLake
from tests.privacy.test_under_fire import WEEK, Gone, ask, count


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


def row_of(lake: AnnotatedLake, **changed: object) -> pa.Table:
    row = lake.lake.open(RELEASES).read(RELEASES.schema.names).to_pylist()[0]
    return pa.Table.from_pylist([{**row, **changed}], schema=RELEASES.schema)


def test_a_second_publication_of_one_reservation_is_found(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    app = f"dp-release/{ask(lake, 'one').row['release_key']}"
    assert append_rows(lake.lake.open(RELEASES), app, 1, row_of(lake), NOON, bytes(32))

    assert "published twice under one key" in messages(lake, "releases")
    assert "not what a run of ours commits there" in messages(lake, "releases")


def test_a_price_below_nothing_gives_back_no_budget(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    ledger = lake.lake.open(LEDGER)
    first = ledger.read(LEDGER.schema.names).to_pylist()[0]
    digest = check_ledger(lake.lake)[0].digest
    planted = {**first, "number": 2, "previous": digest, "release_key": "f" * 64, "rho": "-1000"}
    rows = pa.Table.from_pylist([planted], schema=LEDGER.schema)
    assert append_rows(ledger, "dp-ledger", 1, rows, NOON, bytes(32))

    with pytest.raises(ProofError, match="below nothing"):
        ask(lake, "two")
    assert "below nothing" in messages(lake, "privacy_ledger")


def test_a_release_whose_file_somebody_planted_is_not_published(tmp_path: Path) -> None:
    """Neither under no reservation, nor under one that no mark covers."""
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    release = count("two")
    key = release_key(release, WEEK, 0)
    name, marks = f"dp-release/{key}/1.parquet", {NONCE_KEY: "00" * 32, TIME_KEY: "1772452800000"}
    offer_rows(lake.lake.open(RELEASES), name, row_of(lake, release_key=key, release="two", reservation=2), marks)

    with pytest.raises(ProofError, match="published under no reservation"):
        ask(lake, "two")
    ledger = lake.lake.open(LEDGER)
    first = ledger.read(LEDGER.schema.names).to_pylist()[0]
    planted = {**first, "number": 2, "previous": check_ledger(lake.lake)[0].digest, "release_key": key}
    rows = pa.Table.from_pylist([{**planted, "release": "two"}], schema=LEDGER.schema)
    assert append_rows(ledger, "dp-ledger", 1, rows, NOON, bytes(32))
    with pytest.raises(ProofError, match="nothing of ours put it there"):
        ask(lake, "two")
    assert len(lake.lake.open(RELEASES).read(["release"])) == 1


def test_a_release_that_nobody_reserved_is_found(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    (file,) = (lake.files.places.lake / "released/releases").rglob("1.parquet")

    rewrite(file, lambda rows: rows.set_column(rows.schema.names.index("reservation"), "reservation", [[7]]))

    assert "one: published under no reservation of the ledger" in messages(lake, "releases")
