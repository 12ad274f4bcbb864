"""Landing to `records`: every byte is a record or inside one, once, whatever it is and however often it is run."""

import gzip
import hashlib
import io
import json
import multiprocessing
import os
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from audit_pipeline import tlog
from audit_pipeline.errors import InputError
from audit_pipeline.ingest import days_to_run
from audit_pipeline.lake import evidence
from audit_pipeline.records import canonical
from audit_pipeline.sources.landing import Stream
from tests.lakes import RUNS, TODAY, LakeForTests

ODD_LINES = {
    "plain": b'{"a":1}\n{"a":2}\n',
    "no-newline-at-the-end": b'{"a":1}\n{"a":2}',
    "carriage-returns": b'{"a":1}\r\n{"a":2}\r\n',
    "line-separators-inside": '{"a":"x\u2028y\u0085z"}\n{"a":2}\n'.encode(),
    "blank-lines": b'\n\n{"a":1}\n\n',
    "only-newlines": b"\n\n\n",
    "not-utf-8": b'{"a":1}\n\xff\xfe\x00bad\n{"a":3}\n',
    "form-feed-and-nul": b'{"a":"\x0c"}\n{"b":"\x00"}\n{"a":1}\n{"a":1}\n',
    "one-byte": b"x",
    "nan": b'{"loss":NaN}\n{"loss":1}\n',
}


@pytest.mark.parametrize("content", ODD_LINES.values(), ids=ODD_LINES.keys())
@pytest.mark.parametrize("suffix", ["jsonl", "log"])
def test_lines_reproduce_their_source_byte_for_byte(lake: LakeForTests, content: bytes, suffix: str) -> None:
    lake.land(f"odd.{suffix}", content)

    lake.ingest()

    (source,) = lake.rows("sources")
    assert source["container"] in ("jsonl", "text")
    lines = [record for record, _, _ in lake.records()]
    has_tail = source["partial_tails"] == 1
    assert b"\n".join(lines) + (b"" if has_tail or not lines else b"\n") == content


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
def test_compressed_lines_are_records_and_the_original_is_kept(lake: LakeForTests, compress: object) -> None:
    plain = b"".join(b'{"step":%d}\n' % n for n in range(1000))
    original = compress(plain) + compress(b'{"step":1000}\n')  # type: ignore[operator]
    lake.land("steps.jsonl.bin1", original)

    lake.ingest()

    assert b"".join(record + b"\n" for record, _, _ in lake.records()) == plain + b'{"step":1000}\n'
    (source,) = lake.rows("sources")
    with evidence.open_object(lake.lake.evidence, str(source["object"])) as kept:
        assert kept.read() == original


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress], ids=["gzip", "zstd"])
def test_a_cut_stream_keeps_what_can_be_read_and_says_where_it_breaks(lake: LakeForTests, compress: object) -> None:
    plain = b"".join(b'{"n":%d,"x":"%s"}\n' % (n, os.urandom(20).hex().encode()) for n in range(20_000))
    lake.land("cut.jsonl.z", compress(plain)[:-2000])  # type: ignore[operator]

    lake.ingest()

    *lines, last = lake.records()
    read = b"\n".join(record for record, _, _ in lines)
    assert plain.startswith(read)
    assert len(read) > len(plain) // 2
    assert last == (b'{"$evidence":"rest"}', "quarantined", "unreadable")


def test_a_malformed_line_is_quarantined_and_its_neighbours_are_not(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b'{"a":1}\n{"a":\n{"a":NaN}\n{"a":"\xff"}\n{"a":4}\n')

    counts = lake.ingest()["runs"]

    assert [(status, reason) for _, status, reason in lake.records()] == [
        ("ok", ""),
        ("quarantined", "invalid_json"),
        ("ok", ""),
        ("quarantined", "invalid_utf8"),
        ("ok", ""),
    ]
    assert (counts.records, counts.quarantined) == (5, 2)


