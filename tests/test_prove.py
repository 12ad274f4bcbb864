"""A bundle is proved from what is stored, holds offline, and is refused where it would not."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from audit_pipeline import tlog
from audit_pipeline.check import CheckedBundle, CheckedRecord, check_bundle, check_day
from audit_pipeline.cli import main
from audit_pipeline.errors import AuditError, InputError, ProofError, StorageError
from audit_pipeline.lookup import (
    At,
    RecordName,
    find_at,
    find_by_event,
    find_by_file,
    find_event,
    find_list,
    open_events,
    paths_below,
)
from audit_pipeline.policy import load_policy
from audit_pipeline.prove import prove_day, prove_records
from audit_pipeline.records import canonical
from audit_pipeline.sources.landing import Stream
from audit_pipeline.tlog.bundle import format_bundle, parse_bundle
from audit_pipeline.tlog.trust import Trust, format_trust
from tests.lakes import TODAY, LakeForTests, rewrite

DAY = TODAY - timedelta(days=1)
NOTHING = At(0)
ROLLOUT = b'{"input":"q","output":"a","gts":null,"score":%d,"step":1}\n'


def trust_of(lake: LakeForTests, held: bytes | None = None) -> Trust:
    return Trust((tlog.parse_vkey(lake.lake.vkey),), held=held)


def checked(lake: LakeForTests, names: list[RecordName]) -> CheckedBundle:
    return check_bundle(prove_records(lake.lake, names), trust_of(lake))


def named(lake: LakeForTests, path: str, position: int = 0, **asked: int) -> RecordName:
    """A record by its file below the landing zone."""
    return find_by_file(lake.lake, lake.streams, [Path(path)], At(position, **asked))


def shown(lake: LakeForTests, path: str, position: int = 0, **asked: int) -> CheckedRecord:
    """A record as an auditor sees it."""
    (record,) = checked(lake, [named(lake, path, position, **asked)]).records
    return record


def source(path: str) -> str:
    return canonical.source_id("runs", path)


@pytest.fixture
def sealed(lake: LakeForTests) -> LakeForTests:
    """Two days and a late segment: lines, a compressed source, containers, lines that cannot be read."""
    lake.land("a.jsonl", b"".join(b'{"step":%d}\n' % n for n in range(600)), DAY)
    lake.land("b.json", b'{"log_history":[{"step":1},{"step":2}]}', DAY)
    lake.land("bad.jsonl", b'{"a":1}\n{"a":\n\xff\n{"a":2}', DAY)
    lake.land("z.jsonl.gz", gzip.compress(b'{"z":1}\n{"z":2}\n'), DAY)
    lake.run(DAY)
    lake.land("c.csv", b"x,y\n1,2\n3,4\n")
    lake.run()
    lake.land("late.jsonl", b'{"late":1}\n', DAY)
    lake.run(DAY)
    return lake


# Which record is meant, and what is shown of it


def test_a_line_is_shown_byte_for_byte_with_its_place_and_time(sealed: LakeForTests) -> None:
    found = shown(sealed, f"runs/{DAY}/a.jsonl", 599)

    assert (found.record, found.status, found.reason) == (b'{"step":599}', "ok", "")
    assert (found.stream, found.path, found.source) == ("runs", f"{DAY}/a.jsonl", source(f"{DAY}/a.jsonl"))
    assert (found.day, found.generation, found.snapshot, found.position) == (DAY, 0, 0, 599)
    assert found.sealed_at == sealed.now


@pytest.mark.parametrize(
    ("path", "position", "record", "status", "reason"),
    [
        (f"runs/{DAY}/z.jsonl.gz", 1, b'{"z":2}', "ok", ""),
        (f"runs/{DAY}/b.json", 2, b'{"step":2}', "ok", ""),
        (f"runs/{TODAY}/c.csv", 1, b'{"x":"3","y":"4"}', "ok", ""),
        (f"runs/{DAY}/bad.jsonl", 0, b'{"a":1}', "ok", ""),
        (f"runs/{DAY}/bad.jsonl", 1, b'{"a":', "quarantined", "invalid_json"),
        (f"runs/{DAY}/bad.jsonl", 2, b"\xff", "quarantined", "invalid_utf8"),
        (f"runs/{DAY}/bad.jsonl", 3, b'{"a":2}', "partial_tail", ""),
        (f"runs/{DAY}/late.jsonl", 0, b'{"late":1}', "ok", ""),
    ],
)
def test_every_kind_of_record_is_proved_with_its_status(
    sealed: LakeForTests, path: str, position: int, record: bytes, status: str, reason: str
) -> None:
    found = shown(sealed, path, position)

    assert (found.record, found.status, found.reason) == (record, status, reason)


def test_every_record_of_a_lake_is_in_one_bundle_that_holds(sealed: LakeForTests) -> None:
    rows = sealed.rows("records")
    names = [
        RecordName(
            str(row["source_id"]), int(str(row["generation"])), int(str(row["snapshot"])), int(str(row["position"]))
        )
        for row in rows
    ]

    found = checked(sealed, [*names, *names[::-1]])

    told = {(r.source, r.generation, r.snapshot, r.position): (r.record, r.status, r.reason) for r in found.records}
    stored = [(row["record"], row["status"], row["reason"]) for row in rows]
    assert told == {
        (name.source, name.generation, name.snapshot, name.position): row
        for name, row in zip(names, stored, strict=True)
    }
    assert len(found.records) == len(rows)
    assert len(parse_bundle(prove_records(sealed.lake, names)).seals) == 3


def test_any_records_of_a_lake_are_a_bundle_that_holds(sealed: LakeForTests) -> None:
    """What an auditor checks of each record, proving checks of whole snapshots; so the auditor's check is made here."""
    rows, chosen = sealed.rows("records"), Random(3)
    for count in (1, 1, 2, 3, 8, 40, 200):
        some = chosen.sample(rows, count)
        names = [
            RecordName(*(row[name] for name in ("source_id", "generation", "snapshot", "position"))) for row in some
        ]  # type: ignore[arg-type]

        found = checked(sealed, names).records

        assert sorted(record.record for record in found) == sorted(row["record"] for row in some)  # type: ignore[type-var]


