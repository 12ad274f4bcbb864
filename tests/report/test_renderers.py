"""What is rendered: the same bytes for the same facts, nothing injected, no word that promises too much."""

import io
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from audit_pipeline.report.catalogue import Control, catalogue_text, extend
from audit_pipeline.report.facts import FAIL, NOT_EVIDENCED, PASS, Facts, Finding, Verified
from audit_pipeline.report.html import render_html
from audit_pipeline.report.model_card import render_model_card
from audit_pipeline.report.oscal import render_oscal
from audit_pipeline.report.plain import render_json
from audit_pipeline.reporting.making import FORMATS, render
from tests.report.made import complete_facts

BANNED = re.compile(r"\b(compliant|complies|conforms|certified|meets the act)\b", re.IGNORECASE)
HOSTILE = '<script>alert(1)</script>"#raw(`]) | **x** \\u{1f600} {{ 7*7 }}\n= heading'
ALL = tuple(FORMATS)
OWN = {
    "id": "OWN-1",
    "framework": "House rules",
    "reference": "Rule 7",
    "binding": "own",
    "severity": "high",
    "requirement": "Every run names who started it.",
    "document": "house_rules",
    "cannot_show": "That it was really them.",
}


def finding(facts: Facts, id_: str, **given: object) -> Facts:
    """The facts with one finding changed."""
    changed = (replace(one, **given) if one.control.id == id_ else one for one in facts.findings)
    return replace(facts, findings=tuple(changed))


@pytest.fixture(scope="module")
def facts() -> Facts:
    return failing_facts()


def failing_facts() -> Facts:
    """One failure before its law applies, one control without evidence."""
    failing = finding(
        complete_facts(), "EUA-73-01", status=FAIL, reason="violations", detail="2 violations", violations=2
    )
    return finding(failing, "INT-03", status=NOT_EVIDENCED, reason="coverage", detail="too little", coverage=0.5)


@pytest.fixture(scope="module")
def notice(facts: Facts) -> Facts:
    return replace(facts, verified=Verified(datetime(2026, 11, 1, tzinfo=UTC), (), 3, "records: row 5 was changed"))


def texts(facts: Facts) -> dict[str, str]:
    return {name: content.decode() for name, content in render(facts, ["html", "oscal", "card"]).items()}


@pytest.mark.parametrize("format_", ALL)
def test_equal_facts_give_equal_bytes_in_another_process_too(facts: Facts, format_: str) -> None:
    if format_ == "pdf":
        pytest.importorskip("typst")
    program = textwrap.dedent(f"""
        import hashlib
        from audit_pipeline.reporting.making import FORMATS
        from tests.report.made import complete_facts
        for name, content in FORMATS[{format_!r}](complete_facts()).items():
            print(hashlib.sha256(content).hexdigest(), name)
    """)
    made = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parents[2],
            env={"PYTHONHASHSEED": seed, "TZ": zone, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    }

    assert len(made) == 1
    assert FORMATS[format_](facts) == FORMATS[format_](facts)


def test_no_generated_text_and_no_word_of_the_catalogue_promises_too_much(facts: Facts, notice: Facts) -> None:
    generated = [*texts(facts).values(), *texts(notice).values()]
    sources = [catalogue_text(name) for name in ("catalogue", "tables", "pages", "integrity", "ai_act", "gdpr", "nist")]
    sources += [catalogue_text("codes_and_standards")]
    sources += [path.read_text() for path in Path("audit_pipeline/report/templates").glob("*.j2")]

    assert [BANNED.findall(text) for text in (*generated, *sources) if BANNED.search(text)] == []
    assert BANNED.search("It Complies.")


def test_a_failure_before_the_law_applies_is_called_early_evidence_and_no_breach(facts: Facts) -> None:
    page = render_html(facts).decode()
    summary = page[page.index("Failing controls") : page.index("Why controls are not evidenced")]

    assert "Early evidence: the law applies from 2 December 2027 (Annex III)" in summary
    assert "breach" not in summary
    later = replace(facts, findings=tuple(replace(one, is_early=False) for one in facts.findings))
    assert "Early evidence" not in render_html(later).decode()


def test_there_is_no_score_and_no_share_of_controls(facts: Facts) -> None:
    for name, text in texts(facts).items():
        assert not re.search(r"\d\s?%\s+(of controls|passed|evidenced)", text), name
        assert "overall" not in text.lower(), name


def test_the_html_loads_nothing_and_every_status_is_a_word(facts: Facts) -> None:
    page = render_html(facts).decode()

    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:|//)""", page)
    assert "<script" not in page
    for one in facts.findings:
        assert f'id="c-{one.control.id}"' in page
    anchors = set(re.findall(r'href="#([^"]+)"', page))
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))