def test_an_unfinished_last_line_is_a_partial_tail(lake: LakeForTests) -> None:
    lake.land("whole.jsonl", b'{"a":1}\n{"a":2}')
    lake.land("half.jsonl", b'{"a":1}\n{"a":')

    lake.ingest()

    found = {(record, status, reason) for record, status, reason in lake.records() if status != "ok"}
    assert found == {(b'{"a":2}', "partial_tail", ""), (b'{"a":', "partial_tail", "no_newline")}


def test_an_empty_file_is_a_source_without_records(lake: LakeForTests) -> None:
    lake.land("empty.jsonl", b"")

    counts = lake.ingest()["runs"]

    assert (counts.sources, counts.records) == (1, 0)
    (source,) = lake.rows("sources")
    assert tlog.parse_source(str(source["entry"]).encode()).root == tlog.EMPTY_ROOT.hex()
    assert lake.lost() == []


def test_a_line_too_long_for_a_row_is_kept_as_an_object(lake: LakeForTests) -> None:
    long_line = b'{"text":"' + b"x" * (70 << 20) + b'"}\n'
    lake.land("long.jsonl", b'{"a":1}\n' + long_line + b'{"a":2}\n')

    lake.ingest()

    first, pointer, last = lake.records()
    assert (first[0], last[0]) == (b'{"a":1}', b'{"a":2}')
    assert pointer[1:] == ("quarantined", "oversize")
    with evidence.open_object(lake.lake.evidence, json.loads(pointer[0])["$evidence"]) as kept:
        assert kept.read() == long_line
    lake.seal()
    assert lake.verify().problems == ()


def test_a_long_source_is_taken_in_several_snapshots(lake: LakeForTests) -> None:
    line = b'{"text":"' + b"y" * 990 + b'"}\n'
    lake.land("big.jsonl", line * 150_000)

    lake.ingest()

    sources = lake.rows("sources")
    assert [source["snapshot"] for source in sources] == [0, 1, 2, 3, 4]
    assert [source["start"] for source in sources[1:]] == [source["end"] for source in sources[:-1]]
    assert sum(int(str(source["records"])) for source in sources) == 150_000
    assert [source["is_complete"] for source in sources] == [False] * 4 + [True]
    assert lake.ingest()["runs"].snapshots == 0


