"""The report as OSCAL 1.2.1: catalog, component definition, assessment plan, assessment results.

OSCAL knows satisfied and not-satisfied alone. PASS is satisfied; FAIL is not-satisfied with the reason `fail`, and
NOT_EVIDENCED is not-satisfied with the reason `other`. What does not apply has no finding. Ids are derived from what
they name, so that the same facts give the same documents.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time
from functools import lru_cache
from itertools import groupby
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from audit_pipeline.report.catalogue import Catalogue, Control
from audit_pipeline.report.facts import FAIL, NOT_APPLICABLE, PASS, Facts, Finding
from audit_pipeline.report.plain import day_spans, dump

OSCAL_VERSION = "1.2.1"
NAMESPACE = uuid5(NAMESPACE_URL, "urn:rlhf-audit-pipeline:oscal")
NS = "urn:rlhf-audit-pipeline"
"""Of the properties that are ours."""
CATALOG, COMPONENTS, PLAN, RESULTS = "catalog", "component-definition", "assessment-plan", "assessment-results"

Document = dict[str, Any]


def render_oscal(facts: Facts) -> Mapping[str, bytes]:
    """The four documents, by file name."""
    made: Mapping[str, Callable[[Facts], Document]] = {
        CATALOG: _catalog,
        COMPONENTS: _components,
        PLAN: _plan,
        RESULTS: _results,
    }
    return {f"{name}.json": dump({name: make(facts)}) for name, make in made.items()}


def control_token(control: Control) -> str:
    return control.id.lower()


def _id(facts: Facts, *parts: str) -> str:
    """An id of what is named; that of a lake and period is another one for another."""
    of_period = f"{facts.origin} {facts.period.first} {facts.period.last} {facts.catalogue.digest}"
    return _uuid("\n".join([of_period, *parts]))


def _uuid(name: str) -> str:
    """Version 4 in form, as OSCAL's readers ask; made from the name, not by chance."""
    made = hashlib.sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False)  # as RFC 9562 has it of version 5
    return str(UUID(bytes=made.digest()[:16], version=4))


def _metadata(facts: Facts, title: str) -> Document:
    return {
        "title": title,
        "last-modified": _time(facts),
        "version": facts.catalogue.version,
        "oscal-version": OSCAL_VERSION,
        "remarks": facts.catalogue.legal_basis,
    }


def _time(facts: Facts) -> str:
    at = facts.as_of or datetime.combine(facts.period.last, time(), UTC)
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _prop(name: str, value: str) -> Document:
    return {"name": name, "ns": NS, "value": value}


def _catalog(facts: Facts) -> Document:
    metadata = _metadata(facts, f"Catalogue {facts.catalogue.name}")
    return {
        "uuid": _uuid(f"catalog {facts.catalogue.digest}"),
        "metadata": metadata,
        "groups": _groups(facts.catalogue),
    }


@lru_cache(maxsize=4)
def _groups(catalogue: Catalogue) -> list[Document]:
    by_framework = sorted(catalogue.controls, key=lambda control: control.framework)
    return [
        {
            "id": f"g{number}",
            "title": framework,
            "controls": [_control(control) for control in controls],
        }
        for number, (framework, controls) in enumerate(groupby(by_framework, key=lambda control: control.framework))
    ]


def _control(control: Control) -> Document:
    token = control_token(control)
    parts = [
        {"id": f"{token}_smt", "name": "statement", "prose": control.requirement},
        {
            "id": f"{token}_gdn",
            "name": "guidance",
            "prose": f"PASS means: {control.pass_means} It cannot show: {control.cannot_show}",
        },
        {"id": f"{token}_obj", "name": "assessment-objective", "prose": control.query},
    ]
    props = [
        {"name": "label", "value": control.id},
        _prop("severity", control.severity),
        _prop("binding", control.binding),
    ]
    return {"id": token, "title": control.reference, "props": props, "parts": parts}


def _components(facts: Facts) -> Document:
    metadata = _metadata(facts, "What is measured, and how")
    return {
        "uuid": _uuid(f"components {facts.catalogue.digest}"),
        "metadata": metadata,
        "components": [_component(facts.catalogue)],
    }


