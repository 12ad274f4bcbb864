"""`verify --derive`: the event tables made again from the records, and compared with what is stored."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit_pipeline.formats import adapters
from audit_pipeline.lake.keys import load_person_keys
from audit_pipeline.records.pseudonyms import PersonKeys
from audit_pipeline.verify import Verification
from audit_pipeline.verify.apart import verify_apart
from tests.lakes import LakeForTests

ROLLOUTS = b"".join(b'{"input":"q","output":"a","gts":null,"score":%d,"step":1,"acc":NaN}\n' % n for n in range(3))
PAIR = b'{"prompt":"mail a@b.example","chosen":"a","rejected":"b"}\n'


@pytest.fixture
def derived(lake: LakeForTests) -> LakeForTests:
    lake.land("rollouts/1.jsonl", ROLLOUTS)
    lake.land("pairs.jsonl", PAIR)
    lake.run()
    return lake


def again(lake: LakeForTests) -> Verification:
    return lake.verify(people=load_person_keys(lake.places.keys, None))


def stored(lake: LakeForTests, table: str) -> Path:
    (path,) = (lake.places.lake / "restricted" / table).glob("*.parquet")
    return path


def derive_problems(lake: LakeForTests) -> list[tuple[str, str]]:
    """What only `--derive` finds; changed bytes are found without it."""
    before = {problem.message for problem in lake.verify().problems}
    return [(p.table, p.message) for p in again(lake).problems if p.message not in before]


def test_what_was_derived_is_derived_again(derived: LakeForTests) -> None:
    found = again(derived)

    assert found.problems == ()
    assert not [note for note in found.notes if "derived" in note or "event tables" in note]
    assert derived.rows("log_findings"), "there is something withheld, so findings are compared as well"


CHANGES: dict[str, Callable[[pa.Table], pa.Table]] = {
    "a score": lambda rows: rows.set_column(
        rows.schema.get_field_index("score"), "score", pa.array([9.0] * rows.num_rows)
    ),
    "a row less": lambda rows: rows.slice(1),
    "a row twice": lambda rows: pa.concat_tables([rows, rows.slice(0, 1)]),
    "another order": lambda rows: rows.take(list(reversed(range(rows.num_rows)))),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_rows_that_do_not_follow_from_the_records_are_found(
    derived: LakeForTests, change: Callable[[pa.Table], pa.Table]
) -> None:
    path = stored(derived, "reward_scores")
    metadata = pq.read_metadata(path).metadata
    rows = change(pq.read_table(path, partitioning=None))
    pq.write_table(rows.replace_schema_metadata({**(rows.schema.metadata or {}), **metadata}), path)

    assert derive_problems(derived) == [("reward_scores", f"{path}: its rows are not those that the records give")]


def test_events_under_other_keys_are_found(derived: LakeForTests) -> None:
    other = derived.verify(people=PersonKeys(b"x" * 32, b"y" * 32))

    assert {problem.table for problem in other.problems} == {"annotations"}


def test_commits_that_are_not_derived_yet_are_a_note(derived: LakeForTests) -> None:
    derived.land("rollouts/2.jsonl", ROLLOUTS)
    derived.ingest()

    found = again(derived)

    assert found.problems == ()
    assert "1 commits of `records` are not in the event tables yet: run the day again" in found.notes


def test_events_of_another_version_of_an_adapter_are_not_compared(
    derived: LakeForTests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tables name the version that made them; this one says that it has another."""
    newer = replace(adapters.ADAPTERS["verl_rollouts"], version=999)
    monkeypatch.setitem(adapters.ADAPTERS, "verl_rollouts", newer)

    found = again(derived)

    assert found.problems == ()
    assert any(
        note.startswith("not derived again, for other versions made them: verl_rollouts:") for note in found.notes
    )


def test_the_child_process_derives_again_as_well(derived: LakeForTests) -> None:
    assert verify_apart(derived.lake, people=load_person_keys(derived.places.keys, None)).problems == ()
    other = verify_apart(derived.lake, people=PersonKeys(b"x" * 32, b"y" * 32))
    assert {problem.table for problem in other.problems} == {"annotations"}


def test_non_finite_scores_are_equal_to_themselves(derived: LakeForTests) -> None:
    states = {row["score_state"] for row in derived.rows("reward_scores")}

    assert "nan" in states
    assert again(derived).problems == ()


def test_the_command_derives_again_and_needs_the_keys(derived: LakeForTests) -> None:
    from click.testing import CliRunner

    from audit_pipeline.cli import main
    from audit_pipeline.policy import init_project

    root = derived.root / "project"
    init_project(root)
    environ = {"AUDIT_POLICY": str(root), "AUDIT_HOME": str(derived.root)}
    (derived.root / "dagster").mkdir(exist_ok=True)

    shown = CliRunner().invoke(main, ["verify", "--derive", "--json"], env=environ)
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["holds"]

    (derived.places.keys / "pseudonym.pem").unlink()
    refused = CliRunner().invoke(main, ["verify", "--derive"], env=environ)
    assert refused.exit_code == 2
