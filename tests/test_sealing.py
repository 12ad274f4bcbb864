"""The log: one entry a segment, one log whoever seals, never a head that does not extend the one before."""

import multiprocessing
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, ProofError, StorageError
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.logbook import read_log
from audit_pipeline.lake.objects import Folder
from audit_pipeline.signers import load_signers
from tests.lakes import TODAY, LakeForTests


def log_of(lake: LakeForTests) -> list[tlog.SealEntry]:
    return read_log(lake.lake.open(SEALS))


def test_a_seal_commits_to_every_source_of_its_day(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b'{"a":1}\n{"a":2}\n')
    lake.land("b.jsonl", b'{"b":1}\n')

    report = lake.run()

    entries = sorted(
        (tlog.parse_source(str(row["entry"]).encode()) for row in lake.rows("sources")), key=tlog.source_order
    )
    assert report.root == tlog.tree_root(tlog.hash_leaves(map(tlog.format_source, entries))).hex()
    assert (report.sources, report.records, report.size, report.index) == (2, 3, 2, 0)
    checkpoint, _ = tlog.open_checkpoint(report.checkpoint.encode(), [tlog.parse_vkey(lake.lake.vkey)])
    (seal,) = log_of(lake)
    assert checkpoint == tlog.Checkpoint(lake.lake.origin, 1, tlog.leaf_hash(tlog.format_seal(seal)))


def test_an_empty_day_is_sealed_with_the_empty_tree_once(lake: LakeForTests) -> None:
    first, second = lake.seal(), lake.seal()

    assert (first.root, first.size, first.is_new) == (tlog.EMPTY_ROOT.hex(), 0, True)
    assert not second.is_new
    assert len(log_of(lake)) == 1


def test_late_data_is_the_next_segment_and_names_the_one_before(lake: LakeForTests) -> None:
    day = TODAY - timedelta(days=2)
    lake.land("a.jsonl", b"{}\n", day)
    lake.run(day)
    lake.run()

    lake.land("late.jsonl", b"{}\n", day)
    report = lake.run(day)

    first, _, late = log_of(lake)
    assert (report.segment, report.size, late.segment) == (2, 1, 2)
    assert late.previous == tlog.leaf_hash(tlog.format_seal(first)).hex()
    assert lake.verify().problems == ()


def test_tiles_are_those_of_the_log(lake: LakeForTests) -> None:
    for n in range(3):
        lake.seal(TODAY - timedelta(days=n))

    leaves = tlog.hash_leaves(map(tlog.format_seal, log_of(lake)))

    assert (lake.places.log / "tile/0/000.p/3").read_bytes() == leaves
    assert (lake.places.log / "vkey").read_text().strip() == lake.lake.vkey


def test_a_day_that_has_not_begun_is_not_sealed(lake: LakeForTests) -> None:
    with pytest.raises(InputError, match="has not begun"):
        lake.seal(TODAY + timedelta(days=1))


def test_a_clock_behind_the_last_seal_is_refused(lake: LakeForTests) -> None:
    lake.seal()
    lake.now -= timedelta(hours=1)

    with pytest.raises(InputError, match="set the clock right"):
        lake.seal(TODAY - timedelta(days=1))


def _seal_in_a_process(root: str, start: object, day: date) -> None:
    sealer = LakeForTests(Path(root))
    start.wait()  # type: ignore[attr-defined]
    sealer.seal(day)
    sealer.seal(day - timedelta(days=1))