@pytest.mark.parametrize("name", ["a.jsonl", "a.log", "a.json"])
def test_short_records_are_taken_in_bounded_numbers(
    lake: LakeForTests, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A file of newlines alone has as many records as bytes."""
    for module in ("sources.slices", "sources.taking", "ingest"):
        monkeypatch.setattr(f"audit_pipeline.{module}.SNAPSHOT_RECORDS", 3)
    content = b"[" + b",".join([b"{}"] * 8) + b"]" if name == "a.json" else b"\n" * 8
    lake.land(name, content)
    lake.ingest()

    assert [row["records"] for row in lake.rows("sources")] == [3, 3, 2]
    files = sorted(lake.places.lake.glob("restricted/records/**/*.parquet"))
    assert [pq.read_metadata(path).num_rows for path in files] == [3, 3, 2]


def test_a_second_run_changes_nothing(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b'{"a":1}\n')
    lake.land("b.json", b'{"log_history":[{"step":1}],"global_step":1}')
    lake.run()
    before = lake.files()

    report = lake.run()

    assert not report.is_new
    assert lake.files() == before


def test_appended_lines_are_a_new_snapshot_and_an_unfinished_line_is_taken_again(lake: LakeForTests) -> None:
    path = lake.land("grows.jsonl", b'{"a":1}\n{"a":2')
    lake.ingest()

    path.write_bytes(b'{"a":1}\n{"a":22}\n{"a":3}\n')
    lake.ingest()

    assert [record for record, _, _ in lake.records()] == [b'{"a":1}', b'{"a":2', b'{"a":22}', b'{"a":3}']
    entry = tlog.parse_source(str(lake.rows("sources")[-1]["entry"]).encode())
    assert (entry.growth, entry.generation, entry.snapshot, entry.position, entry.start) == ("appended", 0, 1, 1, 8)
    assert entry.supersedes == (0, 1)


@pytest.mark.parametrize(
    "after", [b'{"b":1}\n{"b":2}\n{"b":3}\n', b'{"a":1}\n', b""], ids=["other", "shorter", "emptied"]
)
def test_a_rewritten_source_is_a_new_generation_beside_the_old_one(lake: LakeForTests, after: bytes) -> None:
    before = b'{"a":1}\n{"a":2}\n'
    path = lake.land("changes.jsonl", before)
    lake.ingest()

    path.write_bytes(after)
    lake.ingest()

    rows = lake.rows("records")
    for generation, content in ((0, before), (1, after)):
        kept = [bytes(row["record"]) for row in rows if row["generation"] == generation]  # type: ignore[arg-type]
        assert b"".join(record + b"\n" for record in kept) == content
    assert lake.rows("sources")[-1]["growth"] == "rewritten"


def test_a_source_with_a_new_time_and_the_same_bytes_is_left_alone(lake: LakeForTests) -> None:
    path = lake.land("touched.jsonl.gz", gzip.compress(b'{"a":1}\n'))
    lake.ingest()

    os.utime(path, (1, 1))

    assert lake.ingest()["runs"].snapshots == 0


def test_many_small_sources_share_one_data_file_and_one_commit(lake: LakeForTests) -> None:
    for number in range(300):
        lake.land(f"{number}.jsonl", b'{"n":%d}\n' % number)

    lake.ingest()

    assert len(list((lake.places.lake / "restricted/records").rglob("*.parquet"))) == 1
    assert len(list((lake.places.lake / "restricted/records/_delta_log").glob("*.json"))) == 2
    assert len(lake.rows("sources")) == 300


def test_a_data_file_without_its_commit_is_adopted_as_it_is(lake: LakeForTests) -> None:
    """A crash between the file and the commit: salts and roots are those of the file, not new ones."""
    path = lake.land("a.jsonl", b'{"a":1}\n{"a":2}\n')
    lake.ingest()
    for table in ("records", "sources"):
        (lake.places.lake / "restricted" / table / "_delta_log" / f"{1:020}.json").unlink()
    (lake.places.lake / "restricted/sources/1.parquet").unlink()
    before = lake.data_file().read_bytes()
    path.write_bytes(b'{"a":1}\n{"a":2}\n{"a":3}\n')

    lake.ingest()

    first, second = sorted((lake.places.lake / "restricted/records/runs").rglob("*.parquet"))
    assert first.read_bytes() == before
    assert pq.read_table(second).column("record").to_pylist() == [b'{"a":3}']
    lake.seal()
    assert lake.verify().problems == ()


def _ingest_in_a_process(root: str, start: object) -> None:
    worker = LakeForTests(Path(root))
    start.wait()  # type: ignore[attr-defined]
    worker.ingest()


def test_three_workers_at_once_take_each_source_in_once(lake: LakeForTests) -> None:
    for number in range(40):
        lake.land(f"{number}.jsonl", b'{"n":%d}\n' % number * 500)
    processes = multiprocessing.get_context("spawn")
    start = processes.Barrier(3)
    workers = [processes.Process(target=_ingest_in_a_process, args=(str(lake.root), start)) for _ in range(3)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)

    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(lake.rows("records")) == 40 * 500
    assert len(lake.rows("sources")) == 40
    lake.seal()
    assert lake.verify().problems == ()


def test_containers_keep_the_whole_source_and_give_their_items(lake: LakeForTests) -> None:
    table = pa.table({"step": [1, 2], "text": ["a", None]})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    contents = {
        "state.json": b'{"global_step": 2,\n "log_history": [{"step": 1}, {"step": 2, "loss": NaN}]}',
        "rows.parquet": buffer.getvalue(),
        "votes.csv": b'id,winner\n1,left\n2,"ri\nght"\n',
    }
    for name, content in contents.items():
        lake.land(name, content)

    lake.ingest()

    items: dict[str, list[bytes]] = {}
    paths = {row["source_id"]: Path(str(row["path"])).name for row in lake.rows("sources")}
    for row in lake.rows("records"):
        items.setdefault(paths[row["source_id"]], []).append(bytes(row["record"]))  # type: ignore[arg-type]
    assert items["state.json"] == [
        b'{"global_step":2,"log_history":[]}',
        b'{"step":1}',
        b'{"loss":{"$nonfinite":"NaN"},"step":2}',
    ]
    assert items["rows.parquet"] == [b'{"step":1,"text":"a"}', b'{"step":2,"text":null}']
    assert items["votes.csv"] == [b'{"id":"1","winner":"left"}', b'{"id":"2","winner":"ri\\nght"}']
    for row in lake.rows("sources"):
        with evidence.open_object(lake.lake.evidence, str(row["object"])) as kept:
            assert kept.read() == contents[Path(str(row["path"])).name]


def test_weights_are_hashed_and_not_kept(lake: LakeForTests) -> None:
    weights = os.urandom(1000)
    lake.land("model.safetensors", weights)

    lake.ingest()

    ((record, status, _),) = lake.records()
    assert json.loads(record) == {"$hash_only": hashlib.sha256(weights).hexdigest(), "bytes": 1000}
    assert status == "ok"
    assert not lake.places.evidence.exists()


def test_an_evidence_object_does_not_tell_its_content_by_its_hash(lake: LakeForTests) -> None:
    lake.land("a.json", b'{"a":1}')
    lake.land("b.json", b'{"a":1}')

    lake.ingest()

    first, second = sorted(lake.places.evidence.rglob("*.zst"))
    assert first.read_bytes() != second.read_bytes()


def test_a_day_that_has_not_begun_is_refused(lake: LakeForTests) -> None:
    with pytest.raises(InputError, match="has not begun"):
        lake.ingest(TODAY + timedelta(days=1))


def test_a_stream_without_dates_is_taken_in_on_the_day_it_is_first_seen(tmp_path: Path) -> None:
    lake = LakeForTests(tmp_path, streams=[Stream("exports", "exports/*.jsonl")])
    path = tmp_path / "landing" / "exports" / "all.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(b'{"a":1}\n')

    assert lake.ingest(TODAY - timedelta(days=1)) == {}
    lake.ingest(TODAY)

    (row,) = lake.rows("records")
    assert row["day"] == TODAY
    assert lake.data_file().parent.name == "-"


def test_days_to_run_go_from_the_last_sealed_day_to_today_and_to_late_files(lake: LakeForTests) -> None:
    def days() -> list[date]:
        return days_to_run(lake.lake, [RUNS], date(2026, 1, 1), today=TODAY)

    assert days() == [TODAY]

    lake.land("a.jsonl", b"{}\n", date(2026, 3, 3))
    assert days() == [date(2026, 3, 3), date(2026, 3, 4), TODAY]

    for day in days():
        lake.run(day)
    assert days() == [TODAY]

    lake.land("late.jsonl", b"{}\n", date(2026, 3, 1))
    assert days() == [date(2026, 3, 1), TODAY]


def test_a_file_that_grew_since_it_was_taken_in_is_named(lake: LakeForTests) -> None:
    path = lake.land("a.jsonl", b"{}\n")
    lake.ingest()
    assert lake.lost() == []

    path.write_bytes(b"{}\n{}\n")
    lake.land("b.jsonl", b"{}\n")

    grown, new = lake.lost()
    assert "a.jsonl: was 3 bytes" in grown
    assert "b.jsonl: not taken in" in new


def test_salts_and_nonces_are_not_in_the_commit(lake: LakeForTests) -> None:
    """Commits are never erased; what hides an erased record must not be in them."""
    lake.land("a.jsonl", b'{"a":1}\n')
    lake.ingest()

    commit = (lake.places.lake / "restricted/records/_delta_log" / f"{1:020}.json").read_text()

    (row,), (source,) = lake.rows("records"), lake.rows("sources")
    for secret in (row["salt"], source["nonce"]):
        assert bytes(secret).hex() not in commit  # type: ignore[arg-type]
    assert canonical.source_id("runs", f"{TODAY}/a.jsonl") in commit
