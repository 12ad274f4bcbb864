"""Templates, and the one way they are filled: strict, escaped, without clock or randomness."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

import jinja2
from markupsafe import Markup

from audit_pipeline.report.catalogue import Catalogue
from audit_pipeline.report.facts import STATUSES, Finding
from audit_pipeline.report.plain import day_spans

STEPS = (
    (
        "Trust",
        "Get the log's vkey from the operator by another way than this report, and write one line `log <vkey>` into a "
        "file `trust`.",
        None,
    ),
    (
        "Install",
        "Install the wheel beside the library `cryptography`; nothing else is needed, no lake and no Dagster.",
        "pip install --no-deps rlhf_audit_pipeline-*.whl && pip install cryptography",
    ),
    (
        "Check the bundle",
        "Every file of it, the signature over all of them, and each day's place in the log.",
        "python -m audit_pipeline.check report.zip --trust trust",
    ),
    (
        "Compare this page",
        "The digest of the page you read is one that the step before printed.",
        "python -m zipfile -e report.zip out && sha256sum out/report.html",
    ),
    (
        "Check one day by itself",
        "The proof is of the C2SP format that other programs read; the entry is the day's seal.",
        "python -m audit_pipeline.check out/proofs/{day}.tlog-proof --entry out/proofs/{day}.seal --trust trust",
    ),
)
"""The offline check, (title, why, command)."""


@cache
def _environment(is_html: bool) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("audit_pipeline.report"),
        undefined=jinja2.StrictUndefined,
        autoescape=is_html,  # noqa: S701 - Markdown and Typst have escapes of their own
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["day_spans"] = day_spans
    environment.filters["status"] = _status
    environment.filters["md"] = _markdown_text
    environment.filters["typst"] = typst_string
    environment.globals["STATUSES"] = STATUSES
    environment.globals["STEPS"] = STEPS
    environment.globals["control_words"] = _control_words
    return environment


def render_text(name: str, **given: Any) -> bytes:
    """A template filled. Text that goes into HTML is escaped."""
    return _environment(".html" in name).get_template(name).render(**given).encode()


def _status(finding: Finding) -> Markup:
    return _status_words(finding.status, finding.is_early)


@cache
def _status_words(status: str, is_early: bool) -> Markup:
    early = " (early evidence)" if is_early else ""
    return Markup('<span class="s {0}">{0}</span>{1}').format(status, early)


@lru_cache(maxsize=4)
def _control_words(catalogue: Catalogue) -> Mapping[str, Markup]:
    """What the appendix says of each control whatever was found: half of a report, and made once."""
    words = _environment(is_html=True).get_template("macros.html.j2").make_module().control_words  # type: ignore[attr-defined]
    return {control.id: words(control, catalogue.law) for control in catalogue.controls}


def _markdown_text(value: object) -> str:
    """A text for a paragraph or a cell: nothing in it is markup or ends the row."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~])", r"\\\1", " ".join(str(value).split()))


def typst_string(value: object) -> str:
    """A text as a Typst string literal: nothing in it is markup or code."""
    escaped = (
        str(value)
        .replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\t", "\\t")
    )
    return f'"{escaped}"'
