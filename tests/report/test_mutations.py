"""Each table emptied and each column made null, for each control that reads it: no control may stay PASS.

A column that a query does not name cannot matter to it, and is left out. Those that are named and may be null are
listed here with the reason; a list that is too long fails as well.
"""

import random
import re
from collections.abc import Iterator

import pytest

from audit_pipeline.report.catalogue import Control, load_catalogue
from audit_pipeline.report.evidence import evidence_tables
from audit_pipeline.report.facts import PASS
from audit_pipeline.report.judging import Judge
from tests.report.complete import complete_database, judge_of

SAME_NAME = "the query names a column of another table that is called so too"
NOT_DELETED = "null says that it is not deleted, which is what is required"
IN_FORCE = "null says that it is still in force or granted; the fixture has what is required beside it"
MAY_STAY = {
    ("SCP-01", "documents", "superseded_at"): IN_FORCE,
    ("EUA-10-01", "datasets", "source_kind"): SAME_NAME,
    ("EUA-10-02", "instructions", "effective_to"): IN_FORCE,
    ("EUA-10-05", "dq_results", "dimension"): SAME_NAME,
    ("EUA-10-07", "documents", "superseded_at"): IN_FORCE,
    ("EUA-04A-01", "access_log", "purpose"): SAME_NAME,
    ("EUA-04A-01", "access_grants", "revoked_at"): IN_FORCE,
    ("EUA-04A-01", "retention", "deleted_at"): NOT_DELETED,
    ("EUA-04A-01", "retention", "legal_hold"): "null is read as no hold, which asks for more",
    ("EUA-12-02", "runs", "ended_at"): "a run may be going on for 30 days",
    ("EUA-14-03", "oversight_events", "run_id"): SAME_NAME,
    ("EUA-15-03", "runs", "status"): SAME_NAME,
    ("EUA-18-01", "retention", "deleted_at"): NOT_DELETED,
    ("EUA-19-01", "retention", "deleted_at"): NOT_DELETED,
    ("EUA-20-01", "incidents", "closed_at"): SAME_NAME,
    ("EUA-26-01", "retention", "deleted_at"): NOT_DELETED,
    ("EUA-53-06", "datasets", "source_kind"): SAME_NAME,
    ("EUA-53-06", "documents", "superseded_at"): IN_FORCE,
    ("GDPR-17-01", "erasures", "extended_reason"): "no extension was needed: all were answered within a month",
    ("ISO27-533", "retention", "deleted_at"): NOT_DELETED,
    ("SOC2-CC61", "access_grants", "revoked_at"): IN_FORCE,
    ("NIST-MG-43", "alerts", "resolved_at"): "null says that what it was about is not gone, which asks for more",
}
SAMPLE = 60
EMPTIED = "*"

Mutation = tuple[Control, str, str]


def mutations() -> Iterator[Mutation]:
    for control in load_catalogue().controls:
        for table in control.tables:
            yield control, table, EMPTIED
            for column in evidence_tables()[table].columns:
                if re.search(rf"\b{column}\b", control.query) or (table == "scope" and control.scope_key()):
                    yield control, table, column


def stays_pass(judge: Judge, mutation: Mutation) -> bool:
    control, table, column = mutation
    change = f'DELETE FROM "{table}"' if column == EMPTIED else f'UPDATE "{table}" SET "{column}" = NULL'
    judge.database.execute("BEGIN")
    judge.database.execute(change)
    found = judge_of(judge.database).judge(control)
    judge.database.execute("ROLLBACK")
    return found.status == PASS


@pytest.fixture(scope="module")
def judge() -> Judge:
    return judge_of(complete_database())


def stayed(judge: Judge, some: list[Mutation]) -> set[tuple[str, str, str]]:
    return {
        (control.id, table, column) for control, table, column in some if stays_pass(judge, (control, table, column))
    }


def test_a_sample_of_mutations_leaves_no_pass(judge: Judge) -> None:
    some = random.Random().sample([one for one in mutations() if (one[0].id, *one[1:]) not in MAY_STAY], SAMPLE)

    assert stayed(judge, some) == set()


@pytest.mark.slow
def test_no_mutation_leaves_a_pass_but_those_that_are_listed(judge: Judge) -> None:
    everything = list(mutations())

    assert stayed(judge, everything) == set(MAY_STAY)
    assert len(everything) > 500


def test_may_be_empty_is_no_way_out(judge: Judge) -> None:
    """Without heartbeats, an emptied table that may be empty takes the PASS too."""
    some = [(one, table, EMPTIED) for one in judge.catalogue.controls for table in one.may_be_empty]

    assert len(some) == 3
    assert stayed(judge, some) == set()
