"""Each procedure of docs/recovery.md, tried: the refusal says where to look, the cure brings the evidence back."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from audit_pipeline.errors import AuditError, BudgetError, InputError, ProofError, StorageError
from audit_pipeline.lake.commits import commit_file, format_commit, parse_commit
from audit_pipeline.lake.data_files import describe_file, write_parquet
from audit_pipeline.lake.declared import RECORDS
from audit_pipeline.publishing import put_first_mark
from audit_pipeline.releasing import check_ledger
from audit_pipeline.sealing import seal_day
from tests.lakes import POLICY_DIGEST, TODAY, LakeForTests
from tests.privacy.annotated import AnnotatedLake
from tests.privacy.test_under_fire import ask

PAGE = (Path(__file__).resolve().parents[1] / "docs/recovery.md").read_text()
DAY = TODAY - timedelta(days=1)


@pytest.fixture
def sealed(lake: LakeForTests) -> LakeForTests:
    lake.land("a.jsonl", b'{"a":1}\n{"a":2}\n', DAY)
    lake.land("b.json", b'{"items":[{"b":1}]}', DAY)
    lake.run(DAY)
    return lake


def holds(lake: LakeForTests) -> bool:
    return lake.verify().problems == ()


def goes_on(lake: LakeForTests) -> bool:
    """Whether the next day is taken in and sealed, and everything holds."""
    lake.land("next.jsonl", b'{"next":1}\n')
    lake.run()
    return holds(lake) and (b'{"next":1}', "ok", "") in lake.records()


def backup(lake: LakeForTests, name: str, *folders: str) -> Path:
    kept = lake.root / name
    for folder in folders or ("lake", "evidence", "log"):
        shutil.copytree(lake.root / folder, kept / folder)
    return kept


def copy_back_missing(lake: LakeForTests, kept: Path) -> None:
    """Step 1 of every cure: what a backup has and the home has not. No file is overwritten."""
    for path in sorted(kept.rglob("*")):
        there = lake.root / path.relative_to(kept)
        if path.is_file() and not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, there)


@pytest.mark.parametrize(
    "name",
    [
        "lake/restricted/records/runs/{day}/1.parquet",
        "lake/restricted/records/_delta_log/00000000000000000001.json",
        "lake/audit/seals/0.parquet",
        "evidence/_seals/{day}/1",
        "evidence/_inventory/1",
        "log/tile/0/000.p/1",
    ],
)
@pytest.mark.parametrize("damage", ["removed", "changed"])
def test_a_file_that_is_missing_or_changed(sealed: LakeForTests, name: str, damage: str) -> None:
    path = sealed.root / name.format(day=DAY)
    kept = backup(sealed, "backup")
    path.unlink()
    if damage == "changed":
        path.write_bytes(b"other bytes")

    assert not holds(sealed)
    shutil.copy2(kept / name.format(day=DAY), path)

    assert holds(sealed)
    assert goes_on(sealed)


def test_a_tile_without_a_backup_is_written_again(sealed: LakeForTests) -> None:
    (sealed.places.log / "tile/0/000.p/1").unlink()
    (sealed.places.log / "vkey").unlink()

    assert not holds(sealed)
    sealed.run(DAY)

    assert holds(sealed)


def test_a_file_that_nothing_of_ours_put_there(sealed: LakeForTests) -> None:
    planted = sealed.places.lake / "restricted/records/runs" / str(TODAY) / "1.parquet"
    planted.parent.mkdir(parents=True)
    planted.write_bytes(b"PAR1 is not enough")
    stray = sealed.places.evidence / "notes.txt"
    stray.write_text("x")

    sealed.land("next.jsonl", b'{"next":1}\n')
    with pytest.raises(AuditError, match=r"1\.parquet"):
        sealed.ingest()
    assert any("nothing of ours put" in problem.message for problem in sealed.verify().problems)
    planted.unlink()
    stray.unlink()

    assert goes_on(sealed)


def restore(table: DeltaTable) -> None:
    table.restore(0)


def optimize(table: DeltaTable) -> None:
    table.optimize.compact()


def append(table: DeltaTable) -> None:
    rows = pa.table(table.scan(predicate="position = 0").read_all()).slice(0, 1)
    write_deltalake(table, rows.cast(pa.schema(table.schema().to_arrow())), mode="append")


def delete(table: DeltaTable) -> None:
    table.alter.set_table_properties({"delta.appendOnly": "false"})
    table.delete("position = 0")


@pytest.mark.parametrize("program", [restore, optimize, append, delete])
def test_a_commit_that_is_not_ours(sealed: LakeForTests, program: object) -> None:
    path = sealed.places.lake / "restricted/records"
    sealed.land("more.jsonl", b"{}\n", DAY)
    sealed.run(DAY)  # a second data file, so that there is something to compact
    before = set(sealed.files())

    program(DeltaTable(str(path)))  # type: ignore[operator]

    sealed.land("next.jsonl", b'{"next":1}\n')
    with pytest.raises((ProofError, StorageError), match=r"A commit that is not ours|settings or protocol"):
        sealed.ingest()
    assert not holds(sealed)
    for name in sorted(set(sealed.files()) - before):
        (sealed.root / name).unlink()

    assert goes_on(sealed)


def test_a_batch_that_is_not_ours(sealed: LakeForTests) -> None:
    """In our form, with a commit of ours, of rows that its entry does not say."""
    before = set(sealed.files())
    sealed.land("next.jsonl", b'{"next":1}\n')
    sealed.ingest()
    (added,) = [name for name in sealed.files().keys() - before if "records/runs" in name]
    rewrite_records(sealed.root / added)
    recommit(sealed, added)

    with pytest.raises(ProofError, match="do not give the sealed root"):
        sealed.seal()
    with pytest.raises(ProofError, match="do not give the sealed root"):
        sealed.take_inventory()
    for name in sorted(set(sealed.files()) - before):
        (sealed.root / name).unlink()

    assert goes_on(sealed)


def rewrite_records(path: Path) -> None:
    """Other records under the same footer, written as ours are."""
    with pq.ParquetFile(path) as file:
        rows, footer = file.read(), file.metadata.metadata
    at = rows.schema.get_field_index("record")
    forged = rows.set_column(at, rows.schema.field(at), pa.array([b'{"forged":1}'], pa.binary()))
    with path.open("wb") as new:
        writer = write_parquet(new, RECORDS.schema, RECORDS.indexed, {"audit.batch": footer[b"audit.batch"].decode()})
        writer.write_table(forged.cast(RECORDS.schema))
        writer.close()


def recommit(lake: LakeForTests, added: str) -> None:
    records = lake.lake.open(RECORDS)
    path = records.files.path(commit_file(records.version))
    commit = parse_commit(path.read_bytes(), path.name)
    file = describe_file(records, added.removeprefix("lake/restricted/records/"))
    path.write_bytes(format_commit(dataclasses.replace(commit, files=(file,))))


def test_a_vacuum_by_another_program(sealed: LakeForTests) -> None:
    """It removes what no table version of its own needs: after a restore, our rows."""
    path = sealed.places.lake / "restricted/records"
    kept, before = backup(sealed, "backup"), set(sealed.files())
    table = DeltaTable(str(path))
    table.restore(0)
    time.sleep(0.01)  # a vacuum leaves what was removed in the same millisecond
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert not (path / f"runs/{DAY}/1.parquet").exists()

    for name in sorted(set(sealed.files()) - before):
        (sealed.root / name).unlink()
    copy_back_missing(sealed, kept)

    assert goes_on(sealed)


@pytest.mark.parametrize("folders", [("lake",), ("lake", "evidence"), ("lake", "evidence", "log"), ("evidence",)])
def test_an_older_backup(sealed: LakeForTests, folders: tuple[str, ...]) -> None:
    """Whatever part is older, nothing is signed and nothing added; the newer files bring everything back."""
    older = backup(sealed, "older")
    sealed.land("c.jsonl", b'{"c":1}\n')
    sealed.run()
    newer = backup(sealed, "newer")
    for folder in folders:
        shutil.rmtree(sealed.root / folder)
        shutil.copytree(older / folder, sealed.root / folder)

    with pytest.raises((ProofError, StorageError), match=r"docs/recovery\.md, `An older backup`"):
        sealed.ingest()
    with pytest.raises((ProofError, StorageError), match=r"docs/recovery\.md"):
        sealed.seal()
    assert not holds(sealed)
    copy_back_missing(sealed, newer)
    sealed.run()

    assert holds(sealed)
    assert (b'{"c":1}', "ok", "") in sealed.records()


def shell(script: str, folder: Path) -> str:
    """What a person's shell prints, with the commands on its PATH and nothing of ours in its environment."""
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name in ("AUDIT_HOME", "AUDIT_POLICY", "AUDIT_PROFILE"):
        environ.pop(name, None)
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_once(folder: Path) -> Path:
    """A project with one sealed day, which nothing judges: that takes most of a run's time."""
    shell("audit-pipeline init audit-1 && rm -r audit-1/assets/{quality,privacy,report}", folder)
    day = "audit-home/landing/runs/$(date -u +%F)"
    shell(f"mkdir -p {day} && echo '{{}}' > {day}/a.jsonl && audit-pipeline run", folder / "audit-1")
    return folder / "audit-1"


