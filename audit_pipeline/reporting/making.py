"""Reports as files: rendered twice and compared, bundled, put under the reports place, and recorded."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from audit_pipeline import tlog
from audit_pipeline.errors import InputError, ProofError
from audit_pipeline.judging import blocking_failures
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.stores import open_store
from audit_pipeline.report.bundle import bundle_report
from audit_pipeline.report.facts import Facts
from audit_pipeline.report.html import render_html
from audit_pipeline.report.model_card import render_model_card
from audit_pipeline.report.oscal import render_oscal
from audit_pipeline.report.pdf import render_pdf
from audit_pipeline.report.plain import render_json
from audit_pipeline.reporting.recorded import Clock, Entropy, record_report

HELD_CURE = "mend the data or write a waiver (docs/quality.md), and run these days again"
BUNDLE_FILE = "report.zip"
JSON_FILE = "report.json"


def _oscal_files(facts: Facts) -> Mapping[str, bytes]:
    return {f"oscal/{name}": document for name, document in render_oscal(facts).items()}


FORMATS: Mapping[str, Callable[[Facts], Mapping[str, bytes]]] = {
    "html": lambda facts: {"report.html": render_html(facts)},
    "json": lambda facts: {JSON_FILE: render_json(facts)},
    "oscal": _oscal_files,
    "card": lambda facts: {"model_card.md": render_model_card(facts)},
    "pdf": lambda facts: {"report.pdf": render_pdf(facts)},
}
"""What a report can be made as. The bundle has what was asked for, and `json` always."""


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A report that lies under the reports place."""

    report_id: str
    files: Mapping[str, str]
    """SHA-256 by name, hex."""
    is_new: bool


def held_back(lake: Lake, facts: Facts) -> list[str]:
    """What holds back a report of these facts, a line each: blocking checks that failed and that nobody waived.

    The notice that nothing can be relied on is held back by nothing.
    """
    if facts.no_reliance is not None:
        return []
    failed = blocking_failures(lake, facts.period.first, facts.period.last)
    return [f"{day}: the blocking check {name} of {table} failed" for day, table, name in failed]


def make_report(
    lake: Lake,
    facts: Facts,
    formats: Sequence[str],
    signer: tlog.Signer,
    day: date,
    *,
    now: Clock,
    entropy: Entropy,
) -> MadeReport:
    """Write the report of these facts in these formats, with its bundle, and record that it was made.

    Raises:
        InputError: a format is not known or needs what is not installed, or a blocking check holds the report back.
        ProofError: the same facts gave other bytes the second time.
    """
    if unknown := sorted(set(formats) - FORMATS.keys()):
        raise InputError(f"format {unknown[0]!r}: expected one of {', '.join(FORMATS)}")
    if held := held_back(lake, facts):
        more = f" and {len(held) - 1} more" if len(held) > 1 else ""
        raise InputError(f"no report of {facts.period.first} to {facts.period.last}: {held[0]}{more}; {HELD_CURE}")
    files, again = (render(facts, formats) for _ in range(2))
    digest, digest_again = _digest(files), _digest(again)
    if digest != digest_again:
        raise ProofError("the report: the same facts gave other bytes the second time; report this as a bug")
    report_id = f"{facts.period.first}_{facts.period.last}/{digest[:16]}"
    everything = {**files, BUNDLE_FILE: bundle_report(facts, files, signer)}
    folder = open_store(lake.places.reports)
    for name, content in everything.items():
        folder.replace(f"{report_id}/{name}", content)
    row = {
        "day": day,
        "report_id": report_id,
        "first_day": facts.period.first,
        "last_day": facts.period.last,
        "made_at": now(),
        "sha256": digest,
        "rerender_sha256": digest_again,
        "catalogue_digest": facts.catalogue.digest,
        "catalogue_reviewed": facts.catalogue.reviewed,
        "log_size": facts.log_size,
        "is_notice": facts.no_reliance is not None,
    }
    is_new = record_report(lake, row, now=now, entropy=entropy)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in everything.items()}
    return MadeReport(report_id, digests, is_new)


def render(facts: Facts, formats: Sequence[str]) -> dict[str, bytes]:
    """The report's files by name, in the given formats and as JSON."""
    wanted = [name for name in FORMATS if name in {*formats, "json"}]
    return {name: content for format_ in wanted for name, content in FORMATS[format_](facts).items()}


def _digest(files: Mapping[str, bytes]) -> str:
    lines = [f"{hashlib.sha256(files[name]).hexdigest()} {name}\n" for name in sorted(files)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
