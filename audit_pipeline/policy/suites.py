"""The suites and waivers of a policy: `expectations/<table>.json` and `expectations/waivers/*.yaml`.

A suite is refused as a whole, with file and line, when a type, column, key or query of it is wrong: Great Expectations
drops what it does not know, and a check that is not there never fails.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import duckdb
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from audit_pipeline.errors import PolicyError
from audit_pipeline.policy.documents import read_documents, read_text
from audit_pipeline.policy.models import Day
from audit_pipeline.policy.refusals import dotted, refusal
from audit_pipeline.quality.day_database import MACROS
from audit_pipeline.quality.findings import Waiver
from audit_pipeline.quality.suites import PARAMETER, REFERENCE, Expectation, Past, Suite
from audit_pipeline.quality.vocabulary import NAMES_ROWS, NOT_HERE, known_types, query_columns, wrong_values
from audit_pipeline.records.events import EVENT_SCHEMAS

SUITES_FOLDER = "expectations"
WAIVERS_FOLDER = "waivers"
_NAME = re.compile(r"[A-Za-z0-9_]+")  # as Dagster has it of checks
_JOIN = re.compile(r"\bJOIN\b", re.IGNORECASE)
_PARAMETER_NAME = re.compile(r"[A-Za-z_]\w*")


class PastAttributes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    days: int = Field(default=28, ge=1)
    at_least: int = Field(default=7, ge=1)


class OwnAttributes(BaseModel):
    """What a suite says to us, in `meta.audit` of an expectation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(default=None, pattern=f"^{_NAME.pattern}$")
    blocking: bool = False
    past: PastAttributes | None = None


class ExpectationMeta(BaseModel):
    """Great Expectations lets everybody put something under a name of theirs; ours is `audit`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    audit: OwnAttributes = OwnAttributes()


class ExpectationAttributes(BaseModel):
    """An expectation as a native suite has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    kwargs: dict[str, Any]
    severity: Literal["critical", "warning", "info"] = "critical"
    description: str = ""
    notes: str | list[str] | None = None
    meta: ExpectationMeta = ExpectationMeta()
    id: str | None = None
    rendered_content: list[Any] | None = None


class SuiteAttributes(BaseModel):
    """A native suite."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    expectations: tuple[ExpectationAttributes, ...] = Field(min_length=1)
    meta: dict[str, Any] = Field(default_factory=dict)
    notes: str | list[str] | None = None
    suite_parameters: dict[str, Any] = Field(default_factory=dict)
    id: str | None = None


class WaiverAttributes(BaseModel):
    """A failing expectation that somebody answers for, until a day."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: str
    expectation: str
    who: str = Field(min_length=1)
    why: str = Field(min_length=1)
    until: Day


def load_suites(
    folder: Path, schemas: Mapping[str, pa.Schema | None], reference: str = REFERENCE, only: str | None = None
) -> tuple[Suite, ...]:
    """The suites in `folder`, by table, or the one of the table `only`.

    `schemas`: the tables there are; None of one whose columns nobody knows yet, and which are not looked at then.

    Raises:
        PolicyError: a suite is wrong; it names the file and the line.
    """
    with duckdb.connect() as empty:
        empty.execute(MACROS)
        for name, schema in schemas.items():
            if schema is not None:
                empty.from_arrow(schema.empty_table()).create(name)
        files = sorted(folder.glob(f"{only or '*'}.json"))
        return tuple(_Reading(file, schemas, empty, reference).suite() for file in files)


def load_quality(folder: Path) -> tuple[tuple[Suite, ...], tuple[Waiver, ...]]:
    """The suites of the event tables, of which there is one or more, and their waivers.

    Raises:
        PolicyError: as load_suites and load_waivers, or there is no suite.
    """
    suites = load_suites(folder, EVENT_SCHEMAS)
    if not suites:
        raise PolicyError(f"{folder}: no suite; put one there, such as annotations.json, or remove the component")
    return suites, load_waivers(folder / WAIVERS_FOLDER, suites)


def load_waivers(folder: Path, suites: Sequence[Suite]) -> tuple[Waiver, ...]:
    """The waivers in `folder`, in order of file.

    Raises:
        PolicyError: a waiver is wrong, or is of no expectation that there is; it names the file and the line.
    """
    names = {(suite.table, one.name) for suite in suites for one in suite.expectations}
    found = []
    for file in sorted(folder.glob("*.y*ml")):
        for document in read_documents(file, read_text(file)):
            said = document.parse(WaiverAttributes)
            if (said.table, said.expectation) not in names:
                line = document.child("expectation").line
                raise PolicyError(
                    f"{file}:{line}: no expectation {said.expectation!r} of the table {said.table!r}; "
                    "a waiver of what is not checked would hide that: correct or remove it"
                )
            found.append(Waiver(**said.model_dump()))
    return tuple(found)