def check_cited(old: Path, new: Path) -> None:
    assert "extends-own-mark" in shell("audit-pipeline verify", new)
    cited = shell('audit-pipeline query "SELECT record FROM records" --json', new)
    assert (old / "audit-home/log/checkpoint").read_text().splitlines()[0] in cited


def test_a_log_that_has_ended_is_cited_by_the_next(tmp_path: Path) -> None:
    """Step 2 of `An older backup`, as it is written there."""
    old = run_once(tmp_path)

    shell(commands("An older backup"), old)

    check_cited(old, tmp_path / "audit-2")


def test_a_log_that_was_frozen(tmp_path: Path) -> None:
    old = run_once(tmp_path)
    shell("audit-pipeline freeze --yes", old)

    shell(commands("A log that was frozen"), old)

    check_cited(old, tmp_path / "audit-2")
    assert "frozen" in shell("audit-pipeline verify", old)


def commands(heading: str) -> str:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    (block,) = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    # Nothing judges the new project either.
    return str(block).replace("&& audit-pipeline run", "&& rm -r assets/{quality,privacy,report} && audit-pipeline run")


def test_marks_that_are_lost(sealed: LakeForTests) -> None:
    shutil.rmtree(sealed.places.marks)

    with pytest.raises(ProofError, match="Marks that are lost"):
        sealed.seal()
    put_first_mark(sealed.lake)

    assert "extends-own-mark" in sealed.verify().levels
    assert goes_on(sealed)
    with pytest.raises(InputError, match="there are marks"):
        put_first_mark(sealed.lake)


