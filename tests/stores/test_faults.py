"""What networks and stores do to requests loses nothing and doubles nothing."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from audit_pipeline.derive import derive_events
from audit_pipeline.errors import StorageError, UnreachableError
from audit_pipeline.lake import clients
from audit_pipeline.lake.objects import PROBE
from audit_pipeline.lake.stores import open_store
from audit_pipeline.verify.apart import verify_apart
from tests.lakes import TODAY
from tests.stores.lakes import LakeAt, as_process_of, downloaded, place_of
from tests.stores.proxy import FAULTS, FaultProxy, proxied
from tests.stores.servers import Server, s3rver

DAY = TODAY - timedelta(days=1)
BUCKETS = [
    pytest.param("s3", id="s3"),
    pytest.param("gcs", id="gcs"),
    pytest.param("azure", id="azure", marks=pytest.mark.needs("azurite", "azurite, which npm installs: make programs")),
]
_TRIES = 20  # of a run, each of which goes on where the one before ended
_SHORT = {"init_backoff": timedelta(milliseconds=1), "max_backoff": timedelta(milliseconds=5), "base": 2}


@pytest.fixture
def proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """Between the pipeline and the server; clients wait for less time than users' do before they ask again."""
    monkeypatch.setitem(clients._RETRY, "backoff", _SHORT)
    with proxied(server, seed=6) as between:
        yield between


def until_done(work: Callable[[], object]) -> None:
    """As a scheduler does: what failed is run again."""
    for _ in range(_TRIES):
        try:
            work()
        except StorageError:
            continue
        return
    pytest.fail(f"not done in {_TRIES} runs")


def run_under_faults(lake: LakeAt, proxy: FaultProxy, number: int) -> None:
    """A day's logs, taken in, derived, sealed and listed while a tenth of all requests fails."""
    worker = lake.again()
    proxy.rate = 0.1
    until_done(worker.ingest)
    until_done(lambda: derive_events(worker.lake, worker.entropy, passphrase=None))
    until_done(worker.seal)
    until_done(worker.take_inventory)
    proxy.rate = 0.0


def check_nothing_is_lost_or_doubled(lake: LakeAt, expected: list[bytes]) -> None:
    assert sorted(record for record, _, _ in lake.records()) == sorted(expected)
    assert lake.lost() == []
    found = lake.verify()
    assert not found.problems
    assert not found.unsealed_records


def campaign(server: Server, proxy: FaultProxy, root: Path, faults: int) -> None:
    """Runs of a growing lake until so many requests met a fault."""
    lake = LakeAt(root, place_of(server, proxy.port))
    proxy.left, expected, number = faults, list[bytes](), 0
    while proxy.left > 0:
        number += 1
        records = [b'{"run":%d,"n":%d}' % (number, n) for n in range(20)]
        lake.land(f"{number}.jsonl", b"".join(record + b"\n" for record in records))
        lake.land(f"{number}.json", b'[{"run":%d}]' % number)
        expected += [*records, b'{"run":%d}' % number]
        run_under_faults(lake, proxy, number)
    check_nothing_is_lost_or_doubled(lake, expected)
    assert sum(proxy.faults.values()) == faults
    copy = downloaded(lake, root / "copy")
    assert not copy.verify().problems


@pytest.mark.parametrize("server", BUCKETS, indirect=True)
def test_forty_random_faults_lose_nothing_and_double_nothing(server: Server, proxy: FaultProxy, tmp_path: Path) -> None:
    campaign(server, proxy, tmp_path, 40)


@pytest.mark.slow
@pytest.mark.parametrize("server", BUCKETS, indirect=True)
def test_five_hundred_random_faults_lose_nothing_and_double_nothing(
    server: Server, proxy: FaultProxy, tmp_path: Path
) -> None:
    campaign(server, proxy, tmp_path, 500)
    assert proxy.faults.keys() == set(FAULTS)


@pytest.mark.parametrize("server", BUCKETS, indirect=True)
def test_an_object_whose_answer_was_lost_is_known_to_be_ours(
    server: Server, proxy: FaultProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(place_of(server, proxy.port))
    store.put_new("before", b"1")
    monkeypatch.setattr("tests.stores.proxy.FAULTS", ("answer lost",))
    proxy.rate, proxy.left = 1.0, 2

    assert store.put_new("x", b"ours")

    assert proxy.left == 0
    assert not store.put_new("x", b"another's")
    assert store.get("x") == b"ours"


@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_a_store_that_never_answers_well_is_an_error_that_says_what_to_do(
    server: Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(place_of(server, proxy.port))
    monkeypatch.setattr("tests.stores.proxy.FAULTS", ("503",))
    proxy.rate, proxy.left = 1.0, 1000

    with pytest.raises(StorageError, match="run again, which goes on where this ended") as raised:
        store.get("x")

    assert "\n" not in str(raised.value)
    assert 7 < 1000 - proxy.left < 50


@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_a_refusal_is_not_asked_again_and_names_the_policies(
    server: Server, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = open_store(place_of(server, proxy.port))

    with pytest.raises(StorageError, match=r"refused to this identity.*deploy/policies"):
        store.get("x")

    assert proxy.requests.total() == 1


@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_a_store_that_cannot_be_asked_shows_nothing_and_is_no_forgery(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LakeAt(tmp_path, place_of(server))
    lake.land("a.jsonl", b"1\n")
    lake.run()
    assert verify_apart(lake.lake).problems == ()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    for look in (lake.verify, lambda: verify_apart(lake.lake)):
        with pytest.raises(UnreachableError, match="deploy/policies"):
            look()


@pytest.mark.needs("s3rver", "s3rver, which npm installs: make programs")
def test_a_store_that_creates_an_object_twice_is_refused_before_anything_is_taken_in(tmp_path: Path) -> None:
    with s3rver(tmp_path, "s3rver") as server, as_process_of(server):
        lake = LakeAt(tmp_path, place_of(server))
        lake.land("a.jsonl", b"1\n")

        with pytest.raises(StorageError, match="creates an object that is there already"):
            lake.ingest()

        assert list(open_store(lake.places.lake).names()) == [PROBE]
