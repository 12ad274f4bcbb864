"""From a real lake to a report: what is sealed and verified counts, and nothing else."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from audit_pipeline import tlog
from audit_pipeline.audit_trail import take_in_audit_rows
from audit_pipeline.check import check_report
from audit_pipeline.ingest import ingest_day
from audit_pipeline.lake.audit_rows import append_rows
from audit_pipeline.lake.declared import CONTROL_FINDINGS, REPORTS, VERIFICATIONS
from audit_pipeline.report.catalogue import load_catalogue
from audit_pipeline.report.evidence import Evidence, fill, open_database
from audit_pipeline.report.facts import FAIL, NOT_APPLICABLE, NOT_EVIDENCED, PASS, Facts, Period
from audit_pipeline.report.judging import Scope, read_scope
from audit_pipeline.reporting.judged import ReportPolicy
from audit_pipeline.reporting.making import MadeReport, make_report
from audit_pipeline.reporting.period import judge_verified
from audit_pipeline.reporting.reading import read_period
from audit_pipeline.reporting.recorded import record_findings
from audit_pipeline.signers import signer_in_force
from audit_pipeline.sources.landing import Stream
from audit_pipeline.tlog.trust import Trust
from audit_pipeline.verify import verify
from tests.lakes import RUNS, TODAY, LakeForTests, rewrite

PERIOD = Period(TODAY, TODAY)
POLICY = ReportPolicy(load_catalogue(), "Tests")
REGISTERS = {
    "scope.yaml": """\
- {key: role, value: high_risk_provider}
- {key: personal_data, value: no}
- {key: generates_content, value: no}
- {key: dp_releases, value: no}
- {key: special_category_bias_work, value: no}
- {key: harmful_content_tasks, value: no}
- {key: base_model_flops, value: "1e23"}
""",
    "documents.csv": """\
