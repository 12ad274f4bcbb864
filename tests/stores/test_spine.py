"""What is promised of a lake holds in every store: taken in once, sealed, found when it was changed.

Each test is one claim, over a local folder, S3 (SeaweedFS), Google Cloud Storage (our double, see there why) and Azure
(Azurite).
"""

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from audit_pipeline import lookup, prove
from audit_pipeline.check import check_bundle
from audit_pipeline.derive import derive_events
from audit_pipeline.lake.commits import commit_file
from audit_pipeline.lake.declared import RECORDS
from audit_pipeline.lake.places import Bucket
from audit_pipeline.lake.stores import open_store
from audit_pipeline.tlog import parse_vkey
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify.apart import verify_apart
from tests.lakes import TODAY
from tests.restated import check_whole
from tests.stores.lakes import LakeAt, downloaded

DAY = TODAY - timedelta(days=1)
LINES = b'{"step":1,"loss":0.5}\n{"step":2,"loss":0.25}\n'


def test_of_many_that_create_an_object_at_once_one_does(at: LakeAt) -> None:
    store = at.lake.evidence

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: store.put_new("one", b"writer %d" % n), range(8)))

    assert made.count(True) == 1
    assert store.get("one") == b"writer %d" % made.index(True)


def test_an_object_has_its_bytes_wherever_it_is_read_from(at: LakeAt) -> None:
    store, content = at.lake.evidence, bytes(range(256)) * 12_000  # three ranges and more
    with store.create("folder/large") as new:
        new.write(content)
        assert not store.exists("folder/large")
        assert new.publish()

    with store.open("folder/large") as file:
        file.seek(1_000_000)
        middle = file.read(2_000_000)
        file.seek(-3, 2)
        end = file.read()

    assert middle == content[1_000_000:3_000_000]
    assert end == content[-3:]
    assert store.get("folder/large") == content
    assert store.size("folder/large") == len(content)
    assert list(store.names("folder")) == ["folder/large"]
    assert list(store.names("other")) == []
    assert store.digest("missing") is None
    assert store.get("missing") is None


def test_two_days_are_taken_in_sealed_and_verified(at: LakeAt, tmp_path: Path) -> None:
    landed = {
        f"{DAY}/a.jsonl": LINES + b'{"step":',
        f"{DAY}/b.json": b'{"log_history":[{"step":1,"loss":0.5},{"step":2}]}',
        f"{DAY}/c.txt.gz": gzip.compress(b"one\ntwo\n", mtime=0),
        f"{TODAY}/d.bin": bytes(range(256)),
    }
    for name, content in landed.items():
        day, _, file = name.partition("/")
        at.land(file, content, DAY if day == str(DAY) else TODAY)
    at.run(DAY)
    at.run()

    found = verify_apart(at.lake)

    assert not found.problems
    assert "extends-own-mark" in found.levels
    assert (found.days, found.log_size) == (2, 2)
    copy = downloaded(at, tmp_path / "copy")
    check_whole(copy, {name: [content] for name, content in landed.items()})


def test_a_second_run_changes_nothing(at: LakeAt) -> None:
    at.land("a.jsonl", LINES)
    at.run()
    before = at.files()

    again = at.again()
    again.ingest()
    derive_events(again.lake, again.entropy, passphrase=None)
    assert not again.seal().is_new
    again.take_inventory()

    assert at.files() == before


def test_what_is_appended_is_taken_in_and_what_was_there_is_not_again(at: LakeAt) -> None:
    at.land("a.jsonl", LINES)
    at.run()
    at.land("a.jsonl", LINES + b'{"step":3}\n')

    at.run()

    assert [record for record, _, _ in at.records()] == [*LINES.splitlines(), b'{"step":3}']
    assert [row["growth"] for row in at.rows("sources")] == ["new", "appended"]
    assert not at.verify().problems


def test_bytes_of_the_same_size_in_the_same_second_are_found(at: LakeAt) -> None:
    """A folder tells the time of a change to the nanosecond, a bucket to the second: there the etag does."""
    at.land("a.jsonl", b'{"a":1}\n')
    at.ingest()
    at.land("a.jsonl", b'{"a":2}\n')

    at.ingest()

    assert [record for record, _, _ in at.records()] == [b'{"a":1}', b'{"a":2}']
    assert at.lost() == []


def test_two_workers_at_once_take_in_each_record_once(at: LakeAt) -> None:
    for n in range(6):
        at.land(f"{n}.jsonl", b'{"n":%d}\n' % n)
    workers = [at.again(), at.again()]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda worker: worker.ingest(), workers))
        list(pool.map(lambda worker: worker.seal(), workers))
    at.take_inventory()

    assert sorted(record for record, _, _ in at.records()) == [b'{"n":%d}' % n for n in range(6)]
    found = at.verify()
    assert not found.problems
    assert found.log_size == 1


@pytest.mark.parametrize("what", ["changed", "removed", "added", "commit removed"])
def test_a_stored_object_that_was_touched_is_found(at: LakeAt, what: str) -> None:
    at.land("a.jsonl", LINES)
    at.run()
    records = open_store(RECORDS.uri(at.places))
    name = f"runs/{TODAY}/1.parquet"
    if what == "changed":
        content = records.get(name) or b""
        records.replace(name, content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    elif what == "added":
        records.put_new("runs/planted.parquet", b"x")
    else:
        remove(at, commit_file(1) if what == "commit removed" else name)

    found = at.verify()

    assert [problem for problem in found.problems if "records" in problem.table]
    assert found.levels == ()


def test_a_record_is_proved_by_the_file_it_came_from(at: LakeAt) -> None:
    at.land("a.jsonl", LINES)
    at.run()
    lake = at.lake

    names = [Path(f"runs/{TODAY}/a.jsonl")]
    record = lookup.find_by_file(lake, at.streams, names, lookup.At(1), is_line=True)
    bundle = prove.prove_records(lake, [record])

    shown = check_bundle(bundle, Trust((parse_vkey(lake.vkey),)))
    assert [(found.position, found.record) for found in shown.records] == [(1, b'{"step":2,"loss":0.25}')]
    if isinstance(at.at, Bucket):
        given = Path(f"{at.places.landing}/runs/{TODAY}/a.jsonl")
        assert lookup.paths_below(at.places.landing, given, Path("/")) == names


def remove(at: LakeAt, name: str) -> None:
    """As whoever may write the bucket can."""
    import obstore

    from audit_pipeline.lake.clients import open_client, parse_uri

    place = RECORDS.uri(at.places)
    if isinstance(place, Bucket):
        obstore.delete(open_client(place), f"{parse_uri(place.uri)[2]}/{name}")
    else:
        (place / name).unlink()
