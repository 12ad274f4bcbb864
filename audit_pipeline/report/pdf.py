"""The report as PDF/A-3a and PDF/UA-1, with the OSCAL documents inside. Needs the extra `pdf`."""

from datetime import UTC, datetime, time

from audit_pipeline.errors import InputError
from audit_pipeline.report.facts import Facts
from audit_pipeline.report.oscal import render_oscal
from audit_pipeline.report.templates import render_text


def render_pdf(facts: Facts) -> bytes:
    """The PDF. Its date is that of the facts, its fonts are Typst's own, so that equal facts give equal bytes.

    Raises:
        InputError: Typst is not installed.
    """
    try:
        import typst
    except ImportError as err:
        raise InputError("pdf: needs Typst; install rlhf-audit-pipeline[pdf]") from err
    attached = {name: document.decode() for name, document in render_oscal(facts).items()}
    dated = (facts.as_of or datetime.combine(facts.period.last, time(), UTC)).replace(microsecond=0)  # PDF has none
    source = render_text("report.typ.j2", facts=facts, attached=sorted(attached), dated=dated)
    made = typst.compile(
        source,
        format="pdf",
        ignore_system_fonts=True,
        sys_inputs=attached,
        pdf_standards=["a-3a", "ua-1"],
        timestamp=dated.astimezone(UTC),
    )
    return bytes(made)
