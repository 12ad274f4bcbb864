"""What somebody plants under the name that comes next, or leads the pipeline to, is not signed by an honest run."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit_pipeline import tlog
from audit_pipeline.derive import derive_events
from audit_pipeline.errors import AuditError, ProofError
from audit_pipeline.ingest import days_to_run
from audit_pipeline.lake.commits import Commit, commit_file, format_commit
from audit_pipeline.lake.data_files import describe_file, write_parquet
from audit_pipeline.lake.declared import EVENTS, RECORDS, SOURCES
from audit_pipeline.lake.hashing import hash_nodes
from audit_pipeline.lake.objects import Folder
from audit_pipeline.lake.projection import complete_sources
from audit_pipeline.lake.query import connect
from audit_pipeline.verify.apart import verify_apart
from tests.lakes import TODAY, LakeForTests

DAY = TODAY - timedelta(days=1)
ROLLOUT = b'{"input":"q","output":"a","score":%d,"step":1}\n'


def plant(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def uncommitted(lake: LakeForTests) -> Path:
    """A batch that a run left: written, and not committed."""
    lake.land("a.jsonl", b"".join(b'{"n":%d}\n' % n for n in range(50)))
    lake.ingest()
    (lake.places.lake / "restricted/records/_delta_log" / f"{1:020}.json").unlink()
    shutil.rmtree(lake.places.lake / "restricted/sources")
    return lake.places.lake / f"restricted/records/runs/{TODAY}/1.parquet"


def test_a_planted_event_file_is_not_committed(lake: LakeForTests) -> None:
    lake.land("rollouts/1.jsonl", ROLLOUT % 1)
    lake.ingest()
    table = EVENTS["generations"]
    forged = pa.Table.from_pylist([], schema=table.schema)
    path = table.uri(lake.places) / "1.parquet"
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        writer = write_parquet(file, table.schema, table.indexed, {"audit.nonce": "ab" * 32})
        writer.write_table(forged)
        writer.close()

    with pytest.raises(ProofError, match="nothing of ours wrote it"):
        derive_events(lake.lake, lake.entropy, passphrase=None)
    path.unlink()
    derive_events(lake.lake, lake.entropy, passphrase=None)

    assert len(lake.rows("generations")) == 1


def test_an_event_file_that_a_run_left_is_taken_up(lake: LakeForTests) -> None:
    """Its random bytes are its own; the rest is what would be written."""
    lake.land("rollouts/1.jsonl", ROLLOUT % 1)
    lake.ingest()
    derive_events(lake.lake, lake.entropy, passphrase=None)
    path = EVENTS["generations"].uri(lake.places)
    left = (path / "1.parquet").read_bytes()
    (path / "_delta_log" / f"{1:020}.json").unlink()

    derive_events(lake.lake, lake.entropy, passphrase=None)

    assert (path / "1.parquet").read_bytes() == left
    assert len(lake.rows("generations")) == 1


def test_a_planted_projection_is_not_committed(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b"{}\n")
    lake.ingest()
    path = SOURCES.uri(lake.places)
    shutil.rmtree(path / "_delta_log")
    rows = pq.read_table(path / "1.parquet")
    with (path / "1.parquet").open("wb") as file:
        writer = write_parquet(file, SOURCES.schema, SOURCES.indexed)
        writer.write_table(pa.concat_tables([rows, rows]).cast(SOURCES.schema))
        writer.close()

    with pytest.raises(ProofError, match="nothing of ours wrote it"):
        lake.seal()


def draft(lake: LakeForTests, change: Callable[[tlog.SealEntry, list[tlog.SourceEntry]], tlog.SealEntry]) -> Path:
    """A draft as the next run would make it, with one thing changed."""
    lake.land("a.jsonl", b"{}\n")
    lake.land("b.jsonl", b"{}\n")
    lake.ingest()
    lake.seal()
    path = lake.places.evidence / f"_seals/{TODAY}/1"
    seal, entries = tlog.parse_draft(path.read_bytes(), hash_nodes)
    for folder in ("log", "evidence"):
        shutil.rmtree(lake.root / folder, ignore_errors=True)
    shutil.rmtree(lake.places.lake / "audit")
    shutil.rmtree(lake.places.marks)
    kept = list(entries)
    changed = change(seal, kept)
    plant(path, tlog.format_draft(changed, kept, hash_nodes))
    return path


def refit(seal: tlog.SealEntry, entries: list[tlog.SourceEntry], **changes: object) -> tlog.SealEntry:
    root = tlog.tree_root(tlog.hash_leaves(map(tlog.format_source, entries)), hash_nodes).hex()
    return dataclasses.replace(
        seal,
        sources=len({entry.source for entry in entries}),
        records=sum(entry.records for entry in entries),
        size=len(entries),
        root=root,
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "changes",
    [{"policy": "00" * 32}, {"adapters": ("insider@9",)}, {"pseudonym_key": "0" * 16}, {"pseudonym_key": None}],
    ids=["policy", "adapters", "key", "no key"],
)
def test_a_planted_draft_of_another_policy_key_or_adapter_is_not_appended(
    lake: LakeForTests, changes: dict[str, object]
) -> None:
    draft(lake, lambda seal, entries: refit(seal, entries, **changes))

    with pytest.raises(ProofError, match="another policy, key or adapters"):
        lake.seal()


def test_a_planted_draft_that_leaves_sources_out_leaves_nothing_unsealed(lake: LakeForTests) -> None:
    def leave_out(seal: tlog.SealEntry, entries: list[tlog.SourceEntry]) -> tlog.SealEntry:
        entries.pop()
        return refit(seal, entries)

    draft(lake, leave_out)

    lake.seal()

    assert lake.verify().unsealed_records == 0
    assert lake.verify().problems == ()


def test_a_planted_draft_from_the_past_is_not_appended(lake: LakeForTests) -> None:
    path = draft(lake, lambda seal, entries: refit(seal, entries, time=seal.time - timedelta(days=9)))
    lake.land("x.jsonl", b"{}\n", DAY)
    lake.ingest(DAY)
    lake.seal(DAY)

    with pytest.raises(ProofError, match="older than the log's last entry"):
        lake.seal()
    path.unlink()
    lake.seal()

    assert lake.verify().problems == ()


def forge_footer(path: Path, changes: dict[str, object]) -> None:
    """Other words about the first snapshot, in a file whose rows and statistics are as we write them."""
    with pq.ParquetFile(path) as file:
        rows, footer = file.read(), json.loads(file.metadata.metadata[b"audit.batch"])
    footer["snapshots"][0].update(changes)
    with path.open("wb") as new:
        text = json.dumps(footer, separators=(",", ":"))
        writer = write_parquet(new, RECORDS.schema, RECORDS.indexed, {"audit.batch": text})
        writer.write_table(rows.cast(RECORDS.schema))
        writer.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "ab"},
        {"object": "/etc/hostname"},
        {"object": "../../../x"},
        {"format": "unheard_of"},
        {"path": 7},
        {"path": "another.jsonl"},
        {"mtime_ns": 10**30},
        {"quarantined": "0"},
        {"is_complete": 1},
        {"extra": 1},
    ],
    ids=lambda changes: "-".join(f"{key}={value}" for key, value in changes.items()),
)
def test_a_planted_batch_with_a_forged_footer_is_not_committed(lake: LakeForTests, changes: dict[str, object]) -> None:
    path = uncommitted(lake)
    forge_footer(path, changes)

    with pytest.raises(ProofError, match="remove it and run again"):
        lake.ingest()
    path.unlink()
    lake.run()

    assert lake.verify().problems == ()
    assert len(lake.records()) == 50


def test_a_planted_batch_does_not_stand_in_for_a_landed_file(lake: LakeForTests) -> None:
    """It says the landed file's size and time, and has other rows: the file is read all the same."""
    other = LakeForTests(lake.root.parent / "other")
    shutil.rmtree(other.places.keys)
    shutil.copytree(lake.places.keys, other.places.keys)
    landed = lake.land("a.jsonl", b'{"a":1}\n')
    lie = other.land("a.jsonl", b'{"a":2}\n')
    os.utime(lie, ns=(landed.stat().st_atime_ns, landed.stat().st_mtime_ns))
    other.ingest()
    name = f"lake/restricted/records/runs/{TODAY}/1.parquet"
    plant(lake.root / name, (other.root / name).read_bytes())

    lake.run()

    assert (b'{"a":1}', "ok", "") in lake.records()
    assert lake.verify().problems == ()