def test_a_grown_source_is_proved_over_its_snapshots_and_its_whole_line_before_its_partial_one(
    lake: LakeForTests,
) -> None:
    path = lake.land("a.jsonl", b'{"n":0}\n{"n":')
    lake.run()
    with path.open("ab") as file:
        file.write(b'1}\n{"n":2}\n')
    lake.run()
    name = f"runs/{TODAY}/a.jsonl"

    assert [shown(lake, name, position).snapshot for position in range(3)] == [0, 1, 1]
    assert shown(lake, name, 1).record == b'{"n":1}'
    tail = shown(lake, name, 1, snapshot=0)
    assert (tail.record, tail.status, tail.reason) == (b'{"n":', "partial_tail", "no_newline")


def test_the_newest_generation_is_meant_unless_another_is_asked_for(lake: LakeForTests) -> None:
    lake.land("a.jsonl", b'{"old":1}\n{"old":2}\n')
    lake.run()
    lake.land("a.jsonl", b'{"new":1}\n')
    lake.run()
    name = f"runs/{TODAY}/a.jsonl"

    assert shown(lake, name).record == b'{"new":1}'
    assert shown(lake, name, 1, generation=0).record == b'{"old":2}'
    with pytest.raises(InputError, match="generation 1 has records 0 to 0"):
        named(lake, name, 1)


def test_events_name_the_records_they_were_read_from(lake: LakeForTests) -> None:
    lake.land("rollouts/1.jsonl", b"".join(ROLLOUT % n for n in range(3)))
    lake.run()
    rows = [*lake.rows("generations"), *lake.rows("reward_scores")]
    assert len(rows) == 6

    names = find_by_event(lake.lake, [str(row["event_id"]) for row in rows[::-1]])

    assert [name.position for name in names] == [row["position"] for row in rows[::-1]]
    assert [record.record for record in checked(lake, names).records] == [ROLLOUT[:-1] % n for n in range(3)]
    with pytest.raises(InputError, match="event '0000"):
        find_by_event(lake.lake, [str(rows[0]["event_id"]), "0" * 64])
    with pytest.raises(InputError, match="no record at position 3"):
        find_by_event(lake.lake, [str(rows[0]["event_id"]).replace("-0-0-0-", "-0-0-3-")])


