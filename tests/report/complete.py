"""Evidence under which every control passes: a month of a small organisation that does everything that is asked.

Rows are made up. Tables are filled directly, so that a mutation reaches exactly one of them.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from audit_pipeline.report.catalogue import load_catalogue
from audit_pipeline.report.evidence import create_tables, evidence_tables, open_database
from audit_pipeline.report.facts import DayEvidence, Finding, Period
from audit_pipeline.report.judging import Judge, days_of, read_scope

PERIOD = Period(date(2026, 10, 1), date(2026, 10, 31))
DAYS = days_of(PERIOD)
HALF_YEAR = [date(2026, 4, 1) + timedelta(days=n) for n in range(214)]
"""Of which a log of six months is made; it ends with the period."""


def at(day: date, hour: int = 12) -> datetime:
    return datetime.combine(day, time()) + timedelta(hours=hour)


SPRING, AUTUMN, NEXT_YEAR = at(date(2026, 3, 1), 0), at(date(2026, 9, 1), 0), at(date(2027, 9, 1), 0)
DECADE = at(date(2037, 1, 1), 0)
ROLES = "gpai_provider,gpai_systemic,high_risk_deployer,high_risk_provider"
YES_QUESTIONS = "personal_data generates_content dp_releases special_category_bias_work harmful_content_tasks"
KINDS = {"human": ("people", "2.6"), "ai_feedback": ("judges", "2.5"), "user_interaction": ("users", "2.4")}
DOCUMENTS = (
    "scope_statement risk_management_file label_construct_statement instructions_for_use qms_record_keeping "
    "annex_xii_pack "
    "copyright_policy data_curation_and_retention_policy dpia_annotation_processing training_content_summary "
    "model_documentation_form"
).split()
CHECKS = "volume completeness consistency uniqueness currentness validity poisoning synthetic_share".split()
DATASHEET = ["provenance", "scope", "characteristics", "selection", "labelling", "cleaning"]


def october(day: int, hour: int = 12) -> datetime:
    return at(date(2026, 10, day), hour)


def rows() -> dict[str, list[dict[str, Any]]]:
    """All rows, by table. What is not named is null."""
    judged = list(_annotations())
    totals = {kind: sum(row["source_kind"] == kind for row in judged) for kind in KINDS}
    return {
        "scope": [
            *({"key": "stratum", "value": value} for value in ("de", "en")),
            {"key": "role", "value": ROLES},
            {"key": "base_model_flops", "value": "1e24"},
            *({"key": key, "value": "yes"} for key in YES_QUESTIONS.split()),
        ],
        "documents": [
            *(document(key) for key in DOCUMENTS),
            *(
                document(key, version="0", review_due=october(1), superseded_at=AUTUMN)
                for key in DOCUMENTS
                if key != "model_documentation_form"
            ),
        ],
        "datasets": [
            {
                "dataset_id": name,
                "template_section": section,
                "source_kind": kind,
                "licence_id": "CC-BY-4.0",
                "card_sha256": "c" * 64,
                "card_fields": DATASHEET,
                "declared_rows": totals[kind],
                "purpose": "alignment",
                "created_at": SPRING,
            }
            for kind, (name, section) in KINDS.items()
        ],
        "annotations": judged,
        "annotation_totals": [
            {"dataset_id": name, "source_kind": kind, "n_rows": totals[kind]} for kind, (name, _) in KINDS.items()
        ],
        "instructions": [
            {
                "instruction_version": "v2",
                "task_id": "helpful",
                "text_sha256": "i" * 64,
                "effective_from": SPRING,
                "approved_by": "lead",
            }
        ],
        "annotators": [
            {
                "annotator_pid": f"p{n}",
                "pseudonym_key_id": "k",
                "onboarded_at": AUTUMN,
                "exposure_class": "high" if n == 0 else "low",
                "wellbeing_ref": "w-1" if n == 0 else None,
            }
            for n in range(3)
        ],
        "iaa_daily": [
            {
                "day": day,
                "task_id": "helpful",
                "metric": "alpha",
                "value": 0.6,
                "ci_low": 0.5,
                "ci_high": 0.7,
                "n_items": 20,
                "n_overlap": 4,
            }
            for day in DAYS
        ],
        "preference_stats": [
            *({"day": day, "task_id": "helpful", "slice": "de", "disparity": 0.02, "epsilon": 0.1} for day in DAYS),
            {"day": DAYS[3], "task_id": "helpful", "slice": "en", "disparity": -0.3, "epsilon": 0.1},
        ],
        "dq_plan": [
            {
                "check_id": "volume people",
                "dimension": "volume",
                "asset": "people",
                "cadence_days": 2,
                "active_from": DAYS[1],
            }
        ],
        "dq_results": [
            {
                "check_id": f"{check} {name}",
                "dimension": check,
                "asset": name,
                "day": day,
                "status": "fail" if is_odd(check, day) else "pass",
                "severity": "blocking",
                "observed": 1.0,
                "threshold": 0.9,
                "threshold_version": "3",
                "evaluated_at": at(day),
                "disposition_ref": "d-1" if is_odd(check, day) else None,
            }
            for day in DAYS
            for check in CHECKS
            for name, _ in KINDS.values()
        ]
        + [
            {
                "check_id": "advice",
                "dimension": "validity",
                "asset": "people",
                "day": DAYS[6],
                "status": "fail",
                "severity": "advice",
                "threshold": 0.9,
                "threshold_version": "3",
            }
        ],
        "runs": [
            {
                "run_id": "run",
                "started_at": october(6),
                "ended_at": october(7),
                "status": "completed",
                "algo": "grpo",
                "objective": "reward of helpfulness",
                "base_model_id": "base-7b",
                "base_model_sha256": "b" * 64,
                "config_ref": "record",
                "code_commit": "abc",
                "seed": 1,
                "train_flops": 1e18,
                "energy_kwh": 9.0,
                "energy_method": "metered",
                "operator_pid": "op",
                "change_note": "first",
            }
        ],
        "run_inputs": [
            # One of the days had a hit when it was screened, which was decided on.
            {"run_id": "run", "dataset_id": name, "root_day": day, "n_rows": 10}
            for name, _ in KINDS.values()
            for day in DAYS[4:6]
        ],
        "steps": [
            {
                "run_id": "run",
                "step": n,
                "ts": october(6) + timedelta(minutes=n),
                "reward_mean": 0.1,
                "kl": 0.01,
                "loss": 0.4,
            }
            for n in range(60)
        ],
        "checkpoints": [
            {
                "checkpoint_id": "ck",
                "run_id": "run",
                "step": 60,
                "sha256": "e" * 64,
                "parent_checkpoint_id": "base",
                "released": True,
                "released_at": october(20),
                "approved_by": "board",
                "model_version": "1",
            }
        ],
        "evals": [
            {
                "eval_id": suite,
                "checkpoint_id": "ck",
                "suite": suite,
                "metric": "score",
                "value": 0.8,
                "threshold": 0.7,
                "threshold_set_at": AUTUMN,
                "declared_value": 0.81,
                "evaluated_at": october(15),
                "signed_by": "qa",
                "report_sha256": "r" * 64,
            }
            for suite in ("declared_accuracy", "output_marking", "adversarial_prompts")
        ],
        "oversight_events": [
            {
                "event_id": "stop",
                "ts": october(6, 13),
                "kind": "stop",
                "actor_role": "oversight",
                "run_id": "run",
                "target": "run",
                "is_drill": True,
            },
            {
                "event_id": "release",
                "ts": october(19),
                "kind": "approve_release",
                "actor_role": "oversight",
                "run_id": "run",
                "target": "ck",
            },
        ],
        "privacy_budgets": [
            {
                "budget_id": "2026",
                "unit": "annotator-year",
                "max_epsilon": 5.0,
                "max_delta": 1e-6,
                "set_at": SPRING,
                "approved_by": "dpo",
            }
        ],
        "privacy_ledger": [
            {
                "entry_id": "1",
                "ts": october(8),
                "budget_id": "2026",
                "epsilon": 0.1,
                "delta": 1e-9,
                "cum_epsilon": 0.1,
                "cum_delta": 1e-9,
            }
        ],
        "published": [
            {"artifact_id": "a", "ts": october(8), "kind": "dp_statistic", "ledger_entry_id": "1", "sha256": "a" * 64}
        ],
        "roots": list(_roots()),
        "anchors": [
            {"day": day, "kind": "cosigned", "verified": True, "witness_time": at(day, 24)} for day in HALF_YEAR
        ],
        "verify_runs": [
            {"day": day, "log_size": 1000, "result": "ok", "verified_at": october(31, 23), "levels": "self-consistent"}
            for day in HALF_YEAR
        ],
        "key_events": [{"key_id": "key", "kind": "created", "ts": SPRING, "custodian": "security"}],
        "ingest_batches": [
            {
                "day": day,
                "stream": "runs",
                "sent": 21,
                "stored": 20,
                "duplicates": 1,
                "sequence_gaps": 0,
                "manual": False,
            }
            for day in DAYS
        ],
        "retention": list(_retention()),
        "erasures": [
            {
                "request_id": "q",
                "received_at": at(date(2026, 9, 15), 0),
                "decided_at": at(date(2026, 9, 16), 0),
                "completed_at": at(date(2026, 9, 20), 0),
                "decision": "granted",
                "method": "row_redacted",
                "residual_rows": 0,
                "proof_sha256": "p" * 64,
                "subject_informed_at": at(date(2026, 9, 20), 0),
            },
            {
                "request_id": "r",
                "received_at": at(date(2026, 9, 15), 0),
                "decision": "refused",
                "exemption_ref": "Art. 17(3)(b)",
                "subject_informed_at": at(date(2026, 9, 20), 0),
            },
        ],
        "access_log": [
            {
                "ts": october(9),
                "actor_pid": "u",
                "action": "read",
                "purpose": "review",
                "allowed": True,
                "object_class": kind,
            }
            for kind in ("annotation", "special_category")
        ]
        + [
            {
                "ts": october(9),
                "actor_pid": "v",
                "action": action,
                "purpose": purpose,
                "allowed": allowed,
                "object_class": kind,
            }
            for action, purpose, allowed, kind in (
                ("delete", "retention_job", True, "event_log"),
                ("read", "review", True, "event_log"),
                ("delete", "cleaning", False, "event_log"),
                ("delete", "cleaning", True, "scratch"),
                ("read", "review", False, "special_category"),
            )
        ],
        "access_grants": [
            {
                "actor_pid": "u",
                "object_class": kind,
                "granted_at": SPRING,
                "approved_by": "dpo",
                "reviewed_at": october(1),
            }
            for kind in ("annotation", "special_category")
        ],
        "alerts": [
            {
                "alert_id": "1",
                "ts": october(6),
                "severity": "high",
                "kind": "kl",
                "disposition": "tuned",
                "disposed_at": october(7),
                "risk_ref": "R-1",
            },
            {
                "alert_id": "2",
                "ts": october(1),
                "severity": "low",
                "kind": "disparity:helpful:en",
                "disposition": "more items",
                "disposed_at": october(9),
                "risk_ref": "R-2",
            },
        ],
        "incidents": [
            {
                "incident_id": "i",
                "aware_at": october(2),
                "art73_class": "other",
                "reported_at": october(8),
                "root_cause": "bug",
                "corrective_action_id": action,
                "regime": "gpai_systemic",
            }
            for action in ("c", "d")
        ],
        "corrective_actions": [
            {
                "action_id": "c",
                "opened_at": october(3),
                "due_at": october(20),
                "closed_at": october(10),
                "informed_parties": "deployers",
            },
            {"action_id": "d", "opened_at": october(3), "due_at": NEXT_YEAR, "informed_parties": "deployers"},
        ],
        "approved_versions": [{"code_version": "p1", "approved_at": SPRING, "approved_by": "board"}],
        "materializations": [
            {
                "asset": "daily_root",
                "ts": at(day, 26),
                "code_version": "p1",
                "approved_code_version": "p1",
                "input_versions": "root",
                "partition_key": day.isoformat(),
            }
            for day in DAYS
        ],
        "ropa": [
            {
                "column_name": "annotator_id",
                "table_name": "annotations",
                "personal": True,
                "purpose": purpose,
                "lawful_basis": "contract",
                "recipients": "none",
                "retention_class": "event_log",
            }
            for purpose in ("alignment", "bias_detection_art4a")
        ]
        + [
            {
                "column_name": "loss",
                "table_name": "policy_updates",
                "personal": False,
                "purpose": "alignment",
                "retention_class": "event_log",
            }
        ],
        "observed_columns": [
            {"column_name": "annotator_id", "table_name": "annotations", "personal_detected": True},
            {"column_name": "loss", "table_name": "policy_updates", "personal_detected": False},
        ],
        "monitors": [{"monitor_id": "m", "cadence_days": 7, "last_run_at": october(29), "owner": "ops"}],
        "clock_checks": [{"host": "h", "ts": october(9), "offset_ms": -4.0}],
        "report_renders": [
            {
                "report_id": "r",
                "rendered_at": october(30),
                "sha256": "s",
                "rerender_sha256": "s",
                "catalogue_sha256": "c",
                "catalogue_reviewed_at": AUTUMN,
            }
        ],
    }


def is_odd(check: str, day: date) -> bool:
    """Whether a check found something that day, which was decided on."""
    return check in ("poisoning", "uniqueness") and day == DAYS[4]


def document(key: str, **given: Any) -> dict[str, Any]:
    said = {
        "doc_key": key,
        "version": "1",
        "sha256": "d" * 64,
        "sealed_day": date(2026, 9, 2),
        "approved_by": "board",
        "valid_from": AUTUMN,
        "review_due": NEXT_YEAR,
    }
    return {**said, **given}


def _annotations() -> Iterator[dict[str, Any]]:
    for day in DAYS:
        for n in range(10):
            kind = ("human", "ai_feedback", "user_interaction")[(n >= 6) + (n >= 8)]
            yield {
                "event_ts": at(day, n),
                "ingested_at": at(day, n + 1),
                "day": day,
                "run_id": "run",
                "dataset_id": KINDS[kind][0],
                "task_id": "helpful",
                "item_id": f"{day}-{n}",
                "label": "a" if n % 2 else "b",
                "suggested_label": "a",
                "annotator_pid": f"p{n % 3}",
                "instruction_version": "v2",
                "source_kind": kind,
                "source_id": "s" * 64,
                "special_category": n == 0,
                "stratum": "de" if n % 2 else "en",
                "position": n,
                "ingest_method": "automatic",
            }


def _roots() -> Iterator[dict[str, Any]]:
    index = 0
    for day in HALF_YEAR:
        for segment in (1, 2):
            previous = f"entry {index - 1}" if segment == 2 else None
            yield {
                "log_index": index,
                "day": day,
                "segment": segment,
                "root_hash": f"root {index}",
                "entry_hash": f"entry {index}",
                "previous": previous,
                "key_id": "key",
                "signed_at": at(day, 24),
                "row_count": 10,
            }
            index += 1


def _retention() -> Iterator[dict[str, Any]]:
    kept = {
        "created_at": at(date(2026, 4, 1), 0),
        "keep_until": DECADE,
        "legal_hold": False,
        "readable_checked_at": october(30),
        "readable_ok": True,
    }
    yield {**kept, "object_id": "log", "object_class": "event_log"}
    yield {**kept, "object_id": "annex-iv", "object_class": "technical_documentation"}
    yield {**kept, "object_id": "deployer", "object_class": "deployer_log"}
    yield {**kept, "object_id": "special", "object_class": "special_category"}
    yield {**kept, "object_id": "model_documentation_form@1", "object_class": "technical_documentation"}
    yield {
        **kept,
        "object_id": "old log",
        "object_class": "event_log",
        "keep_until": october(15),
        "deleted_at": october(20),
    }
    yield {
        **kept,
        "object_id": "erased",
        "object_class": "other",
        "deleted_at": october(20),
        "delete_reason": "erasure_art17",
    }
    yield {
        **kept,
        "object_id": "held",
        "object_class": "other",
        "keep_until": october(1, 0) - timedelta(days=60),
        "legal_hold": True,
    }


def complete_database() -> duckdb.DuckDBPyConnection:
    """All tables, filled."""
    database = open_database()
    create_tables(database)
    for name, some in rows().items():
        schema = evidence_tables()[name].schema
        unknown = {key for row in some for key in row} - set(schema.names)
        assert not unknown, (name, unknown)
        database.register("new_rows", pa.Table.from_pylist(some, schema=schema))
        database.execute(f'INSERT INTO "{name}" FROM new_rows')
    return database


def sound_days(days: list[date] | None = None) -> dict[date, DayEvidence]:
    """Days that are sealed and were verified since."""
    verified = datetime(2026, 11, 1, tzinfo=UTC)
    return {day: DayEvidence(day, (), True, verified, None) for day in days or DAYS}


def judge_of(database: duckdb.DuckDBPyConnection, **given: Any) -> Judge:
    said = {
        "database": database,
        "period": PERIOD,
        "catalogue": load_catalogue(),
        "scope": read_scope(database, PERIOD),
        "days": sound_days(),
        "days_read": lambda table: frozenset(),
        "problems": {},
    }
    return Judge(**{**said, **given})


def judge_all(judge: Judge) -> dict[str, Finding]:
    return {control.id: judge.judge(control) for control in judge.catalogue.controls}