doc_key,version,sha256,file,approved_by,valid_from,review_due,superseded_at
scope_statement,1,,scope.yaml,board,2026-01-01,2027-01-01,
risk_management_file,1,,files/risk.pdf,board,2026-01-01T00:00:00+01:00,2027-01-01,
qms_record_keeping,1,,files/not-landed.pdf,board,2026-01-01,2027-01-01,
""",
    "files/risk.pdf": "%PDF-1.4 \0 a document",
    "clock_checks.json": '[{"host": "h", "ts": "2026-03-05T10:00:00Z", "offset_ms": -3}]',
    "ingest_batches.jsonl": '{"day": "2026-03-05", "stream": "runs", "sent": 2, "sequence_gaps": 0}\n',
    "key_events/first.yaml": "- {key_id: KEY, kind: created, ts: 2026-01-01, custodian: security}\n",
    "collections.csv": "stream,path_prefix,dataset_id,ingest_method,instruction_version\nruns,,people,automatic,v1\n",
    "instructions.yaml": "- {instruction_version: v1, task_id: q, text_sha256: aa, approved_by: lead}\n",
    "datasets.json": '[{"dataset_id": "people", "purpose": "alignment", "card_fields": ["scope"]}]',
}


@pytest.fixture
def home(tmp_path: Path) -> LakeForTests:
    return LakeForTests(tmp_path, streams=[RUNS, Stream("registers", "registers/**")])


def supply(home: LakeForTests, name: str, text: str) -> None:
    path = home.places.landing / "registers" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def supply_all(home: LakeForTests) -> None:
    home.land("a.jsonl", b'{"a": 1}\n{"a": 2}\n')
    key = tlog.parse_vkey(home.lake.vkey).key_id.hex()
    for name, text in REGISTERS.items():
        supply(home, name, text.replace("KEY", f'"{key}"'))


def judge(home: LakeForTests, period: Period = PERIOD) -> Facts:
    """Verified in this process: another one takes seconds to start."""
    return judge_verified(home.lake, period, POLICY, now=lambda: home.now, entropy=home.entropy, verifying=verify)


def scope_of(evidence: Evidence) -> Scope:
    with open_database() as database:
        fill(database, evidence)
        return read_scope(database, PERIOD)


def statuses(facts: Facts) -> dict[str, str]:
    return {finding.control.id: finding.status for finding in facts.findings}


def make(home: LakeForTests, facts: Facts) -> MadeReport:
    signer = signer_in_force(home.lake, None)
    return make_report(home.lake, facts, ["html", "oscal"], signer, TODAY, now=lambda: home.now, entropy=home.entropy)


def test_a_new_lake_gives_75_not_evidenced_and_writes_nothing(home: LakeForTests) -> None:
    facts = judge(home)

    assert facts.counts() == {PASS: 0, FAIL: 0, NOT_EVIDENCED: 75, NOT_APPLICABLE: 0}
    assert facts.no_reliance is None
    assert home.files() == {}


def test_what_is_supplied_sealed_and_verified_passes(home: LakeForTests) -> None:
    supply_all(home)
    home.run()

    found = statuses(judge(home))

    passed = {id_ for id_, status in found.items() if status == PASS}
    assert passed == {
        "INT-01",
        "INT-02",
        "INT-04",
        "INT-05",
        "SCP-01",
        "EUA-09-02",
        "EUA-10-03",
        "ISO27-817",
        "SOC2-PI1",
    }
    assert {found["GDPR-17-01"], found["EUA-53-01"]} == {NOT_APPLICABLE}
    assert found["EUA-17-02"] == FAIL  # a document that is registered and was never landed


def tamper_with_registers(home: LakeForTests) -> None:
    """The register that names a document that never landed names one that did."""

    def change(rows: pa.Table) -> pa.Table:
        records = [record.replace(b"files/not-landed.pdf", b"files/risk.pdf") for record in rows["record"].to_pylist()]
        at = rows.schema.names.index("record")
        return rows.set_column(at, "record", pa.array(records, rows.schema.field("record").type))

    changed = [
        path
        for path in (home.places.lake / "restricted/records/registers").rglob("*.parquet")
        if any(b"not-landed" in record for record in pq.read_table(path, partitioning=None)["record"].to_pylist())
    ]
    assert changed
    for path in changed:
        rewrite(path, change)


def test_rows_of_a_day_before_the_period_are_verified_where_they_are_read(home: LakeForTests) -> None:
    day_before = TODAY - timedelta(days=1)
    supply_all(home)
    home.now -= timedelta(days=1)
    registers = [Stream("registers", "registers/**")]
    ingest_day(home.lake, registers, day_before, today=day_before, now=lambda: home.now, entropy=home.entropy)
    home.seal(day_before)
    home.now += timedelta(days=1)
    home.run()
    assert statuses(judge(home))["EUA-17-02"] == FAIL
    tamper_with_registers(home)

    facts = judge(home)

    assert facts.no_reliance is None, "of the period itself nothing was changed"
    assert statuses(facts)["EUA-17-02"] == NOT_EVIDENCED


def test_a_row_that_says_all_holds_does_not_overrule_the_verification_of_now(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    judge(home)
    tamper_with_registers(home)
    table = home.lake.open(VERIFICATIONS)
    good = table.read(VERIFICATIONS.schema.names).to_pylist()[-1]
    assert not good["problems"]
    planted = {**good, "verified_at": datetime(2999, 1, 1, tzinfo=UTC), "log_size": 10**6}
    rows = pa.Table.from_pylist([planted], schema=VERIFICATIONS.schema)
    assert append_rows(table, VERIFICATIONS.name, table.transaction(VERIFICATIONS.name), rows, home.now, bytes(32))

    assert judge(home).no_reliance is not None


def test_registers_that_are_not_sealed_yet_do_not_count(home: LakeForTests) -> None:
    home.land("a.jsonl", b"{}\n")
    home.run()
    supply_all(home)
    home.ingest()

    found = judge(home)

    assert statuses(found)["ISO27-817"] == NOT_EVIDENCED
    assert found.scope == ()


def test_a_register_counts_as_its_newest_generation_says(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    supply(home, "clock_checks.json", '[{"host": "h", "ts": "2026-03-05T10:00:00Z", "offset_ms": -3000}]')
    home.run()

    assert statuses(judge(home))["ISO27-817"] == FAIL


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("incidents.csv", "incident,aware_at\n1,2026-03-05\n", "no column 'incident'"),
        ("incidents.yaml", "- {incident_id: 1, aware_at: soon}\n", "'soon' is no TIMESTAMP"),
        ("incidents.yaml", "incident_id: 1\n", "expected a list of rows"),
        ("incidents.json", '[{"incident_id": "1"}, 3]', "expected rows of columns"),
        ("incidents.jsonl", '{"incident_id": "1"}\n{"incident\n', "cannot be read"),
        ("incidents.txt", "nothing\n", "write it as CSV"),
        ("incident.csv", "a\n1\n", "no register is called 'incident'"),
    ],
)
def test_a_register_that_cannot_be_read_is_named_and_evidences_nothing(
    home: LakeForTests, name: str, text: str, problem: str
) -> None:
    supply_all(home)
    supply(home, name, text)
    home.run()

    facts = judge(home)

    assert problem in dict(facts.register_problems).get("incidents", dict(facts.register_problems).get(name, ""))
    assert statuses(facts)["EUA-73-01"] == NOT_EVIDENCED


def test_tampering_gives_the_notice_and_no_finding_to_quote(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    path = next(home.places.lake.joinpath("restricted", "records").rglob("runs/*/*.parquet"))
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)

    facts = judge(home)
    made = make(home, facts)

    assert facts.no_reliance is not None
    assert {id_ for id_, status in statuses(facts).items() if status != NOT_EVIDENCED} == {"INT-02"}
    assert statuses(facts)["INT-02"] == FAIL
    page = (home.places.reports / made.report_id / "report.html").read_text()
    assert "Nothing in this period can be relied on" in page
    assert "Control matrix" not in page
    bundle = (home.places.reports / made.report_id / "report.zip").read_bytes()
    assert check_report(bundle, Trust((tlog.parse_vkey(home.lake.vkey),))).head is None


def test_after_a_repair_the_roots_match_again_and_what_failed_is_listed(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    path = next(home.places.lake.joinpath("restricted", "records").rglob("runs/*/*.parquet"))
    sound = path.read_bytes()
    path.write_bytes(sound[:-1])
    assert judge(home).no_reliance is not None

    path.write_bytes(sound)
    home.now += timedelta(minutes=5)
    facts = judge(home)

    assert facts.no_reliance is None
    assert statuses(facts)["INT-02"] == PASS
    (row,) = facts.tables["failed_verifications"].rows
    assert row[1:] == (str(TODAY), str(TODAY), "1", "yes")


def test_answers_that_changed_after_their_approval_put_nothing_out_of_scope(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    evidence = read_period(home.lake, PERIOD, "registers").evidence
    later = pa.array([TODAY + timedelta(days=1)] * evidence.registers["scope"].num_rows, pa.date32())
    changed = evidence.registers["scope"].drop_columns("_day").append_column("_day", later)

    approved = [
        scope_of(replace(evidence, registers={**evidence.registers, "scope": scope})).is_approved
        for scope in (evidence.registers["scope"], changed)
    ]

    assert approved == [True, False]


def test_a_document_that_changed_after_its_approval_is_not_the_one_on_file(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    evidence = read_period(home.lake, PERIOD, "registers").evidence
    sources = evidence.lake["sources"]
    is_risk = pc.equal(sources["path"], "files/risk.pdf")
    days = pc.if_else(is_risk, pa.scalar(TODAY + timedelta(days=1), pa.date32()), sources["day"])
    changed = sources.set_column(sources.schema.get_field_index("day"), "day", days)

    sealed = []
    for table in (sources, changed):
        with open_database() as database:
            fill(database, replace(evidence, lake={**evidence.lake, "sources": table}))
            sealed += database.execute(
                "SELECT sealed_day FROM documents WHERE doc_key = 'risk_management_file'"
            ).fetchall()

    assert sealed == [(TODAY,), (None,)]


def test_a_late_segment_is_no_gap_and_is_read_once_it_is_verified(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    home.land("late.jsonl", b'{"a": 3}\n')
    home.run()

    facts = judge(home)

    assert [segment.segment for segment in facts.days[0].segments] == [1, 2]
    assert statuses(facts)["INT-01"] == statuses(facts)["INT-02"] == PASS
    assert statuses(facts)["INT-04"] == FAIL  # the sender said two records, three are there


def test_a_day_of_the_period_without_a_seal_takes_every_other_pass(home: LakeForTests) -> None:
    supply_all(home)
    home.run()

    facts = judge(home, Period(TODAY - timedelta(days=1), TODAY))

    # What is sealed of it was recomputed; that a day is missing is INT-01's to say.
    assert [finding.control.id for finding in facts.of_status(PASS)] == ["INT-02"]
    assert {f.reason for f in facts.findings if f.control.id == "ISO27-817"} == {"unsealed"}


def test_the_same_lake_gives_the_same_report_and_adds_no_rows(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    first = judge(home)
    made = make(home, first)
    assert record_findings(home.lake, first, TODAY, now=lambda: home.now, entropy=home.entropy)
    home.now += timedelta(minutes=5)

    again = judge(home)

    assert again == first
    assert make(home, again) == MadeReport(made.report_id, made.files, is_new=False)
    assert not record_findings(home.lake, again, TODAY, now=lambda: home.now, entropy=home.entropy)
    assert home.lake.open(CONTROL_FINDINGS).version == home.lake.open(REPORTS).version == 1


def test_findings_and_reports_are_sealed_with_the_next_seal(home: LakeForTests) -> None:
    supply_all(home)
    home.run()
    facts = judge(home)
    make(home, facts)
    record_findings(home.lake, facts, TODAY, now=lambda: home.now, entropy=home.entropy)
    tomorrow = {"now": lambda: home.now, "entropy": home.entropy}
    assert statuses(facts)["INT-06"] == NOT_EVIDENCED

    home.land("b.jsonl", b"{}\n")
    home.ingest()
    taken = take_in_audit_rows(home.lake, TODAY, **tomorrow)  # type: ignore[arg-type]
    home.seal()
    home.take_inventory()

    assert taken is not None
    assert taken.records == 75 + 1 + 1  # findings, the report, the verification
    assert statuses(judge(home))["INT-06"] == PASS
    assert home.verify().problems == ()


def test_the_bundle_is_checked_offline_and_says_which_days_are_in_the_log(home: LakeForTests) -> None:
    supply_all(home)
    home.run()

    made = make(home, judge(home))

    folder = home.places.reports / made.report_id
    checked = check_report((folder / "report.zip").read_bytes(), Trust((tlog.parse_vkey(home.lake.vkey),)))
    assert checked.days == (TODAY,)
    assert checked.head is not None
    assert checked.counts[PASS] == json.loads((folder / "report.json").read_text())["counts"][PASS] > 0
    assert checked.digests["report.html"] == made.files["report.html"]