def test_an_event_is_found_by_its_id_in_the_tables_of_its_commit(lake: LakeForTests) -> None:
    """Over two commits, a source that grew, and row groups of many sources."""
    for number in range(3):
        lake.land(f"rollouts/{number}.jsonl", b"".join(ROLLOUT % n for n in range(3)), DAY)
    grown = lake.land("rollouts/4.jsonl", ROLLOUT % 1)
    lake.run(DAY)
    lake.run()
    with grown.open("ab") as file:
        file.write(ROLLOUT % 2)
    lake.run()
    events = open_events(lake.lake)

    for table in ("generations", "reward_scores"):
        rows = lake.rows(table)
        assert len(rows) == 11
        for row in rows:
            assert find_event(events, table, str(row["event_id"])).to_pylist() == [row]
        some = find_event(events, table, str(rows[0]["event_id"]), ["step", "source_id"])
        assert some.to_pylist() == [{"step": 1, "source_id": rows[0]["source_id"]}]
        first = str(rows[0]["event_id"])
        for other in (
            first[:-1] + "9",
            first.replace("-0-0-", "-1-0-"),
            first.replace("-0-0-", "-0-9-"),
            "0" * 64 + first[64:],
        ):
            assert find_event(events, table, other).num_rows == 0
    with pytest.raises(InputError, match="is no event's id"):
        find_event(events, "generations", "0" * 64)
    with pytest.raises(InputError, match="no such event table"):
        find_event(events, "records", first)


def test_a_list_names_records_by_source_and_by_event(lake: LakeForTests) -> None:
    lake.land("rollouts/1.jsonl", b"".join(ROLLOUT % n for n in range(6)))
    lake.run()
    event = lake.rows("generations")[4]
    lines = [f"{source(f'{TODAY}/rollouts/1.jsonl')} {position}" for position in (5, 3, 5)]

    names = find_list(lake.lake, "\n".join([*lines, str(event["event_id"])]))

    assert {name.position for name in names} == {3, 4, 5}
    assert [record.record for record in checked(lake, names).records] == [ROLLOUT[:-1] % n for n in (3, 4, 5)]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "names no record"),
        ("\n", "line 1"),
        ("abc\n", "line 1"),
        ("0" * 64 + " 1 2\n", "line 1"),
        ("0" * 64 + " -1\n", "line 1"),
        ("0" * 64 + " " + "9" * 19 + "\n", "line 1"),
        ("0" * 64 + " 1\n", "never taken in"),
        ("0" * 64 + "\n", "line 1"),
        ("0" * 64 + "-0-0-0-0\n", "never taken in"),
        (source(f"{DAY}/a.jsonl") + " 600\n", "records 0 to 599"),
        (source(f"{DAY}/a.jsonl") + " 1\nx\n", "line 2"),
    ],
)
def test_a_list_that_names_what_is_not_there_is_refused(sealed: LakeForTests, text: str, match: str) -> None:
    with pytest.raises(InputError, match=match) as refusal:
        find_list(sealed.lake, text)

    assert "\n" not in str(refusal.value)


def test_a_file_is_named_as_it_is_at_hand(tmp_path: Path) -> None:
    landing = tmp_path / "home" / "landing"
    (landing / "runs" / "d").mkdir(parents=True)
    (tmp_path / "link").symlink_to(landing / "runs")

    for given, folder in [
        (landing / "runs/d/a.jsonl", tmp_path),
        (Path("home/landing/runs/d/a.jsonl"), tmp_path),
        (Path("a.jsonl"), landing / "runs/d"),
        (Path("../d/./a.jsonl"), landing / "runs/d"),
        (Path("runs/d/a.jsonl"), tmp_path),
        (Path("d/a.jsonl"), tmp_path / "link"),
    ]:
        assert Path("runs/d/a.jsonl") in paths_below(landing, given, folder)
    assert paths_below(landing, tmp_path / "elsewhere", tmp_path) == []


