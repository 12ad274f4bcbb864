"""A period's report as files, and as the bundle that somebody else checks offline."""

from collections.abc import Mapping

from audit_pipeline import tlog
from audit_pipeline.report.facts import Facts
from audit_pipeline.tlog.report_bundle import HANDOVERS, LEAVES_FILE, format_report_bundle


def evidence_files(facts: Facts) -> Mapping[str, bytes]:
    """The checkpoint, the log's leaf hashes, and each day's last seal with its proof, by name in the bundle."""
    if not facts.checkpoint:
        return {}
    note = facts.checkpoint.encode()
    files = {"checkpoint": note, LEAVES_FILE: facts.leaves}
    files |= {f"{HANDOVERS}{number}": one.encode() for number, one in enumerate(facts.handovers, 1)}
    for proof in facts.proofs:
        hashes = tuple(bytes.fromhex(one) for one in proof.hashes)
        files[f"proofs/{proof.day}.tlog-proof"] = tlog.format_proof(tlog.InclusionProof(proof.index, hashes, note))
        files[f"proofs/{proof.day}.seal"] = proof.entry.encode()
    return files


def bundle_report(facts: Facts, files: Mapping[str, bytes], signer: tlog.Signer) -> bytes:
    """The bundle of a report's files, which has `report.json` among them."""
    predicate = {
        "origin": facts.origin,
        "logSize": facts.log_size,
        "logRoot": facts.log_root,
        "period": {"first": facts.period.first.isoformat(), "last": facts.period.last.isoformat()},
        "catalogue": facts.catalogue.digest,
        "isNotice": facts.no_reliance is not None,
        "counts": dict(facts.counts()),
    }
    return format_report_bundle({**files, **evidence_files(facts)}, predicate, signer)
