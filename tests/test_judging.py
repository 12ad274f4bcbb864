"""A day judged on a real lake: kept once, judged again only for a reason, sealed like everything else."""

import json
import re
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from audit_pipeline.audit_trail import take_in_audit_rows
from audit_pipeline.judging import JudgedDay, blocking_failures, judge_day, write_page
from audit_pipeline.lake.audit_rows import append_rows, audit_file
from audit_pipeline.lake.declared import QUALITY_FINDINGS
from audit_pipeline.lake.objects import Folder
from audit_pipeline.policy.suites import load_suites
from audit_pipeline.quality.findings import Finding, Waiver
from audit_pipeline.quality.suites import Suite
from audit_pipeline.records.events import EVENT_SCHEMAS
from tests.lakes import TODAY, LakeForTests

SUITE = {
    "name": "policy_updates",
    "expectations": [
        {
            "type": "unexpected_rows_expectation",
            "kwargs": {
                "unexpected_rows_query": "SELECT event_id FROM {batch} "
                "WHERE loss = 0 AND list_contains(not_finite, 'grad_norm')"
            },
            "description": "No loss of exactly 0.0 stands beside a gradient that is NaN.",
            "meta": {"audit": {"name": "divergence_hidden", "blocking": True}},
        },
        {
            "type": "expect_table_row_count_to_be_between",
            "kwargs": {
                "min_value": {"$PARAMETER": "usual_volume / 2"},
                "max_value": {"$PARAMETER": "usual_volume * 2"},
            },
            "severity": "warning",
            "meta": {"audit": {"name": "volume", "past": {"days": 5, "at_least": 3}}},
        },
    ],
}


@pytest.fixture
def suites(tmp_path: Path) -> tuple[Suite, ...]:
    folder = tmp_path / "expectations"
    folder.mkdir()
    (folder / "policy_updates.json").write_text(json.dumps(SUITE))
    return load_suites(folder, EVENT_SCHEMAS)


def history(*entries: tuple[float, str]) -> bytes:
    """A log history of (loss, gradient norm) at each step, as a callback of transformers writes it."""
    lines = (
        f'{{"loss": {loss}, "grad_norm": {norm}, "learning_rate": 1e-05, "epoch": 0.1, "step": {step}}}\n'
        for step, (loss, norm) in enumerate(entries, start=1)
    )
    return "".join(lines).encode()


SOUND = history((0.7, "1.5"), (0.6, "1.4"), (0.5, "1.3"))
DIVERGED = history((0.7, "1.5"), (0.0, "NaN"), (0.5, "1.3"))


def land_and_judge(
    made: LakeForTests, suites: tuple[Suite, ...], content: bytes | None, day: date = TODAY, *waivers: Waiver
) -> JudgedDay:
    if content is not None:
        made.land(f"trl/{len(content)}/log_history.jsonl", content, day)
    made.run(day)
    return judge(made, suites, day, *waivers)


def judge(made: LakeForTests, suites: tuple[Suite, ...], day: date = TODAY, *waivers: Waiver) -> JudgedDay:
    return judge_day(made.lake, day, suites, waivers, now=lambda: made.now, entropy=made.entropy)


def states(judged: JudgedDay) -> dict[str, str]:
    return {one.expectation.name: one.state for one in judged.findings}


def of(judged: JudgedDay, name: str) -> Finding:
    (found,) = [one for one in judged.findings if one.expectation.name == name]
    return found