def test_a_planted_batch_with_lying_statistics_is_not_committed(lake: LakeForTests) -> None:
    path = uncommitted(lake)
    content = path.read_bytes()
    lie = content.replace((49).to_bytes(8, "little"), (5).to_bytes(8, "little"))
    assert lie != content
    path.write_bytes(lie)

    with pytest.raises(AuditError):
        lake.ingest()


def test_rows_of_a_data_file_that_a_run_says_it_wrote_are_not_read_before_the_seal(lake: LakeForTests) -> None:
    """Only its bytes are: shown by a file whose rows do not fit its entries, vouched for all the same."""
    lake.land("a.jsonl", b"".join(b'{"n":%d}\n' % n for n in range(50)))
    written = lake.ingest()["runs"].data_files
    path = lake.data_file()
    assert written == {f"runs/{TODAY}/1.parquet": hashlib.sha256(path.read_bytes()).hexdigest()}
    with_other_rows(lake, path)

    with pytest.raises(ProofError, match="do not give the sealed root"):
        lake.seal(written=written)
    lake.seal(written={name: hashlib.sha256(path.read_bytes()).hexdigest() for name in written})

    assert any("do not give the sealed root" in problem.message for problem in lake.verify().problems)


def with_other_rows(lake: LakeForTests, path: Path) -> None:
    """Forge a record, and the commit to say of the file what it now is."""
    with pq.ParquetFile(path) as file:
        rows, footer = file.read(), file.metadata.metadata[b"audit.batch"].decode()
    records = [b'{"n":99}', *rows["record"].to_pylist()[1:]]
    rows = rows.set_column(5, "record", pa.array(records, pa.binary()))
    with path.open("wb") as new:
        writer = write_parquet(new, RECORDS.schema, RECORDS.indexed, {"audit.batch": footer})
        writer.write_table(rows.cast(RECORDS.schema))
        writer.close()
    table = lake.lake.open(RECORDS)
    ((_, commit),) = table.commits(1, 1)
    stored = dataclasses.replace(commit, files=(describe_file(table, commit.files[0].name),))
    (table.path / commit_file(1)).write_bytes(format_commit(stored))


