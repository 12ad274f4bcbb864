"""What the pipeline writes about itself, under the same evidence: rows of audit tables become records of `_audit`.

Each commit of an audit table is a source `<table>/<version>.jsonl`, whose lines are the commit's rows as canonical JSON
(docs/evidence-format.md section 5). It is taken in as a landed file is, so that it is named, salted, sealed and proved
like one, and a run that dies on the way loses and doubles nothing.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.compute as pc

from audit_pipeline.formats.generic import AUDIT_ROWS
from audit_pipeline.ingest import Clock, Entropy, StreamCounts, days_not_sealed, ingest_day
from audit_pipeline.lake.audit_rows import audit_path, commit_lines
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.declared import AUDIT_TABLES, SEALS
from audit_pipeline.lake.logbook import read_log
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.projection import complete_sources
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.sources.landing import Stream

STREAM = Stream("_audit", "**", AUDIT_ROWS)
"""Without dates: one batch follows the other, whatever the day, so that none is left behind on an earlier day."""
_NS_PER_MS = 1_000_000


def take_in_audit_rows(lake: Lake, day: date, *, now: Clock, entropy: Entropy) -> StreamCounts | None:
    """Take in, under `day`, the rows of audit tables that are not records yet, where some of them do not wait.

    Rows of tables that wait are taken in with those of others, or when the day is to be sealed anyway. None where
    nothing is due.
    """
    pending = list(_pending(lake))
    if not pending or (all(table.table.waits for table, _, _ in pending) and not _is_due(lake, day)):
        return None
    with TemporaryDirectory() as folder:
        for table, version, commit in pending:
            path = Path(folder) / audit_path(table.table.name, version)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(commit_lines(table, commit))
            os.utime(path, ns=(commit.time_ms * _NS_PER_MS,) * 2)
        landed = replace(lake, places=replace(lake.places, landing=Path(folder)))
        return ingest_day(landed, [STREAM], day, today=day, now=now, entropy=entropy)[STREAM.name]


def _pending(lake: Lake) -> Iterator[tuple[OpenTable, int, Commit]]:
    """(table, version, commit) of the commits of audit tables that are no sources yet."""
    tables = [table for declared in AUDIT_TABLES if (table := lake.find(declared)) is not None]
    if not tables:
        return
    sources = complete_sources(lake).read(["stream", "path"])
    taken = set(sources.filter(pc.equal(sources["stream"], STREAM.name)).column("path").to_pylist())
    for table in tables:
        for version in range(1, table.version + 1):
            if audit_path(table.table.name, version) not in taken:
                yield table, *next(table.commits(version, version))


def _is_due(lake: Lake, day: date) -> bool:
    """Whether the day gets a seal anyway: it has none, or something came in since."""
    log = read_log(lake.open(SEALS))
    is_sealed = any(seal.day == day and seal.kind == "seal" for seal in log)
    return not is_sealed or day in days_not_sealed(complete_sources(lake), log)
