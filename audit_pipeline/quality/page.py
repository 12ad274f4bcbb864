"""The day's data-quality page: one HTML file that needs nothing else, for whoever answers for the data."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cache
from importlib.resources import files

import jinja2

from audit_pipeline.quality.findings import STATES, Finding

MEANINGS = {
    "failed": "does not hold",
    "error": "could not be evaluated",
    "waived": "does not hold; somebody answers for it until a day",
    "not_judged": "too little to judge by: neither good nor bad",
    "passed": "holds",
}
"""What each state means, the ones to look at first in front."""

assert set(MEANINGS) == set(STATES)


def render_page(day: date, findings: Sequence[Finding], judged_at: datetime, number: int) -> bytes:
    """The page. The same findings give the same bytes."""
    order = list(MEANINGS)
    tables = {
        table: sorted((one for one in findings if one.table == table), key=lambda one: order.index(one.state))
        for table in dict.fromkeys(one.table for one in findings)
    }
    return (
        _template()
        .render(
            day=day,
            judged_at=judged_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
            number=number,
            counts=_counts(findings),
            meanings=MEANINGS,
            tables=tables,
            count=_counts,
            held=[one for one in findings if one.holds_back_reports],
        )
        .encode()
    )


def _counts(findings: Iterable[Finding]) -> dict[str, int]:
    found = Counter[str](one.state for one in findings)
    return {state: found[state] for state in MEANINGS if found[state]}


@cache
def _template() -> jinja2.Template:
    text = files(__package__).joinpath("page.html.j2").read_text(encoding="utf-8")
    return jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(text)
