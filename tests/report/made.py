"""Facts made of the complete evidence, with a log of their own that really is signed."""

from datetime import UTC, date, datetime
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from audit_pipeline.report.facts import DayEvidence, Facts, SealProof, Segment, Verified
from audit_pipeline.report.judging import Judge, days_of
from audit_pipeline.report.pages import read_pages
from tests.report.complete import PERIOD, complete_database, judge_all, judge_of

ORIGIN = f"example.com/audit/{'ab' * 16}"
SIGNER = tlog.Signer(ORIGIN, tlog.ED25519, Ed25519PrivateKey.from_private_bytes(bytes(32)))
VERIFIED_AT = datetime(2026, 11, 1, tzinfo=UTC)


def seal(day: date) -> tlog.SealEntry:
    return tlog.SealEntry(
        kind="seal",
        lake="ab" * 16,
        day=day,
        segment=1,
        previous=None,
        sources=1,
        records=10,
        size=1,
        root="cd" * 32,
        adapters=(),
        pseudonym_key=None,
        policy="ef" * 32,
        time=datetime(day.year, day.month, day.day, 23, tzinfo=UTC),
        nonce="01" * 32,
    )


@cache
def complete_facts() -> Facts:
    """Everything passes."""
    judge = judge_of(complete_database())
    seals = [seal(day) for day in days_of(PERIOD)]
    leaves = tlog.hash_leaves(map(tlog.format_seal, seals))
    head = tlog.Checkpoint(ORIGIN, len(seals), tlog.tree_root(leaves))
    note = tlog.sign_checkpoint(head, SIGNER)
    return Facts(
        title="Example <lab> & sons",
        period=PERIOD,
        origin=ORIGIN,
        vkey=tlog.format_vkey(SIGNER.verifier),
        checkpoint=note.decode(),
        log_size=head.size,
        log_root=head.root.hex(),
        verified=Verified(VERIFIED_AT, ("self-consistent", "extends-own-mark"), 0, None),
        days=tuple(
            DayEvidence(
                one.day, (Segment(at, one.day, 1, one.root, 10, 1, one.time, one.policy),), True, VERIFIED_AT, None
            )
            for at, one in enumerate(seals)
        ),
        proofs=tuple(
            SealProof(
                at, one.day, tlog.format_seal(one).decode(), tuple(h.hex() for h in tlog.prove_inclusion(leaves, at))
            )
            for at, one in enumerate(seals)
        ),
        scope=tuple(judge.scope.answers.items()),
        is_scope_approved=judge.scope.is_approved,
        findings=tuple(judge_all(judge).values()),
        catalogue=judge.catalogue,
        tables=_pages(judge),
        register_problems=(("incidents.csv", "has no column 'x'"),),
        leaves=leaves,
    )


def _pages(judge: Judge) -> dict:
    judge.database.execute("CREATE SCHEMA lake")
    judge.database.execute(
        "CREATE TABLE lake.sources AS SELECT DATE '2026-10-01' AS day, 'runs' AS stream, 's' AS source_id, "
        "5 AS records, 1 AS quarantined"
    )
    return dict(read_pages(judge.database, PERIOD))