class _Reading:
    """One suite's file, and how it says where something is wrong."""

    def __init__(
        self, file: Path, schemas: Mapping[str, pa.Schema | None], empty: duckdb.DuckDBPyConnection, reference: str
    ) -> None:
        self._file, self._schemas, self._empty, self._reference = file, schemas, empty, reference
        self._table = file.stem
        self._schema = schemas.get(self._table)
        self._text = read_text(file)

    def suite(self) -> Suite:
        if self._table not in self._schemas:
            raise PolicyError(
                f"{self._file}: no table {self._table!r}; name the file for one of {', '.join(sorted(self._schemas))}"
            )
        said = self._said()
        types = Counter(_derived_name(one.type, one.kwargs) for one in said.expectations)
        expectations: list[Expectation] = []
        for index, one in enumerate(said.expectations):
            self._check(index, one)
            name = one.meta.audit.name or _derived_name(one.type, one.kwargs)
            if any(name == other.name for other in expectations) or (not one.meta.audit.name and types[name] > 1):
                self._refuse(f"a second expectation named {name!r}; give each a name in meta.audit.name", index)
            past = one.meta.audit.past
            expectation = Expectation(
                name=name,
                type=one.type,
                kwargs=one.kwargs,
                severity=one.severity,
                description=one.description or name.replace("_", " "),
                is_blocking=one.meta.audit.blocking,
                past=Past(past.days, past.at_least) if past else None,
            )
            self._check_parameters(index, expectation)
            expectations.append(expectation)
        digest = hashlib.sha256(self._text.encode()).hexdigest()
        return Suite(self._table, tuple(expectations), self._file.name, digest)

    def _said(self) -> SuiteAttributes:
        value = _read_json(self._file, self._text)
        try:
            return SuiteAttributes.model_validate(value)
        except ValidationError as err:
            where, message = refusal(err, SuiteAttributes, value)
            name = dotted(where) or "suite"
            raise PolicyError(f"{self._file}:{self._line(*where)}: {name}: {message}") from err

    def _check(self, index: int, one: ExpectationAttributes) -> None:
        if one.type in NOT_HERE:
            self._refuse(f"{one.type}: {NOT_HERE[one.type]}", index, "type")
        if one.type not in known_types():
            self._refuse(
                f"{one.type!r} is no expectation that is known; {_nearest(one.type, known_types())}", index, "type"
            )
        for path, message in wrong_values(one.type, one.kwargs):
            self._refuse(message, index, "kwargs", *path)
        if self._schema is None:
            return
        expectation = Expectation("", one.type, one.kwargs)
        for column in expectation.columns():
            if column not in self._schema.names:
                key = next((key for key, value in one.kwargs.items() if column in str(value)), "")
                message = f"the table {self._table} has no column {column!r}; {_nearest(column, self._schema.names)}"
                self._refuse(message, index, "kwargs", key)
        if expectation.query is not None:
            self._check_query(index, expectation, expectation.query)

    def _check_query(self, index: int, one: Expectation, query: str) -> None:
        """Run it on tables without rows, so that a column that is not there is found before a day is judged."""
        if "{batch}" not in query:
            self._refuse("the query does not read {batch}, so it would not judge the day", index, "kwargs")
        try:
            # As Great Expectations has it: with a JOIN, the query gives the batch a name of its own.
            name = "" if _JOIN.search(query) else " AS subselect"
            found = self._empty.execute(query.format(batch=f'(FROM "{self._table}"){name}'))
        except (duckdb.Error, LookupError, ValueError) as err:
            message = " ".join(str(err).split())[:300]
            self._refuse(f"the query does not run: {message}; correct it", index, "kwargs")
        given = [column[0] for column in found.description or ()]
        wanted = query_columns(one.type, one.kwargs) + ((self._reference,) if one.type in NAMES_ROWS else ())
        if missing := [name for name in wanted if name not in given]:
            self._refuse(f"the query gives no column {missing[0]!r}; expected {', '.join(wanted)}", index, "kwargs")

    def _check_parameters(self, index: int, expectation: Expectation) -> None:
        said = [
            value[PARAMETER] for value in expectation.kwargs.values() if isinstance(value, dict) and PARAMETER in value
        ]
        for text in said:
            unknown = [name for name in _PARAMETER_NAME.findall(str(text)) if name != expectation.usual]
            if unknown or expectation.past is None:
                message = f"{PARAMETER} {text!r}: expected {expectation.usual}, and meta.audit.past beside it"
                self._refuse(message, index, "kwargs")
        if expectation.past is not None and not said:
            self._refuse(f"meta.audit.past without a {PARAMETER} that reads {expectation.usual}", index, "meta")

    def _refuse(self, message: str, index: int, *path: str | int) -> NoReturn:
        raise PolicyError(f"{self._file}:{self._line('expectations', index, *path)}: {message}")

    def _line(self, *path: str | int) -> int:
        """JSON is YAML, whose reader knows lines. They are all that is taken from it: it reads 1e3 as a text."""
        (document,) = read_documents(self._file, self._text.replace("\t", " "))
        return document.line_of(*path)


def _read_json(file: Path, text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except _TwiceError as err:
        raise PolicyError(f"{file}: the key {err} is given twice in an object; keep one") from err
    except json.JSONDecodeError as err:
        raise PolicyError(f"{file}:{err.lineno}: not JSON: {err.msg}; correct this line") from err


class _TwiceError(Exception):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON readers keep the last of two keys and say nothing: a bound could vanish."""
    if len(pairs) > len(dict(pairs)):
        raise _TwiceError(repr(Counter(key for key, _ in pairs).most_common(1)[0][0]))
    return dict(pairs)


def _derived_name(type_: str, kwargs: Mapping[str, Any]) -> str:
    """A name of an expectation that has none: what it says of which column."""
    columns = Expectation("", type_, kwargs).columns()
    return re.sub(r"\W+", "_", "_".join([type_.removeprefix("expect_"), *columns]))


def _nearest(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, known, 1)
    return f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known[:60])}"
