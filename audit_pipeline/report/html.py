"""The report as one HTML file: no external address, readable without scripts, printable, charts as inline SVG."""

from audit_pipeline.report.facts import Facts
from audit_pipeline.report.templates import render_text


def render_html(facts: Facts) -> bytes:
    """The report, or the one-page notice where nothing can be relied on."""
    return render_text("notice.html.j2" if facts.no_reliance else "report.html.j2", facts=facts)
