"""The HTML of reports in headless Chromium, looked through by axe-core."""

import html
import json
import re
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit_pipeline.report.facts import NOT_APPLICABLE, NOT_EVIDENCED, Facts, Verified
from audit_pipeline.report.html import render_html
from tests.report.made import complete_facts
from tests.report.test_renderers import failing_facts, finding

AXE = ".programs/node_modules/axe-core/axe.min.js"
# What is found takes the page's place, so that Chromium prints it when it prints the page.
_LOOK = """
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(found => {
  const said = {passes: found.passes.length, violations: found.violations.map(one =>
    [one.impact, one.id, one.nodes.map(node => node.target.join(" ")).slice(0, 5)])};
  document.documentElement.innerHTML = "<pre id='found'></pre>";
  document.getElementById("found").textContent = JSON.stringify(said);
});
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("chromium", "chromium"),
    pytest.mark.needs(AXE, "axe-core, which npm installs: make programs"),
]


def look(page: bytes, folder: Path) -> dict[str, Any]:
    """What axe-core finds on a page: how many of its rules hold, and (impact, rule, elements) of those broken."""
    axe = (Path(__file__).resolve().parents[2] / AXE).read_text()
    script = f"<script>{axe}</script><script>{_LOOK}</script></body>"
    file = folder / "page.html"
    file.write_text(page.decode().replace("</body>", script))
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"]
    command += [f"--user-data-dir={folder / 'profile'}", file.as_uri()]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=240).stdout
    said = re.search(r'<pre id="found">(.*?)</pre>', shown, re.DOTALL)
    assert said is not None, shown[-500:]
    found: dict[str, Any] = json.loads(html.unescape(said[1]))
    return found


def of_all_statuses() -> Facts:
    """A report that has each status, a day that is not sealed, and a list that is cut."""
    facts = failing_facts()
    facts = finding(facts, "INT-04", status=NOT_EVIDENCED, reason="unsealed", detail="a day")
    facts = finding(facts, "GDPR-17-01", status=NOT_APPLICABLE, reason="scope", detail="out of scope")
    days = (replace(facts.days[0], segments=(), is_sealed=False, verified_at=None), *facts.days[1:])
    tables = {**facts.tables, "runs": replace(facts.tables["runs"], is_cut=True)}
    return replace(facts, days=days, tables=tables)


@pytest.mark.parametrize("of", [complete_facts, of_all_statuses])
def test_the_report_has_no_fault_that_axe_finds(of: Any, tmp_path: Path) -> None:
    found = look(render_html(of()), tmp_path)

    assert found["violations"] == []
    assert found["passes"] > 20


def test_the_notice_has_no_fault_that_axe_finds(tmp_path: Path) -> None:
    wrong = Verified(datetime(2026, 11, 1, tzinfo=UTC), (), 3, "records: row 5 was changed")

    found = look(render_html(replace(complete_facts(), verified=wrong)), tmp_path)

    assert found["violations"] == []
    assert found["passes"] > 10


def test_faults_would_be_found(tmp_path: Path) -> None:
    broken = render_html(of_all_statuses()).replace(b'<html lang="en">', b"<html>").replace(b"#6a4700", b"#dddddd")

    rules = {rule for _, rule, _ in look(broken, tmp_path)["violations"]}

    assert {"html-has-lang", "color-contrast"} <= rules