@pytest.mark.parametrize(
    "days", [[TODAY] * 3, [TODAY, TODAY - timedelta(days=2), TODAY - timedelta(days=4)]], ids=["one-day", "three-days"]
)
def test_three_sealers_at_once_leave_one_log(lake: LakeForTests, days: list[date]) -> None:
    lake.land("a.jsonl", b"{}\n")
    lake.ingest()
    processes = multiprocessing.get_context("spawn")
    start = processes.Barrier(3)
    sealers = [processes.Process(target=_seal_in_a_process, args=(str(lake.root), start, day)) for day in days]

    for sealer in sealers:
        sealer.start()
    for sealer in sealers:
        sealer.join(120)

    assert [sealer.exitcode for sealer in sealers] == [0, 0, 0]
    sealed = [seal.day for seal in log_of(lake)]
    assert sorted(sealed) == sorted({day - timedelta(days=n) for day in days for n in (0, 1)})
    verification = lake.verify()
    assert verification.problems == ()
    assert verification.log_size == len(sealed)


def test_a_slow_sealer_does_not_leave_an_older_checkpoint(lake: LakeForTests, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stops before it publishes; another seals and publishes more; then its own, older checkpoint lands on top."""
    replace, waiting = Folder.replace, ["another sealer"]

    def slow(folder: Folder, name: str, content: bytes) -> None:
        if waiting:
            waiting.pop()
            lake.seal()
        replace(folder, name, content)

    monkeypatch.setattr(Folder, "replace", slow)

    lake.seal(TODAY - timedelta(days=1))

    assert (lake.places.log / "checkpoint").read_bytes().splitlines()[1] == b"2"
    assert lake.verify().problems == ()


@pytest.mark.parametrize("step", ["draft", "row", "commit", "tiles", "mark"])
def test_a_crash_after_any_step_is_finished_by_the_next_run(tmp_path: Path, step: str) -> None:
    """A crash leaves what a whole run leaves, less the last steps; the next run ends in the same bytes."""
    lake = LakeForTests(tmp_path, seed=7)
    lake.land("a.jsonl", b"{}\n")
    lake.ingest()
    lake.seal()
    whole = lake.files()
    undo = {
        "mark": ["log/checkpoint", "log/vkey"],
        "tiles": ["keys/marks/1"],
        "commit": ["log/tile/0/000.p/1"],
        "row": [f"lake/audit/seals/_delta_log/{1:020}.json"],
        "draft": ["lake/audit/seals/0.parquet"],
    }
    for done, names in undo.items():
        if done == step:
            break
        for name in names:
            (tmp_path / name).unlink()
    for name in undo[step]:
        (tmp_path / name).unlink()

    lake.seal()

    after = lake.files()
    assert after == whole
    assert lake.verify().problems == ()


def test_a_log_cut_short_is_never_signed_again(lake: LakeForTests) -> None:
    lake.seal(TODAY - timedelta(days=1))
    lake.seal()
    (lake.places.lake / "audit/seals/_delta_log" / f"{2:020}.json").unlink()
    (lake.places.lake / "audit/seals/1.parquet").unlink()

    with pytest.raises(StorageError, match="An older backup"):
        lake.seal(TODAY - timedelta(days=1))


def test_another_history_of_the_same_length_is_never_signed(lake: LakeForTests) -> None:
    lake.seal()
    mark = lake.places.marks / "1"
    text = mark.read_text()
    root = text.split("root ")[1][:64]
    mark.write_text(text.replace(root, "0" * 64))

    with pytest.raises(ProofError, match="root"):
        lake.seal()


def test_a_wrong_passphrase_is_refused(tmp_path: Path) -> None:
    from audit_pipeline.lake.keys import make_keys

    lake = LakeForTests(tmp_path)
    shutil.rmtree(lake.places.keys)
    make_keys(lake.places.keys, "example.com/x", lambda n: bytes(range(n)), b"secret")

    with pytest.raises(InputError, match="AUDIT_KEY_PASSPHRASE"):
        load_signers(lake.places, b"other")
    assert len(load_signers(lake.places, b"secret")) == 1


def test_a_key_is_never_replaced(lake: LakeForTests) -> None:
    from audit_pipeline.lake.keys import make_keys

    with pytest.raises(InputError, match="there is a key already"):
        make_keys(lake.places.keys, "example.com/x", lambda n: bytes(n), None)