@lru_cache(maxsize=4)
def _component(catalogue: Catalogue) -> Document:
    requirements = [
        {
            "uuid": _uuid(f"requirement {catalogue.digest} {control.id}"),
            "control-id": control_token(control),
            "description": f"Measured by a query over {', '.join(control.tables)}. {control.pass_means}",
        }
        for control in catalogue.controls
    ]
    return {
        "uuid": _uuid("component"),
        "type": "software",
        "title": "rlhf-audit-pipeline",
        "description": "Takes in run logs, seals them in a transparency log, measures controls on the sealed rows.",
        "control-implementations": [
            {
                "uuid": _uuid(f"implementation {catalogue.digest}"),
                "source": f"{CATALOG}.json",
                "description": "What the pipeline measures. It implements no control of whoever runs it.",
                "implemented-requirements": requirements,
            }
        ],
    }


def _plan(facts: Facts) -> Document:
    no_plan = _id(facts, "no system security plan")
    return {
        "uuid": _id(facts, "plan"),
        "metadata": _metadata(facts, f"Assessment plan, {facts.period.first} to {facts.period.last}"),
        "import-ssp": {"href": f"#{no_plan}", "remarks": "No system security plan is part of this set."},
        "reviewed-controls": _reviewed(facts),
        "back-matter": {
            "resources": [{"uuid": no_plan, "title": "No system security plan", "description": "Not supplied."}]
        },
    }


def _reviewed(facts: Facts) -> Document:
    applying = [finding.control for finding in facts.findings if finding.status != NOT_APPLICABLE]
    if not applying:
        return {"control-selections": [{"include-all": {}}]}
    return {"control-selections": [{"include-controls": [{"control-id": control_token(one)} for one in applying]}]}


def _results(facts: Facts) -> Document:
    first, last = (datetime.combine(day, time(), UTC) for day in (facts.period.first, facts.period.last))
    collected = _time(facts)
    observations = {finding.control.id: _observation(facts, finding, collected) for finding in facts.findings}
    result: Document = {
        "uuid": _id(facts, "result"),
        "title": f"{facts.title}, {facts.period.first} to {facts.period.last}",
        "description": facts.no_reliance or "What the sealed rows of the period say of each control.",
        "start": first.isoformat().replace("+00:00", "Z"),
        "end": last.replace(hour=23, minute=59, second=59).isoformat().replace("+00:00", "Z"),
        "props": [_prop("log-size", str(facts.log_size)), _prop("catalogue-digest", facts.catalogue.digest)],
        "reviewed-controls": _reviewed(facts),
        "observations": list(observations.values()),
    }
    applying = [finding for finding in facts.findings if finding.status != NOT_APPLICABLE]
    if found := [_finding(facts, finding, observations[finding.control.id]["uuid"]) for finding in applying]:
        result["findings"] = found
    if facts.log_root:
        result["props"].append(_prop("log-root", facts.log_root))
    return {
        "uuid": _id(facts, "results"),
        "metadata": _metadata(facts, f"Assessment results, {facts.period.first} to {facts.period.last}"),
        "import-ap": {"href": f"{PLAN}.json"},
        "results": [result],
    }


def _observation(facts: Facts, finding: Finding, collected: str) -> Document:
    control = finding.control
    props = [
        _prop("status", finding.status),
        _prop("examined", str(finding.n)),
        _prop("violations", str(finding.violations)),
    ]
    props += [_prop("coverage", f"{finding.coverage:.6f}")] if finding.coverage is not None else []
    props += [_prop("reason", finding.reason)] if finding.reason else []
    props += [_prop("early-evidence", "true")] if finding.is_early else []
    return {
        "uuid": _id(facts, "observation", control.id),
        "title": control.id,
        "description": finding.detail or control.pass_means,
        "props": props,
        "methods": ["EXAMINE" if control.is_document else "TEST"],
        "collected": collected,
        "remarks": f"Days whose seals vouch for the rows: {', '.join(day_spans(finding.days_read)) or 'none'}.",
    }


def _finding(facts: Facts, finding: Finding, observation: str) -> Document:
    control = finding.control
    state = "satisfied" if finding.status == PASS else "not-satisfied"
    reason = {PASS: "pass", FAIL: "fail"}.get(finding.status, "other")
    return {
        "uuid": _id(facts, "finding", control.id),
        "title": f"{control.id}: {finding.status}",
        "description": finding.detail or control.pass_means,
        "target": {
            "type": "objective-id",
            "target-id": f"{control_token(control)}_obj",
            "status": {"state": state, "reason": reason, "remarks": f"It cannot show: {control.cannot_show}"},
        },
        "related-observations": [{"observation-uuid": observation}],
    }
