"""The stream `_audit` against the tables whose rows it has: what was sealed is what engines read."""

from collections.abc import Mapping, Sequence
from functools import partial

from audit_pipeline import tlog
from audit_pipeline.lake.audit_rows import AUDIT_APP, audit_path, commit_lines
from audit_pipeline.lake.batches import read_batch
from audit_pipeline.lake.declared import AUDIT_TABLES, QUALITY_FINDINGS
from audit_pipeline.records import canonical
from audit_pipeline.verify.findings import Findings
from audit_pipeline.verify.tables import Replay


def check_audited(replays: Mapping[str, Replay], findings: Findings) -> None:
    """Each source of `_audit` has the rows of the commit it is named after; a note counts the commits without one."""
    names = {
        audit_path(table.name, version): (replays[table.name], version)
        for table in AUDIT_TABLES
        if table.name in replays
        for version in replays[table.name].commits
    }
    sealed = _snapshots(replays["records"], findings)
    for path, snapshots in sealed.items():
        fault = "its table has no such commit: rows were taken away; restore the table from a backup"
        if path in names:
            fault = findings.guard("records", partial(_fault, *names[path], snapshots)) or ""
        if fault:
            findings.add_of("records", snapshots[0][0], f"{path}: {fault}")
    if judged := replays.get(QUALITY_FINDINGS.name):
        findings.guard(QUALITY_FINDINGS.name, partial(_check_rounds, judged, findings))
    if waiting := len(names.keys() - sealed.keys()):
        findings.notes.append(
            f"{waiting} commits of audit tables, what runs wrote about themselves, are sealed with the next logs"
        )


def _check_rounds(judged: Replay, findings: Findings) -> None:
    """Each judgement says the day and the round that it is: a later one is told by its round."""
    for version, commit in judged.commits.items():
        for file in commit.files:
            rows = judged.table.read_file(file.name, ["day", "round"]).to_pylist()
            if {(f"quality/{row['day']}", row["round"]) for row in rows} != {(commit.app, commit.number)}:
                findings.add(judged.table.table.name, f"commit {version}: is not judgement {commit.number} of its day")


def _snapshots(records: Replay, findings: Findings) -> dict[str, list[tuple[tlog.SourceEntry, bytes]]]:
    """(entry, nonce) of the snapshots of each source of `_audit`, by path, in order."""
    found: dict[str, list[tuple[tlog.SourceEntry, bytes]]] = {}
    for commit in records.commits.values():
        for file in commit.files if commit.app == AUDIT_APP else ():
            batch = findings.guard("records", partial(read_batch, records.table, file.name))
            for snapshot in batch.snapshots if batch else ():
                entry = tlog.parse_source(snapshot["entry"].encode())
                found.setdefault(snapshot["path"], []).append((entry, bytes.fromhex(snapshot["nonce"])))
    return found


def _fault(replay: Replay, version: int, snapshots: Sequence[tuple[tlog.SourceEntry, bytes]]) -> str:
    """What is wrong with the snapshots of one source; nothing where they are the rows of the commit, all of them."""
    lines, at = commit_lines(replay.table, replay.commits[version]), 0
    for entry, nonce in snapshots:
        hasher = canonical.content_hasher(nonce)
        hasher.update(lines[entry.start : entry.end])
        if (entry.generation, entry.start, entry.content) != (0, at, hasher.hexdigest()):
            return "the table's rows are not those that were sealed; restore the table from a backup"
        at = entry.end
    return "" if at == len(lines) else "the table has rows beside those that were sealed; restore it from a backup"