def test_a_file_of_no_source_is_refused_with_where_it_was_looked_for(sealed: LakeForTests) -> None:
    for paths in ([], [Path("runs/none")], [Path("elsewhere/none"), Path("none")]):
        with pytest.raises(InputError, match="nothing was taken in of such a file"):
            find_by_file(sealed.lake, sealed.streams, paths, NOTHING)


def test_a_file_of_two_streams_is_refused_and_its_sources_are_named(tmp_path: Path) -> None:
    lake = LakeForTests(tmp_path, streams=[Stream("a", "runs/{date}/**"), Stream("b", "runs/{date}/**")])
    lake.land("x.jsonl", b"{}\n")
    lake.run()

    with pytest.raises(InputError, match="--source") as refusal:
        named(lake, f"runs/{TODAY}/x.jsonl")

    assert canonical.source_id("b", f"{TODAY}/x.jsonl") in str(refusal.value)


def test_a_file_whose_name_is_not_utf8_is_found_by_it(lake: LakeForTests) -> None:
    path = lake.land("x", b"{}\n")
    odd = path.with_name("caf\udce9.jsonl")
    path.rename(odd)
    lake.run()

    (name,) = [named(lake, str(odd.relative_to(lake.places.landing)))]

    assert checked(lake, [name]).records[0].path == f"/{TODAY}/caf%E9.jsonl"


def test_a_line_of_a_source_without_lines_is_refused(sealed: LakeForTests) -> None:
    with pytest.raises(InputError, match=r"csv.*--position"):
        find_by_file(sealed.lake, sealed.streams, [Path(f"runs/{TODAY}/c.csv")], NOTHING, is_line=True)


# What is refused


def test_what_is_not_sealed_yet_is_refused(sealed: LakeForTests) -> None:
    sealed.land("new.jsonl", b"{}\n")
    sealed.ingest()

    with pytest.raises(InputError, match="not sealed yet; run"):
        checked(sealed, [named(sealed, f"runs/{TODAY}/new.jsonl")])


def test_an_entry_that_the_checkpoint_does_not_sign_is_not_sealed_yet(sealed: LakeForTests) -> None:
    """As when a run ended between the log's commit and its checkpoint."""
    before = sealed.lake.log.get("checkpoint") or b""
    sealed.land("new.jsonl", b"{}\n")
    sealed.run()
    sealed.lake.log.replace("checkpoint", before)

    with pytest.raises(InputError, match="not sealed yet"):
        checked(sealed, [named(sealed, f"runs/{TODAY}/new.jsonl")])
    assert checked(sealed, [named(sealed, f"runs/{TODAY}/c.csv")]).head.size == 3


@pytest.mark.parametrize(
    "name",
    [
        RecordName("0" * 64, 0, 0, 0),
        RecordName(source(f"{DAY}/a.jsonl"), 1, 0, 0),
        RecordName(source(f"{DAY}/a.jsonl"), 0, 1, 0),
        RecordName(source(f"{DAY}/a.jsonl"), 0, 0, 600),
        RecordName(source(f"{DAY}/a.jsonl"), 0, 0, -1),
    ],
)
def test_a_record_that_is_not_there_is_refused(sealed: LakeForTests, name: RecordName) -> None:
    with pytest.raises(InputError):
        prove_records(sealed.lake, [name])


def test_no_record_is_no_bundle(sealed: LakeForTests) -> None:
    with pytest.raises(InputError, match="name some"):
        prove_records(sealed.lake, [])


def test_nothing_is_made_where_nothing_was_run(lake: LakeForTests) -> None:
    for ask in (
        lambda: find_at(lake.lake, [("0" * 64, NOTHING)]),
        lambda: find_by_event(lake.lake, ["0" * 64]),
        lambda: open_events(lake.lake),
        lambda: prove_records(lake.lake, [RecordName("0" * 64, 0, 0, 0)]),
        lambda: prove_day(lake.lake, DAY),
    ):
        with pytest.raises(InputError):
            ask()
    assert not lake.places.lake.exists()


def data_file(lake: LakeForTests) -> Path:
    return lake.places.lake / f"restricted/records/runs/{DAY}/1.parquet"


