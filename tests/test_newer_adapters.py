"""A newer version of an adapter derives older records again; what the older one made stays in the table's history."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from audit_pipeline.derive import AGAIN_APP, DERIVE_APP, derive_events
from audit_pipeline.errors import InputError
from audit_pipeline.formats import adapters
from audit_pipeline.formats.adapter import Event, Items, Metrics, SourceContext
from audit_pipeline.lake.commits import Commit, commit_file, format_commit
from audit_pipeline.lake.declared import EVENTS
from audit_pipeline.lake.keys import load_person_keys
from tests.lakes import TODAY, LakeForTests
from tests.restated import check_whole

LOG = b"".join(b'{"loss":%d.5,"step":%d,"epoch":1.0,"learning_rate":0.1}\n' % (n, n) for n in range(1, 4))
PAIR = b'{"prompt":"q","chosen":"a","rejected":"b"}\n'
Upgrade = Callable[[int], None]


@pytest.fixture
def upgrade(monkeypatch: pytest.MonkeyPatch) -> Upgrade:
    """Another version of the adapter of TRL's logs, that calls each metric after it."""
    adapter = adapters.ADAPTERS["trl_log_history"]

    def to(version: int) -> None:
        def renamed(source: SourceContext, items: Items) -> Iterator[Event]:
            for position, table, values in adapter.events(source, items):
                if isinstance(values, Metrics):
                    values = replace(values, values={f"{name} by {version}": n for name, n in values.values.items()})
                yield position, table, values

        newer = replace(adapter, version=version, events=renamed)
        monkeypatch.setitem(adapters.ADAPTERS, "trl_log_history", newer)

    return to


@pytest.fixture
def two_days(lake: LakeForTests) -> LakeForTests:
    lake.land("pairs.jsonl", PAIR, TODAY - timedelta(days=1))
    lake.run(TODAY - timedelta(days=1))
    lake.land("a/logs.jsonl", LOG)
    lake.land("b/pairs.jsonl", PAIR)
    lake.run()
    assert {row["source_format"] for row in lake.rows("training_metrics")} == {"trl_log_history"}
    return lake


def version(lake: LakeForTests, table: str, at: int | None = None) -> set[tuple[object, ...]]:
    """(metric, adapter version, event id, attempt) in a version of a table, by an engine that is not ours."""
    found = DeltaTable(str(EVENTS[table].uri(lake.places)), version=at)
    rows = found.to_pyarrow_table(columns=["metric", "adapter_version", "event_id", "attempt"]).to_pylist()
    assert len(rows) == len({tuple(row.values()) for row in rows})
    return {tuple(row.values()) for row in rows}


def derive(lake: LakeForTests) -> dict[str, int]:
    return derive_events(lake.lake, lake.entropy, passphrase=None)


def landed(lake: LakeForTests) -> dict[str, list[bytes]]:
    folder = lake.places.landing / "runs"
    return {path.relative_to(folder).as_posix(): [path.read_bytes()] for path in folder.rglob("*") if path.is_file()}


def test_older_records_are_derived_again_and_both_versions_are_on_record(
    two_days: LakeForTests, upgrade: Upgrade
) -> None:
    before = version(two_days, "training_metrics")
    at = DeltaTable(str(EVENTS["training_metrics"].uri(two_days.places))).version()

    upgrade(9)
    two_days.run()

    after = version(two_days, "training_metrics")
    assert after == {(f"{metric} by 9", "9", event, attempt) for metric, _, event, attempt in before}
    assert version(two_days, "training_metrics", at) == before
    assert len(two_days.rows("annotations")) == 2, "what another adapter made is there once"
    check_whole(two_days, landed(two_days))
    people = load_person_keys(two_days.places.keys, None)
    found = two_days.verify(people=people)
    assert found.problems == ()
    assert not [note for note in found.notes if "derived again" in note]


def test_what_was_derived_before_the_older_version_came_stays(two_days: LakeForTests, upgrade: Upgrade) -> None:
    upgrade(9)
    derive(two_days)

    names = two_days.lake.open(EVENTS["annotations"]).active_files()
    assert names == ["1.parquet", "2-1.parquet"]


def test_once_is_enough(two_days: LakeForTests, upgrade: Upgrade) -> None:
    upgrade(9)
    derive(two_days)
    before = {name: two_days.lake.open(table).version for name, table in EVENTS.items()}

    derive(two_days)

    assert {name: two_days.lake.open(table).version for name, table in EVENTS.items()} == before


