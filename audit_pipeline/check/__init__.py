"""The auditor's offline check of evidence bundles, day proofs and report bundles: no lake, no Dagster, no network.

    python -m audit_pipeline.check FILE --trust FILE [--entry FILE [--handover FILE]…] [--json] [--show]

A bundle is what docs/evidence-format.md section 7 says. It is derived again from the records up: leaves, source trees,
day trees, and the log's root, which the checkpoint signs. Each size comes from a parent, which is authenticated
by the time the check ends: nothing is given back before all of it holds.

Needs the standard library and `cryptography` alone: install the wheel with `--no-deps` beside it, and read it all.
"""

from audit_pipeline.check.checking import (
    EXTENDS_HELD,
    SIGNED,
    WITNESSED,
    CheckedBundle,
    CheckedDay,
    CheckedHead,
    CheckedRecord,
    CheckedReport,
    check_bundle,
    check_day,
    check_report,
    check_source,
)
from audit_pipeline.check.command import check_files, main

__all__ = [
    "EXTENDS_HELD",
    "SIGNED",
    "WITNESSED",
    "CheckedBundle",
    "CheckedDay",
    "CheckedHead",
    "CheckedRecord",
    "CheckedReport",
    "check_bundle",
    "check_day",
    "check_files",
    "check_report",
    "check_source",
    "main",
]