def of_row(column: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        values = table.column(column).to_pylist()
        values[row] = value
        at = table.schema.get_field_index(column)
        return table.set_column(at, table.schema.field(at), pa.array(values, table.schema.field(at).type))

    return change


CHANGES = {
    "a record": of_row("record", 0, b"{}"),
    "a record that was not asked for": of_row("record", 7, b"{}"),
    "a salt": of_row("salt", 7, b"\0" * 16),
    "a salt's length": of_row("salt", 7, b"\0" * 15),
    "a status": of_row("status", 7, "quarantined"),
    "a reason": of_row("reason", 7, "depth"),
    "rows in another order": lambda table: table.take([1, 0, *range(2, table.num_rows)]),
    "a row removed": lambda table: table.slice(1),
    "a row added": lambda table: pa.concat_tables([table.slice(0, 1), table]),
    "a row added behind all others": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
    "a column removed": lambda table: table.drop_columns(["salt"]),
    "no record": lambda table: table.set_column(5, "record", pa.array([None, *table["record"].to_pylist()[1:]])),
    "salts of numbers": lambda table: table.set_column(6, "salt", pa.array(range(table.num_rows))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_rows_that_were_changed_give_no_bundle(sealed: LakeForTests, change: Callable[[pa.Table], pa.Table]) -> None:
    rewrite(data_file(sealed), change)
    first = pq.read_table(data_file(sealed), columns=["source_id"])["source_id"][0].as_py()
    name = next(str(row["path"]) for row in sealed.rows("sources") if row["source_id"] == first)

    with pytest.raises(AuditError) as refusal:
        prove_records(sealed.lake, [named(sealed, f"runs/{name}")])

    assert isinstance(refusal.value, ProofError | StorageError)
    assert "\n" not in str(refusal.value)


def test_a_data_file_that_was_removed_or_damaged_gives_no_bundle(sealed: LakeForTests) -> None:
    name = named(sealed, f"runs/{DAY}/a.jsonl")
    whole = data_file(sealed).read_bytes()

    for spoiled in (None, b"", whole[:-8], whole[: len(whole) // 2]):
        if spoiled is None:
            data_file(sealed).unlink()
        else:
            data_file(sealed).write_bytes(spoiled)
        with pytest.raises(AuditError):
            prove_records(sealed.lake, [name])


def test_an_entry_of_the_footer_that_is_not_the_sealed_one_gives_no_bundle(sealed: LakeForTests) -> None:
    table = pq.read_table(data_file(sealed))
    footer = pq.read_metadata(data_file(sealed)).metadata
    forged = {**footer, b"audit.batch": footer[b"audit.batch"].replace(b"bytes 0 ", b"bytes 1 ")}
    pq.write_table(table.replace_schema_metadata(forged), data_file(sealed))

    with pytest.raises(ProofError, match="as it was sealed"):
        prove_records(sealed.lake, [named(sealed, f"runs/{DAY}/a.jsonl")])


def test_a_path_of_the_footer_that_is_not_the_source_s_gives_no_bundle(sealed: LakeForTests) -> None:
    table = pq.read_table(data_file(sealed))
    footer = pq.read_metadata(data_file(sealed)).metadata
    forged = {**footer, b"audit.batch": footer[b"audit.batch"].replace(b"a.jsonl", b"x.jsonl")}
    pq.write_table(table.replace_schema_metadata(forged), data_file(sealed))

    with pytest.raises(ProofError, match="path"):
        prove_records(sealed.lake, [named(sealed, f"runs/{DAY}/a.jsonl")])


def test_drafts_and_checkpoints_that_were_changed_give_no_bundle(sealed: LakeForTests, tmp_path: Path) -> None:
    name = named(sealed, f"runs/{DAY}/a.jsonl")
    other = LakeForTests(tmp_path / "other")
    other.run()
    drafts = sealed.places.evidence / "_seals" / DAY.isoformat()
    cases: dict[Path, list[bytes]] = {
        drafts / "1": [(drafts / "2").read_bytes(), (drafts / "1").read_bytes().replace(b"snapshot 0", b"snapshot 1")],
        sealed.places.log / "checkpoint": [
            other.lake.log.get("checkpoint") or b"",
            (sealed.lake.log.get("checkpoint") or b"").replace(b"\n3\n", b"\n2\n"),
        ],
    }
    for path, spoils in cases.items():
        whole = path.read_bytes()
        for spoiled in spoils:
            path.write_bytes(spoiled)
            with pytest.raises(ProofError):
                prove_records(sealed.lake, [name])
        path.write_bytes(whole)
    (drafts / "1").unlink()
    with pytest.raises(StorageError, match="backup"):
        prove_records(sealed.lake, [name])


# What a bundle of a real lake stands


def test_a_flipped_bit_of_a_bundle_is_refused(sealed: LakeForTests) -> None:
    names = [named(sealed, f"runs/{DAY}/{name}") for name in ("a.jsonl", "bad.jsonl", "late.jsonl")]
    bundle, trust, chosen = prove_records(sealed.lake, names), trust_of(sealed), Random(7)
    for at in chosen.sample(range(len(bundle)), 1500):
        flipped = bytearray(bundle)
        flipped[at] ^= 1 << chosen.randrange(8)
        with pytest.raises(ProofError):
            check_bundle(bytes(flipped), trust)


def test_a_bundle_of_another_lake_is_refused_and_its_parts_fit_nowhere(sealed: LakeForTests, tmp_path: Path) -> None:
    """The same logs on the same days in two lakes, whose bundles differ only in lake, salts and nonces."""
    other = LakeForTests(tmp_path / "other")
    other.land("a.jsonl", b"".join(b'{"step":%d}\n' % n for n in range(600)), DAY)
    other.run(DAY)
    mine = prove_records(sealed.lake, [named(sealed, f"runs/{DAY}/a.jsonl")])
    theirs = parse_bundle(prove_records(other.lake, [named(other, f"runs/{DAY}/a.jsonl")]))

    with pytest.raises(ProofError, match="known key"):
        check_bundle(mine, trust_of(other))
    parsed = parse_bundle(mine)
    for forged in (
        replace(parsed, seals=theirs.seals),
        replace(parsed, checkpoint=theirs.checkpoint),
        replace(parsed, seals=(replace(parsed.seals[0], sources=theirs.seals[0].sources),)),
    ):
        with pytest.raises(ProofError):
            check_bundle(format_bundle(forged), trust_of(sealed))


def test_a_bundle_joins_the_checkpoint_that_somebody_holds_to_the_one_of_now(lake: LakeForTests) -> None:
    notes = []
    for back in range(5, -1, -1):
        lake.run(TODAY - timedelta(days=back))
        notes.append(lake.lake.log.get("checkpoint") or b"")
    lake.land("a.jsonl", b"{}\n")
    lake.run()
    notes.append(lake.lake.log.get("checkpoint") or b"")
    name = named(lake, f"runs/{TODAY}/a.jsonl")

    for note in notes:
        trust = trust_of(lake, note)
        held, _ = tlog.open_checkpoint(note, trust.logs)
        bundle = prove_records(lake.lake, [name], held)
        assert check_bundle(bundle, trust).head.levels == ("signed", "extends-held")
    assert parse_bundle(bundle).consistency is None, "the newest is equal"


def test_a_checkpoint_that_this_log_does_not_extend_is_refused(sealed: LakeForTests, tmp_path: Path) -> None:
    checkpoint, _ = tlog.open_checkpoint(sealed.lake.log.get("checkpoint") or b"", trust_of(sealed).logs)
    name = named(sealed, f"runs/{DAY}/a.jsonl")

    for held, error in [
        (replace(checkpoint, root=b"\1" * 32), ProofError),
        (replace(checkpoint, size=2), ProofError),
        (replace(checkpoint, size=4), ProofError),
        (replace(checkpoint, origin="log.example/other"), InputError),
    ]:
        with pytest.raises(error):
            prove_records(sealed.lake, [name], held)


def test_a_day_is_proved_by_its_last_seal(sealed: LakeForTests) -> None:
    for day, segment, index in [(DAY, 2, 2), (TODAY, 1, 1)]:
        proof, entry = prove_day(sealed.lake, day)

        found = check_day(proof, entry, trust_of(sealed))
        assert (found.index, found.seal.day, found.seal.segment) == (index, day, segment)
    with pytest.raises(InputError, match="not sealed yet"):
        prove_day(sealed.lake, DAY - timedelta(days=1))


def test_each_segment_of_a_day_has_a_proof_of_its_own(sealed: LakeForTests) -> None:
    """The last may be of what runs wrote about themselves; the logs are in an earlier one."""
    found = [check_day(*prove_day(sealed.lake, DAY, segment), trust_of(sealed)).seal.segment for segment in (1, 2)]

    assert found == [1, 2]
    with pytest.raises(InputError, match="has no segment 3, only 1, 2"):
        prove_day(sealed.lake, DAY, 3)


def test_proving_changes_nothing(sealed: LakeForTests) -> None:
    before = sealed.files()

    prove_records(sealed.lake, [named(sealed, f"runs/{DAY}/a.jsonl")])
    prove_day(sealed.lake, DAY)

    assert sealed.files() == before


# The commands


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Runs `audit-pipeline` in a project whose home has a sealed day and a trust file."""
    for name in ("AUDIT_POLICY", "AUDIT_HOME", "AUDIT_PROFILE", "AUDIT_KEY_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(main, ["init", "project"]).exit_code == 0
    project = tmp_path / "project"
    monkeypatch.chdir(project)
    lake = LakeForTests(project / "audit-home")
    assert lake.places.landing == load_policy(project, {}).places.landing
    lake.land("a.jsonl", b'{"n":0}\n{"n":1}\n{"n":2}\n', DAY)
    lake.run(DAY)
    (project / "trust").write_bytes(format_trust(trust_of(lake, lake.lake.log.get("checkpoint"))))
    return lambda *arguments: CliRunner().invoke(main, arguments)


def printed_records(command: Callable[..., Result], *arguments: str) -> list[tuple[str, int, int]]:
    """(path, position, bytes) by `check`."""
    found = command("check", *arguments, "--trust", "trust", "--json")
    assert found.exit_code == 0, found.stderr
    return [(r["path"], r["position"], r["bytes"]) for r in json.loads(found.stdout)["records"]]


def test_prove_and_check_work_from_the_command_line(command: Callable[..., Result], tmp_path: Path) -> None:
    id_ = source(f"{DAY}/a.jsonl")
    Path("list").write_text(f"{id_} 0\n{id_} 2\n")
    landed = f"audit-home/landing/runs/{DAY}/a.jsonl"
    ways: list[tuple[list[str], list[int]]] = [
        (["--file", landed, "--line", "1"], [0]),
        (["--file", str(Path(landed).absolute()), "--position", "1"], [1]),
        (["--file", f"runs/{DAY}/a.jsonl", "--line", "3", "--generation", "0", "--snapshot", "0"], [2]),
        (["--source", id_, "--position", "2", "--trust", "trust"], [2]),
        (["--list", "list"], [0, 2]),
    ]
    for number, (way, positions) in enumerate(ways):
        done = command("prove", *way, "-o", f"{number}.bundle")

        assert done.exit_code == 0, done.stderr
        assert [at for _, at, _ in printed_records(command, f"{number}.bundle")] == positions
    shown_too = command("check", "0.bundle", "--trust", "trust", "--show")
    assert '{"n":0}' in shown_too.stdout
    assert "extends-held" in shown_too.stdout


def test_prove_day_and_check_work_from_the_command_line(command: Callable[..., Result]) -> None:
    done = command("prove", "--day", str(DAY), "-o", "day.tlog-proof", "--entry", "seal")

    assert done.exit_code == 0, done.stderr
    found = command("check", "day.tlog-proof", "--entry", "seal", "--trust", "trust")
    assert found.exit_code == 0, found.stderr
    assert f"day: {DAY}" in found.stdout


WRONG_USE: dict[str, tuple[list[str], str]] = {
    "a segment without a day": (["--event", "a", "--segment", "1"], "goes with --day"),
    "nothing named": ([], "give one of"),
    "two things named": (["--event", "x", "--list", "trust"], "give one of"),
    "a file alone": (["--file", "a"], "--line or --position"),
    "a line and a position": (["--file", "a", "--line", "1", "--position", "1"], "--line or --position"),
    "a line of a source": (["--source", "a", "--line", "1"], "--position"),
    "an event at a position": (["--event", "a", "--position", "1"], "neither"),
    "a generation of an event": (["--event", "a", "--generation", "1"], "go with"),
    "a day without an entry": (["--day", str(DAY)], "go together"),
    "an entry without a day": (["--event", "a", "--entry", "e"], "go together"),
    "a day and an event": (["--day", str(DAY), "--entry", "e", "--event", "a"], "alone"),
    "line 0": (["--file", "a", "--line", "0"], "--line"),
    "a line beyond the end": (["--file", f"runs/{DAY}/a.jsonl", "--line", "4"], "records 0 to 2"),
    "no such source": (["--source", "0" * 64, "--position", "0"], "never taken in"),
    "no such event": (["--event", "0" * 64], "copy the column event_id"),
    "a day that is not sealed": (["--day", "2020-01-01", "--entry", "e"], "not sealed"),
    "one file for both": (["--day", str(DAY), "--entry", "out"], "named twice"),
}


@pytest.mark.parametrize(("arguments", "cure"), WRONG_USE.values(), ids=WRONG_USE.keys())
def test_wrong_use_of_prove_ends_with_2_and_writes_nothing(
    command: Callable[..., Result], arguments: list[str], cure: str
) -> None:
    done = command("prove", *arguments, "-o", "out")

    assert done.exit_code == 2
    assert cure in done.stderr
    assert not Path("out").exists()
    assert not Path("e").exists()


def test_nothing_is_overwritten(command: Callable[..., Result]) -> None:
    Path("out").write_text("mine")
    ways = [
        ["--file", f"runs/{DAY}/a.jsonl", "--line", "1", "-o", "out"],
        ["--day", str(DAY), "-o", "out", "--entry", "new"],
        ["--day", str(DAY), "-o", "new", "--entry", "out"],
    ]
    for way in ways:
        done = command("prove", *way)

        assert done.exit_code == 2
        assert "nothing is overwritten" in done.stderr
        assert Path("out").read_text() == "mine"
        assert not Path("new").exists()


def test_a_trust_file_without_a_checkpoint_or_of_another_log_is_refused(command: Callable[..., Result]) -> None:
    vkey = Path("trust").read_bytes().split(b"\n")[0]
    Path("bare").write_bytes(vkey + b"\n")
    Path("wrong").write_bytes(b"log x\n")

    for file, cure in (("bare", "holds no checkpoint"), ("wrong", "line 1")):
        done = command("prove", "--file", f"runs/{DAY}/a.jsonl", "--line", "1", "--trust", file, "-o", "out")
        assert done.exit_code == 2
        assert cure in done.stderr


def test_a_changed_bundle_ends_check_with_1_and_one_line(command: Callable[..., Result]) -> None:
    command("prove", "--file", f"runs/{DAY}/a.jsonl", "--line", "1", "-o", "out")
    Path("out").write_bytes(Path("out").read_bytes().replace(b'"position":0', b'"position":1'))

    done = command("check", "out", "--trust", "trust")

    assert (done.exit_code, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)


@pytest.mark.slow
def test_fifty_thousand_records_of_a_million_are_proved_and_checked(lake: LakeForTests) -> None:
    for number in range(4):
        lines = b"".join(b'{"file":%d,"step":%d,"reward":%d.5}\n' % (number, n, n % 7) for n in range(250_000))
        lake.land(f"{number}.jsonl", lines)
    lake.ingest()
    lake.seal()
    chosen = Random(3)
    wanted = [divmod(number, 250_000) for number in chosen.sample(range(1_000_000), 50_000)]
    text = "".join(f"{source(f'{TODAY}/{number}.jsonl')} {position}\n" for number, position in wanted)

    found = checked(lake, find_list(lake.lake, text))

    told = {(record.path, record.record) for record in found.records}
    assert told == {
        (f"{TODAY}/{number}.jsonl", b'{"file":%d,"step":%d,"reward":%d.5}' % (number, n, n % 7)) for number, n in wanted
    }
    assert len(found.records) == 50_000