@pytest.mark.parametrize("format_", ["html", "card", "pdf"])
def test_hostile_text_stays_text(facts: Facts, format_: str) -> None:
    if format_ == "pdf":
        pytest.importorskip("typst")
    hostile = finding(replace(facts, title=HOSTILE, scope=((HOSTILE, HOSTILE),)), "INT-03", detail=HOSTILE)
    table = replace(facts.tables["runs"], columns=("run", "base model"), rows=((HOSTILE, HOSTILE),))

    ((_, content),) = FORMATS[format_](replace(hostile, tables={**facts.tables, "runs": table})).items()

    if format_ == "html":
        assert b"<script>" not in content
        assert b"&lt;script&gt;" in content
    if format_ == "card":
        text = content.decode()
        (row,) = [line for line in text.splitlines() if line.startswith("| \\<script")]
        assert len(re.findall(r"(?<!\\)\|", row)) == 3
        assert "49" not in text


def test_the_notice_replaces_the_report(notice: Facts) -> None:
    page = render_html(notice).decode()

    assert "records: row 5 was changed" in page
    assert "Control matrix" not in page
    assert json.loads(render_json(notice))["no_reliance"] == "records: row 5 was changed"
    assert "can be relied on" in render_model_card(notice).decode()


def test_each_status_has_its_place_in_oscal(facts: Facts) -> None:
    (result,) = json.loads(render_oscal(facts)["assessment-results.json"])["assessment-results"]["results"]
    states = {one["title"].split(":")[0]: one["target"]["status"] for one in result["findings"]}

    assert (states["EUA-73-01"]["state"], states["EUA-73-01"]["reason"]) == ("not-satisfied", "fail")
    assert (states["INT-03"]["state"], states["INT-03"]["reason"]) == ("not-satisfied", "other")
    assert (states["INT-01"]["state"], states["INT-01"]["reason"]) == ("satisfied", "pass")
    assert len(states) == len(facts.findings)


def test_the_oscal_documents_hold_to_the_official_schema(facts: Facts, notice: Facts, shared: Path) -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    schema = json.loads((shared / "vectors" / "oscal" / "oscal_complete_schema_1.2.1.json").read_text())
    validator = jsonschema_rs.validator_for(schema)

    for document in [*render_oscal(facts).values(), *render_oscal(notice).values()]:
        assert [error.message for error in validator.iter_errors(json.loads(document))] == []
    broken = json.loads(render_oscal(facts)["catalog.json"])
    del broken["catalog"]["metadata"]["title"]
    assert not validator.is_valid(broken)


def test_the_pdf_is_tagged_names_its_standards_and_carries_the_oscal(facts: Facts) -> None:
    pytest.importorskip("typst")
    pypdf = pytest.importorskip("pypdf")
    (content,) = FORMATS["pdf"](facts).values()

    document = pypdf.PdfReader(io.BytesIO(content))
    root = document.trailer["/Root"]
    metadata = root["/Metadata"].get_object().get_data().decode()
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert "/StructTreeRoot" in root
    assert re.search(r"pdfaid:part>3<.*pdfaid:conformance>A<", metadata, re.DOTALL)
    assert re.search(r"pdfuaid:part>1<", metadata)
    embedded = {name: bytes(some[0]) for name, some in document.attachments.items()}
    assert embedded == dict(render_oscal(facts))
    assert "EUA-73-01" in "".join(page.extract_text() for page in document.pages)


def test_a_pdf_is_made_of_facts_of_any_moment(facts: Facts) -> None:
    """A verification ends between two seconds; a PDF's date has none between them."""
    pytest.importorskip("typst")
    moment = datetime(2026, 11, 1, 12, 0, 0, 448670, tzinfo=UTC)

    (content,) = FORMATS["pdf"](replace(facts, verified=Verified(moment, (), 3, ""))).values()

    assert content.startswith(b"%PDF")


def test_what_is_made_once_of_a_catalogue_is_not_taken_for_another(facts: Facts) -> None:
    own = extend(facts.catalogue, [Control.model_validate(OWN)], {"EUA-14-01": {"max_stop_s": 61}})
    controls = {control.id: control for control in own.controls}
    findings = [replace(one, control=controls[one.control.id]) for one in facts.findings]
    other = replace(facts, catalogue=own, findings=(*findings, replace(findings[0], control=controls["OWN-1"])))

    ours, others = texts(facts), texts(other)

    for name in ("report.html", "oscal/catalog.json", "oscal/component-definition.json"):
        assert ("OWN-1" in ours[name].upper(), "OWN-1" in others[name].upper()) == (False, True)
    assert "max_stop_s 61" in others["report.html"]
    assert "max_stop_s 61" not in ours["report.html"]


def test_the_counts_are_those_of_the_findings(facts: Facts) -> None:
    said = json.loads(render_json(facts))

    assert said["counts"] == {PASS: 73, FAIL: 1, NOT_EVIDENCED: 1, "NOT_APPLICABLE": 0}
    assert {one["control"]["id"]: one["status"] for one in said["findings"]} == {
        one.control.id: one.status for one in facts.findings
    }
    assert all(one["control"]["query"] for one in said["findings"])


def test_a_finding_says_its_query_and_what_it_cannot_show(facts: Facts) -> None:
    page = render_html(facts).decode()

    one: Finding = facts.findings[0]
    assert one.control.cannot_show in page
    assert "lag(entry_hash)" in page