def test_marks_that_are_lost_do_not_make_the_ledger_forget(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    ask(lake, "two")
    lake.files.take_inventory()
    shutil.rmtree(lake.files.places.marks)

    mark = put_first_mark(lake.lake)

    assert mark.ledger == check_ledger(lake.lake)[-1].digest
    (second,) = lake.files.places.lake.glob("audit/privacy_ledger/dp-ledger/2.parquet")
    second.unlink()
    (lake.files.places.lake / "audit/privacy_ledger/_delta_log" / f"{2:020}.json").unlink()
    with pytest.raises(BudgetError, match="A ledger that forgot"):
        check_ledger(lake.lake)


def test_two_lakes_on_one_log(sealed: LakeForTests, tmp_path: Path) -> None:
    other = LakeForTests(tmp_path / "other")
    shutil.copytree(sealed.places.log, other.places.log)

    with pytest.raises(ProofError, match="give each lake its own log folder"):
        other.run()
    shutil.rmtree(other.places.log)

    assert goes_on(other)
    assert holds(sealed)


def test_a_clock_that_was_wrong(sealed: LakeForTests) -> None:
    right = sealed.now
    sealed.now = right - timedelta(hours=3)
    sealed.land("next.jsonl", b'{"next":1}\n')
    sealed.ingest()

    with pytest.raises(InputError, match="set the clock right"):
        sealed.seal()
    sealed.now = right + timedelta(seconds=1)

    assert goes_on(sealed)


def test_a_day_that_has_not_begun_is_not_sealed(sealed: LakeForTests) -> None:
    tomorrow = TODAY + timedelta(days=1)
    with pytest.raises(InputError, match="has not begun"):
        seal_day(
            sealed.lake,
            tomorrow,
            policy_digest=POLICY_DIGEST,
            passphrase=None,
            today=TODAY,
            now=lambda: datetime.now(UTC),
            entropy=bytes,
        )


def test_a_ledger_that_forgot(tmp_path: Path) -> None:
    lake = AnnotatedLake(tmp_path)
    ask(lake, "one")
    kept = {path: path.read_bytes() for path in lake.files.places.lake.rglob("*") if path.is_file()}
    ask(lake, "two")
    newer = {path: path.read_bytes() for path in lake.files.places.lake.rglob("*") if path.is_file()}
    for path in newer.keys() - kept.keys():
        path.unlink()

    with pytest.raises(BudgetError, match=r"the ledger has 1 reservations.*`A ledger that forgot`"):
        ask(lake, "three")
    for name in ("audit/privacy_ledger", "released/releases"):
        for path in newer:
            if lake.files.places.lake / name in path.parents:
                path.write_bytes(newer[path])

    assert ask(lake, "three").is_new
    assert [row.number for row in check_ledger(lake.lake)] == [1, 2, 3]


def test_every_procedure_is_tried_by_a_test_of_its_name() -> None:
    named = {re.sub(r"[^a-z]+", "_", heading.lower()) for heading in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)}
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    elsewhere = {
        "a_run_that_died",  # test_faults.py
        "the_key_is_lost_or_somebody_else_has_it",  # the first has no cure to try, the second is test_rotation.py
        "a_bucket_that_was_put_back_and_copies_of_what_it_had",  # stores/test_recovery.py
    }
    assert named - tests == elsewhere


def test_every_refusal_that_names_a_procedure_names_one_that_exists() -> None:
    package = Path(__file__).resolve().parents[1] / "audit_pipeline"
    named = {
        name for path in package.rglob("*.py") for name in re.findall(r"recovery\.md, `([^`]+)`", path.read_text())
    }
    assert named
    assert named <= set(re.findall(r"^## (.*)$", PAGE, re.MULTILINE))