def test_a_commit_with_lying_statistics_is_not_signed(lake: LakeForTests) -> None:
    """Engines skip a file by what its commit says of it."""
    lake.land("a.jsonl", b"{}\n" * 50)
    written = lake.ingest()["runs"].data_files
    path = lake.places.lake / "restricted/records" / commit_file(1)
    path.write_bytes(path.read_bytes().replace(rb"\"position\": 49", rb"\"position\": 48"))

    for known in ({}, written):
        with pytest.raises(ProofError, match="its commit says otherwise"):
            lake.seal(written=known)


def test_a_link_at_the_next_name_ends_the_run_and_not_in_a_loop(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b"{}\n")
    path = lake.places.lake / f"restricted/records/runs/{TODAY}/1.parquet"
    path.parent.mkdir(parents=True)
    path.symlink_to("nowhere")

    with pytest.raises(AuditError, match=r"1\.parquet"):
        lake.ingest()


@pytest.mark.parametrize("target", ["keys/key.pem", "lake/restricted/records/_delta_log/00000000000000000000.json"])
def test_a_link_into_the_pipelines_own_folders_is_not_taken_in(lake: LakeForTests, target: str) -> None:
    lake.land("a.jsonl", b"{}\n")
    lake.ingest()
    (lake.places.landing / f"runs/{TODAY}/x.txt").symlink_to(lake.root / target)

    with pytest.raises(AuditError, match="the pipeline's own"):
        lake.ingest()

    assert len(lake.records()) == 1


def test_a_folder_of_any_name_is_no_table_and_no_sql(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b"{}\n")
    lake.run()
    name = 'zz" AS SELECT 1; CREATE OR REPLACE VIEW records AS SELECT 7 AS record; --'
    (lake.places.lake / "restricted" / name / "_delta_log").mkdir(parents=True)

    with connect(lake.places) as database:
        assert database.execute("SELECT decode(record) FROM records").fetchall() == [("{}",)]
        with pytest.raises(duckdb.Error):
            database.execute(f"SELECT * FROM '{lake.places.keys / 'key.pem'}'")


def test_a_disk_that_takes_half_of_an_object_leaves_none(tmp_path: Path) -> None:
    """The limit stands for a full disk: a raw write tells of the rest only in a number."""
    program = (
        "import resource, signal, sys; from pathlib import Path; "
        "from audit_pipeline.lake.objects import Folder; from audit_pipeline.errors import StorageError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try: Folder(Path(sys.argv[1])).put_new('x', b'a' * 10000)\n"
        "except StorageError as err: print(err)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )

    assert "x: cannot be" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_two_workers_that_complete_the_projection_at_once_do_not_overlap(lake: LakeForTests) -> None:
    """The second commits "everything since 1" on top of what the first committed meanwhile: it must not."""
    lake.land("a.jsonl", b"{}\n")
    lake.ingest()
    slow = lake.lake.open(SOURCES)
    done = slow.transaction("sources")
    lake.land("b.jsonl", b"{}\n")
    lake.ingest()

    assert not slow.commit(Commit(0, "sources", 9, ()), done)
    assert complete_sources(lake.lake).transaction("sources") == 2


def test_a_day_that_was_taken_in_and_not_sealed_has_work(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b"{}\n", DAY)
    lake.ingest(DAY)
    shutil.rmtree(lake.places.landing / "runs" / str(DAY))
    lake.seal()

    assert days_to_run(lake.lake, lake.streams, DAY, today=TODAY) == [DAY, TODAY]
    lake.seal(DAY)
    assert days_to_run(lake.lake, lake.streams, DAY, today=TODAY) == [TODAY]


def test_verify_runs_no_code_of_the_folder_it_is_called_in(
    lake: LakeForTests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land("a.jsonl", b"{}\n")
    lake.run()
    (lake.places.lake / f"restricted/records/runs/{TODAY}/1.parquet").write_bytes(b"gone")
    (tmp_path / "zstandard.py").write_text("print('{\"verification\": {}}'); raise SystemExit")
    monkeypatch.chdir(tmp_path)

    assert verify_apart(lake.lake).problems


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_one_problem_of_many(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b"{}\n")
    lake.run()
    (lake.places.evidence / f"_seals/{TODAY}/1").chmod(0)

    assert any("give this user read access" in problem.message for problem in lake.verify().problems)


def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: object, onerror: Callable[[OSError], None]) -> list[object]:
        onerror(PermissionError(13, "Permission denied", str(folder)))
        return []

    monkeypatch.setattr("audit_pipeline.lake.objects.os.walk", refuse)

    with pytest.raises(AuditError, match="cannot be listed"):
        list(Folder(tmp_path).names())
