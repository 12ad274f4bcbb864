"""The components that `assets/**/defs.yaml` ask for, as far as they are ours."""

from collections.abc import Sequence
from pathlib import Path

from audit_pipeline.errors import PolicyError, did_you_mean
from audit_pipeline.policy.documents import Document, Model, read_documents, read_text
from audit_pipeline.policy.models import RunLogsAttributes
from audit_pipeline.policy.refusals import dotted, unknown_key

RUN_LOGS_TYPE = "audit_pipeline.components.RunLogs"
ALERTS_TYPE = "audit_pipeline.components.Alerts"
DAILY_SEAL_TYPE = "audit_pipeline.components.DailySeal"
PRIVACY_TYPE = "audit_pipeline.components.PrivacySummaries"
REPORT_TYPE = "audit_pipeline.components.ComplianceReport"
EXPECTATION_SUITES_TYPE = "audit_pipeline.components.ExpectationSuites"
TYPES = (RUN_LOGS_TYPE, ALERTS_TYPE, DAILY_SEAL_TYPE, PRIVACY_TYPE, REPORT_TYPE, EXPECTATION_SUITES_TYPE)
_OURS = "audit_pipeline."
_NEAR = 0.9  # all begin alike
_KEYS = ("type", "attributes", "requirements", "post_processing", "template_vars_module")  # as Dagster has them


def find_components(root: Path, type_name: str) -> list[Document]:
    """The attributes of every component of a type, in order of file."""
    return attributes_of(_documents(root), type_name)


def attributes_of(documents: Sequence[Document], type_name: str) -> list[Document]:
    """The attributes of those documents that are components of a type."""
    found = [document for document in documents if _type(document) == type_name]
    for document in found:
        for key in document.keys:
            if key not in _KEYS:
                raise _wrong_key(document, key, unknown_key(key, _KEYS, document.keys))
        if "attributes" not in document.keys:
            line = document.line_of("type")
            raise PolicyError(f"{document.file}:{line}: the component {type_name} has no attributes; give it some")
    return [document.child("attributes") for document in found]


def only_component(root: Path, type_name: str, model: type[Model]) -> Model | None:
    found = find_components(root, type_name)
    if len(found) > 1:
        # Its assets have fixed names, so a second one could not be loaded.
        raise PolicyError(f"{found[1].file}: a second component of type {type_name}; merge it into {found[0].file}")
    return found[0].parse(model) if found else None


def load_run_logs(root: Path) -> RunLogsAttributes:
    """What the component RunLogs says, without which there is no policy.

    Raises:
        PolicyError: there is none, or one of our components has no type that we know.
    """
    for document in _documents(root):
        _refuse_type(document)
    if (said := only_component(root, RUN_LOGS_TYPE, RunLogsAttributes)) is not None:
        return said
    for document in _documents(root):
        _refuse_near(document)
    raise PolicyError(f"{root / 'assets'}: no component of type {RUN_LOGS_TYPE}; `audit-pipeline init DIR` shows one")


def _documents(root: Path) -> list[Document]:
    files = sorted(file for name in ("defs.yaml", "defs.yml") for file in (root / "assets").rglob(name))
    return [document for file in files for document in read_documents(file, read_text(file))]


def _type(document: Document) -> str | None:
    return str(document.child("type").node.value) if "type" in document.keys else None


def _refuse_type(document: Document) -> None:
    """Refuse a type that says it is ours and is not: without its seal or its suites, a policy promises less."""
    name = _type(document)
    if name is not None and name.startswith(_OURS) and name not in TYPES:
        cure = did_you_mean(name, TYPES, f"give one of {', '.join(TYPES)}", _NEAR)
        raise _wrong_type(document, name, cure)


def _refuse_near(document: Document) -> None:
    """Refuse, where RunLogs is missing, what may be meant for it: a type nearly ours, or a misspelt `type`."""
    name = _type(document)
    if name is None:
        for key in document.keys:
            if key not in _KEYS and (said := did_you_mean(key, ["type"], "")):
                raise _wrong_key(document, key, f"unknown key; {said}")
    elif name not in TYPES and (cure := did_you_mean(name, [RUN_LOGS_TYPE], "", _NEAR)):
        raise _wrong_type(document, name, cure)


def _wrong_key(document: Document, key: str, said: str) -> PolicyError:
    return PolicyError(f"{document.file}:{document.line_of(key)}: {dotted((key,))}: {said}")


def _wrong_type(document: Document, name: str, cure: str) -> PolicyError:
    line = document.line_of("type")
    return PolicyError(f"{document.file}:{line}: there is no component of type {dotted((name,))}; {cure}")