def test_a_hidden_divergence_is_found_and_its_row_named(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    judged = land_and_judge(lake, suites, DIVERGED)

    finding = of(judged, "divergence_hidden")
    (bad,) = [row for row in lake.rows("policy_updates") if row["loss"] == 0]
    assert (finding.state, finding.failing, finding.rows) == ("failed", 1, 3)
    assert finding.sample == (bad["event_id"],)
    assert blocking_failures(lake.lake, TODAY, TODAY) == [(TODAY, "policy_updates", "divergence_hidden")]


def test_findings_are_rows_of_a_delta_table(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    land_and_judge(lake, suites, DIVERGED)

    opened = lake.lake.open(QUALITY_FINDINGS)
    rows = {row["expectation"]: row for row in opened.read(QUALITY_FINDINGS.schema.names, TODAY).to_pylist()}
    row = rows["divergence_hidden"]
    assert (row["day"], row["judged_table"], row["state"], row["failing"]) == (TODAY, "policy_updates", "failed", 1)
    assert (row["severity"], row["is_blocking"], row["round"], row["rows"]) == ("critical", True, 1, 3)
    assert json.loads(row["expected"]) == SUITE["expectations"][0]["kwargs"]  # type: ignore[index]


def test_a_day_that_is_judged_again_writes_nothing(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    first = land_and_judge(lake, suites, DIVERGED)
    before = lake.files()
    lake.now += timedelta(hours=1)

    again = judge(lake, suites)

    assert lake.files() == before
    assert (first.is_new, again.is_new, again.round) == (True, False, 1)
    assert again.findings == first.findings
    assert again.judged_at == first.judged_at


def test_late_rows_are_judged_and_the_newest_judgement_counts(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    land_and_judge(lake, suites, SOUND)
    assert blocking_failures(lake.lake, TODAY, TODAY) == []

    late = land_and_judge(lake, suites, DIVERGED)

    assert (late.is_new, late.round, states(late)["divergence_hidden"]) == (True, 2, "failed")
    assert blocking_failures(lake.lake, TODAY, TODAY) == [(TODAY, "policy_updates", "divergence_hidden")]


def test_a_planted_judgement_that_outranks_all_is_found_and_hides_nothing_for_good(
    lake: LakeForTests, suites: tuple[Suite, ...]
) -> None:
    land_and_judge(lake, suites, SOUND)
    table = lake.lake.open(QUALITY_FINDINGS)
    rows = table.read(QUALITY_FINDINGS.schema.names, TODAY)
    planted = rows.set_column(rows.schema.names.index("round"), "round", pa.array([10**9] * len(rows), pa.int64()))
    assert append_rows(table, f"quality/{TODAY}", 1, planted.cast(QUALITY_FINDINGS.schema), lake.now, bytes(32))

    found = [problem.message for problem in lake.verify().problems]
    land_and_judge(lake, suites, DIVERGED)

    assert any("is not judgement 2 of its day" in message for message in found)
    assert blocking_failures(lake.lake, TODAY, TODAY) == [(TODAY, "policy_updates", "divergence_hidden")]


def test_another_days_rows_leave_a_judgement_as_it_is(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    yesterday = TODAY - timedelta(days=1)
    land_and_judge(lake, suites, DIVERGED, yesterday)
    land_and_judge(lake, suites, SOUND)

    again = judge(lake, suites, yesterday)

    assert (again.is_new, states(again)["divergence_hidden"]) == (False, "failed")


def test_a_suite_that_changed_judges_again(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    land_and_judge(lake, suites, SOUND)

    again = judge(lake, (replace(suites[0], digest="cd" * 32),))

    assert (again.is_new, again.round) == (True, 2)


def waiver(until: date) -> Waiver:
    return Waiver("policy_updates", "divergence_hidden", "Ada", "a known bad node", until)


def test_a_waived_failure_is_waived_not_passed_and_holds_nothing_back(
    lake: LakeForTests, suites: tuple[Suite, ...]
) -> None:
    judged = land_and_judge(lake, suites, DIVERGED, TODAY, waiver(TODAY))

    finding = of(judged, "divergence_hidden")
    assert finding.state == "waived"
    assert finding.reason == f"waived until {TODAY} by Ada: a known bad node"
    assert blocking_failures(lake.lake, TODAY, TODAY) == []


def test_a_waiver_ends_with_its_last_day(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    land_and_judge(lake, suites, DIVERGED, TODAY, waiver(TODAY))
    lake.now += timedelta(days=1)

    again = judge(lake, suites, TODAY, waiver(TODAY))

    assert (again.is_new, states(again)["divergence_hidden"]) == (True, "failed")


def test_volume_is_compared_with_the_days_before_once_there_are_enough(
    lake: LakeForTests, suites: tuple[Suite, ...]
) -> None:
    days = [TODAY - timedelta(days=n) for n in (4, 3, 2, 1)]
    found = [states(land_and_judge(lake, suites, SOUND, day))["volume"] for day in days]
    many = land_and_judge(lake, suites, history(*[(0.5, "1.0")] * 7))

    assert found == ["not_judged", "not_judged", "not_judged", "passed"]
    assert (of(many, "volume").state, of(many, "volume").observed) == ("failed", "7")


def test_what_a_run_left_that_died_before_its_commit_is_what_counts(
    lake: LakeForTests, suites: tuple[Suite, ...]
) -> None:
    """The file is the intent: the next run commits it, and goes on from it."""
    first = land_and_judge(lake, suites, DIVERGED)
    folder = lake.places.lake / "audit/quality_findings"
    left = (folder / audit_file(f"quality/{TODAY}", 1)).read_bytes()
    (folder / "_delta_log/00000000000000000001.json").unlink()
    lake.now += timedelta(hours=1)

    again = judge(lake, suites)

    assert (folder / audit_file(f"quality/{TODAY}", 1)).read_bytes() == left
    assert (again.is_new, again.round, again.judged_at) == (False, 1, first.judged_at)
    assert lake.lake.open(QUALITY_FINDINGS).read(["day"]).num_rows == len(first.findings)


def test_findings_are_sealed_and_verified_like_everything_else(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    judged = land_and_judge(lake, suites, DIVERGED)

    taken = take_in_audit_rows(lake.lake, TODAY, now=lambda: lake.now, entropy=lake.entropy)
    lake.seal(TODAY)
    lake.take_inventory()

    assert taken is not None
    assert taken.records == len(judged.findings)
    found = lake.verify()
    assert (found.problems, found.unsealed_records) == ((), 0)


def test_a_changed_finding_is_found_by_verify(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    land_and_judge(lake, suites, DIVERGED)
    take_in_audit_rows(lake.lake, TODAY, now=lambda: lake.now, entropy=lake.entropy)
    lake.seal(TODAY)
    lake.take_inventory()
    path = lake.places.lake / "audit/quality_findings" / audit_file(f"quality/{TODAY}", 1)

    path.write_bytes(path.read_bytes().replace(b"failed", b"passed"))

    assert "quality_findings" in {problem.table for problem in lake.verify().problems}


def test_nothing_that_is_kept_of_a_judgement_has_contents_of_rows(lake: LakeForTests, tmp_path: Path) -> None:
    """Great Expectations' own results do; here every expectation fails on a text and on a name of a person."""
    secret = "unmistakablesecret"
    kinds = [
        ("expect_column_values_to_be_in_set", {"column": "completion_text", "value_set": ["x"]}),
        ("expect_column_values_to_be_unique", {"column": "prompt_text"}),
        ("expect_column_distinct_values_to_be_in_set", {"column": "prompt_text", "value_set": ["x"]}),
        ("expect_column_most_common_value_to_be_in_set", {"column": "completion_text", "value_set": ["x"]}),
        ("expect_column_max_to_be_between", {"column": "completion_text", "max_value": 1}),
        ("expect_column_value_lengths_to_be_between", {"column": "completion_text", "max_value": 1}),
        ("expect_column_pair_values_to_be_equal", {"column_A": "prompt_text", "column_B": "completion_text"}),
        ("expect_compound_columns_to_be_unique", {"column_list": ["prompt_text", "split"]}),
        (
            "unexpected_rows_expectation",
            {"unexpected_rows_query": "SELECT event_id, split FROM {batch} WHERE completion_text::DOUBLE > 1"},
        ),
        ("unexpected_rows_expectation", {"unexpected_rows_query": "SELECT event_id, completion_text FROM {batch}"}),
    ]
    folder = tmp_path / "secret"
    folder.mkdir()
    expectations = [
        {"type": kind, "kwargs": kwargs, "meta": {"audit": {"name": f"e{at}"}}}
        for at, (kind, kwargs) in enumerate(kinds)
    ]
    (folder / "generations.json").write_text(json.dumps({"name": "generations", "expectations": expectations}))
    lines = [{"input": f"{secret} p", "output": f"{secret} o", "score": 1.0, "step": 1} for _ in range(3)]
    lake.land("verl/rollouts/1.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    lake.run()

    judged = judge_day(
        lake.lake, TODAY, load_suites(folder, EVENT_SCHEMAS), (), now=lambda: lake.now, entropy=lake.entropy
    )
    write_page(lake.lake, judged)

    assert {one.state for one in judged.findings} <= {"failed", "error"}
    assert len(judged.findings) == len(kinds)
    rows = lake.lake.open(QUALITY_FINDINGS).read(QUALITY_FINDINGS.schema.names, TODAY).to_pylist()
    kept = [str(rows), str(judged), (Folder(lake.places.reports).get(judged.page) or b"").decode()]
    assert [secret in one for one in kept] == [False, False, False]


def test_the_page_is_one_file_that_names_what_fails(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    judged = land_and_judge(lake, suites, DIVERGED)

    write_page(lake.lake, judged)

    page = (Folder(lake.places.reports).get(f"quality/{TODAY}.html") or b"").decode()
    assert f"<title>Data quality, {TODAY}</title>" in page
    assert "No loss of exactly 0.0 stands beside a gradient that is NaN." in page
    assert of(judged, "divergence_hidden").sample[0] in page
    assert "Reports of this day wait" in page
    assert re.findall(r"(?:src|href)=|https?:|url\(|@import", page) == []


def test_the_page_is_written_again_only_when_it_says_something_else(
    lake: LakeForTests, suites: tuple[Suite, ...]
) -> None:
    write_page(lake.lake, land_and_judge(lake, suites, DIVERGED))
    path = lake.places.reports / "quality" / f"{TODAY}.html"
    before = path.stat().st_ino

    write_page(lake.lake, judge(lake, suites))

    assert path.stat().st_ino == before


def test_a_page_escapes_what_suites_say(lake: LakeForTests, suites: tuple[Suite, ...]) -> None:
    first, *others = suites[0].expectations
    odd = replace(suites[0], expectations=(replace(first, description="<script>alert(1)</script>"), *others))

    write_page(lake.lake, land_and_judge(lake, (odd,), DIVERGED))

    page = (Folder(lake.places.reports).get(f"quality/{TODAY}.html") or b"").decode()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