def test_again_and_again(two_days: LakeForTests, upgrade: Upgrade) -> None:
    for number in (7, 8, 9):
        upgrade(number)
        two_days.land(f"{number}/logs.jsonl", LOG)
        two_days.run()

    assert {name for _, name, _, _ in version(two_days, "training_metrics")} == {"9"}
    check_whole(two_days, landed(two_days))
    assert two_days.verify(people=load_person_keys(two_days.places.keys, None)).problems == ()


@pytest.mark.parametrize("behind", ["training_metrics", "log_findings", "runs"])
def test_a_crash_between_two_tables_is_made_good(two_days: LakeForTests, upgrade: Upgrade, behind: str) -> None:
    upgrade(9)
    derive(two_days)
    expected = version(two_days, "training_metrics")
    newest = max((EVENTS[behind].uri(two_days.places) / "_delta_log").glob("*.json"))
    newest.unlink()
    assert two_days.verify().problems == (), "a run that died is no forgery"

    two_days.run()

    assert version(two_days, "training_metrics") == expected
    check_whole(two_days, landed(two_days))


def test_attempts_are_counted_anew(two_days: LakeForTests, upgrade: Upgrade) -> None:
    """The same steps, logged again in a later source of the run: its rows come after the ones derived again."""
    two_days.land("a/trainer/logs.jsonl", LOG)
    two_days.run()
    upgrade(9)
    two_days.run()

    assert two_days.verify(people=load_person_keys(two_days.places.keys, None)).problems == ()


def test_an_older_version_is_refused(two_days: LakeForTests, upgrade: Upgrade) -> None:
    upgrade(9)
    derive(two_days)
    upgrade(8)

    with pytest.raises(
        InputError, match=r"derived by version 9 of trl_log_history, here is version 8; install"
    ) as refusal:
        derive(two_days)

    assert "\n" not in str(refusal.value)


def test_files_that_were_replaced_are_still_protected(two_days: LakeForTests, upgrade: Upgrade) -> None:
    upgrade(9)
    two_days.run()
    path = EVENTS["training_metrics"].uri(two_days.places) / "2.parquet"
    assert pq.read_metadata(path).num_rows

    path.unlink()

    assert any("2.parquet" in problem.message for problem in two_days.verify().problems)


def test_a_checkpoint_after_it_says_the_same(two_days: LakeForTests, upgrade: Upgrade) -> None:
    upgrade(9)
    for number in range(10):
        two_days.land(f"{number}/logs.jsonl", LOG)
        two_days.run()

    log = EVENTS["training_metrics"].uri(two_days.places) / "_delta_log"
    assert list(log.glob("*.checkpoint.parquet"))
    assert two_days.verify().problems == ()


HIDING = {
    "an early file alone": Commit(0, AGAIN_APP, 1, (), replaced=("1.parquet",)),
    "another round": Commit(0, AGAIN_APP, 2, (), replaced=("1.parquet", "2.parquet")),
    "as if it were new": Commit(0, DERIVE_APP, 3, (), replaced=("1.parquet", "2.parquet")),
    "a file that is not there": Commit(0, AGAIN_APP, 1, (), replaced=("3.parquet",)),
}


@pytest.mark.parametrize("commit", HIDING.values(), ids=HIDING.keys())
def test_a_commit_that_hides_rows_is_no_such_round(two_days: LakeForTests, commit: Commit) -> None:
    two_days.land("c/pairs.jsonl", PAIR)
    two_days.ingest()
    table = two_days.lake.open(EVENTS["annotations"])
    table.files.put_new(commit_file(table.version + 1), format_commit(commit))

    messages = [problem.message for problem in two_days.verify().problems]

    assert any("not what a run of ours commits there" in message for message in messages)


def test_a_planted_round_is_found_by_deriving_again(two_days: LakeForTests) -> None:
    """In our form, between two runs: the next one lists it, and only the records say that rows are missing."""
    table = two_days.lake.open(EVENTS["annotations"])
    hidden = Commit(0, AGAIN_APP, 1, (), replaced=tuple(table.active_files()))
    table.files.put_new(commit_file(table.version + 1), format_commit(hidden))
    two_days.land("c/pairs.jsonl", PAIR)
    two_days.run()
    assert len(two_days.rows("annotations")) == 1

    found = two_days.verify(people=load_person_keys(two_days.places.keys, None))

    assert [problem.message for problem in found.problems] == [
        f"{n}.parquet: not there, though commit {n} of `records` gives events" for n in (1, 2)
    ]
