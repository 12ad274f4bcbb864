"""The control catalogue: dated data in `catalogue/*.yaml`, read once, and extended by the controls of a policy."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from audit_pipeline.errors import PolicyError

FILES = ("integrity", "ai_act", "gdpr", "codes_and_standards", "nist")
_DOCUMENT_QUERY = """\
SELECT count(*) AS n, NULL::DOUBLE AS coverage,
       count(*) FILTER (WHERE sha256 IS NULL OR sealed_day IS NULL OR approved_by IS NULL
                        OR review_due IS NULL OR review_due < $end) AS violations
FROM documents WHERE doc_key = '{key}' AND valid_from < $end AND (superseded_at IS NULL OR superseded_at >= $end)
"""
_ON_FILE = (
    "A document registered as '{key}' was in force at the period's end, with a sealed hash, a named approver and a "
    "review date not yet passed: on file and in force, no more."
)
_CONDITION = re.compile(r"(?P<key>[a-z_]+) (?P<how>includes|=) '(?P<value>[^']*)'")
Severity = Literal["low", "medium", "high", "critical"]


class Control(BaseModel):
    """One control: what is required, the query that measures it, and what its PASS does and does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    framework: str
    reference: str
    binding: str
    also: tuple[str, ...] = ()
    law: str | None = None
    """Key into the catalogue's dates of law; None where no law gives a date."""
    applies_when: str = "always"
    severity: Severity
    requirement: str
    document: str | None = None
    """Key of the register `documents`; then the query asks whether such a document is on file and in force."""
    tables: tuple[str, ...] = ()
    may_be_empty: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = {}
    min_n: int = 1
    min_coverage: float | None = None
    max_violations: int = 0
    query: str = ""
    pass_means: str = ""
    cannot_show: str

    @field_validator("id")
    @classmethod
    def _id(cls, text: str) -> str:
        if not re.fullmatch("[A-Z][A-Z0-9-]{1,30}", text):
            raise ValueError(f"{text!r}: expected capitals, digits and '-', at most 31")
        return text

    @field_validator("applies_when")
    @classmethod
    def _condition(cls, text: str) -> str:
        if text != "always" and not _CONDITION.fullmatch(text):
            raise ValueError(f"{text!r}: expected always, KEY = 'VALUE' or KEY includes 'VALUE'")
        return text

    @model_validator(mode="before")
    @classmethod
    def _of_document(cls, said: Any) -> Any:
        """A control that asks for a document needs no words of its own."""
        if not isinstance(said, dict) or not (key := said.get("document")):
            return said
        made = {"tables": ["documents"], "query": _DOCUMENT_QUERY, "pass_means": _ON_FILE}
        if taken := sorted(made.keys() & said.keys()):
            raise ValueError(f"`document` and `{taken[0]}` exclude each other; keep one")
        return {
            **said,
            **{name: text.format(key=key) if isinstance(text, str) else text for name, text in made.items()},
        }

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.query or not self.tables or not self.pass_means:
            raise ValueError(f"control {self.id}: expected `document`, or `query`, `tables` and `pass_means`")
        return self

    @cached_property
    def plain(self) -> dict[str, Any]:
        """Its values as JSON has them."""
        return self.model_dump(mode="json")

    @property
    def is_document(self) -> bool:
        return self.document is not None

    def scope_key(self) -> str | None:
        """The scope question on which it depends."""
        match = _CONDITION.fullmatch(self.applies_when)
        return match["key"] if match else None

    def is_in_scope(self, answer: str) -> bool:
        """Whether an answer to its scope question makes it apply."""
        match = _CONDITION.fullmatch(self.applies_when)
        if match is None:
            return True
        given = [part.strip() for part in answer.split(",")] if match["how"] == "includes" else [answer.strip()]
        return match["value"] in given


class LawDate(BaseModel):
    """From when a law applies, and the same in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    applies_from: date
    says: str


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: str
    dated: date
    reviewed: date
    review_due: date
    legal_basis: str
    law: Mapping[str, LawDate]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The controls of a report, and the state of law they were read from."""

    name: str
    version: str
    dated: date
    reviewed: date
    review_due: date
    legal_basis: str
    law: Mapping[str, LawDate]
    controls: tuple[Control, ...]
    digest: str
    """SHA-256, hex, of the files and of the policy's own controls."""

    def __hash__(self) -> int:
        return hash(self.digest)  # what is made of a catalogue alone is made once

    def applies_from(self, control: Control) -> date | None:
        return self.law[control.law].applies_from if control.law else None


@cache
def load_catalogue() -> Catalogue:
    """The catalogue of this version of the package."""
    texts = {name: catalogue_text(name) for name in ("catalogue", "tables", "pages", *FILES)}
    head = _Head.model_validate(read_yaml(texts["catalogue"]))
    controls = tuple(Control.model_validate(one) for name in FILES for one in read_yaml(texts[name]))
    digest = hashlib.sha256("".join(texts.values()).encode()).hexdigest()
    return _checked(
        Catalogue(
            head.name,
            head.version,
            head.dated,
            head.reviewed,
            head.review_due,
            head.legal_basis,
            head.law,
            controls,
            digest,
        )
    )


def extend(catalogue: Catalogue, own: Iterable[Control], thresholds: Mapping[str, Mapping[str, float]]) -> Catalogue:
    """The catalogue with the controls and thresholds of a policy.

    Raises:
        PolicyError: a control has the id of another, or a threshold is of none.
    """
    extra = tuple(own)
    if not extra and not thresholds:
        return catalogue
    known = {control.id: control for control in (*catalogue.controls, *extra)}
    if len(known) < len(catalogue.controls) + len(extra):
        raise PolicyError("controls: an id is there twice; give your own control another id")
    for id_, values in thresholds.items():
        if id_ not in known or not values.keys() <= known[id_].thresholds.keys():
            raise PolicyError(f"thresholds: {id_}: no such control, or it has no threshold {', '.join(sorted(values))}")
        try:
            known[id_] = known[id_].model_copy(update={"thresholds": {**known[id_].thresholds, **values}})
        except ValidationError as err:
            raise PolicyError(f"thresholds: {id_}: {err.errors()[0]['msg']}") from err
    said = repr([known[one.id].model_dump() for one in (*extra, *(known[id_] for id_ in sorted(thresholds)))])
    digest = hashlib.sha256(f"{catalogue.digest}\n{said}".encode()).hexdigest()
    return _checked(replace(catalogue, controls=tuple(known.values()), digest=digest))


def _checked(catalogue: Catalogue) -> Catalogue:
    for control in catalogue.controls:
        if control.law is not None and control.law not in catalogue.law:
            raise PolicyError(f"control {control.id}: no date of law is called {control.law!r}")
        if not set(control.may_be_empty) <= set(control.tables):
            raise PolicyError(f"control {control.id}: may_be_empty names a table that it does not read")
    return catalogue


def catalogue_text(name: str) -> str:
    return (resources.files("audit_pipeline.report") / "catalogue" / f"{name}.yaml").read_text(encoding="utf-8")


def read_yaml(text: str) -> Any:
    """Our own files: plain values, so that the fast reader, where it is there, gives the same."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(text, Loader=loader)  # noqa: S506 - both are safe loaders
