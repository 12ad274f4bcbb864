"""Which expectations there are, and which keys and values each takes, without importing Great Expectations.

Its own JSON schemas, one an expectation, lie beside its code; to import that takes seconds.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema

_SCHEMAS = "expectations/core/schemas"

NOT_HERE = {
    **dict.fromkeys(
        [
            f"expect_column_values_to_{verb}{what}{some}"
            for verb in ("match_", "not_match_")
            for what in ("regex", "like_pattern")
            for some in ("", "_list")
        ],
        "Great Expectations has no patterns for DuckDB; write unexpected_rows_expectation with regexp_matches or LIKE",
    ),
    "expect_column_values_to_match_strftime_format": "Great Expectations reads no times from SQL; keep times as times",
    "expect_column_values_to_not_be_outliers": "Great Expectations has no outliers for DuckDB; bound the values",
    "expect_query_results_to_match_comparison": "a day is judged by itself; compare in an unexpected_rows_expectation",
    "expect_table_row_count_to_equal_other_table": "compare the counts in an unexpected_rows_expectation",
}
"""Expectations that are known and cannot be judged on a day's database, each with what to do."""

_TEXT = {"type": "string", "minLength": 1}
_PARAMETER = {
    "type": "object",
    "required": ["$PARAMETER"],
    "additionalProperties": False,
    "properties": {"$PARAMETER": _TEXT},
}
_BOUND = {"anyOf": [{"type": "number"}, _PARAMETER]}
OURS: Mapping[str, Any] = {
    "expect_query_value_to_be_between": {
        "required": ["query"],
        "properties": {"query": _TEXT, "min_value": _BOUND, "max_value": _BOUND},
        "anyOf": [{"required": ["min_value"]}, {"required": ["max_value"]}],
    },
    "expect_query_names_to_be_known": {
        "required": ["query", "known"],
        "properties": {"query": _TEXT, "known": {"anyOf": [{"type": "array", "items": _TEXT}, _PARAMETER]}},
    },
    "expect_query_texts_to_differ": {
        "required": ["query"],
        "properties": {
            "query": _TEXT,
            "likeness": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
            "reference": _TEXT,
        },
    },
    "expect_agreement_to_be_at_least": {
        "required": ["query", "min_value"],
        "properties": {
            "query": _TEXT,
            "min_value": {"type": "number"},
            "measure": {
                "enum": ["krippendorff_nominal", "krippendorff_ordinal", "krippendorff_interval", "fleiss", "cohen"]
            },
        },
    },
}
"""The same of the expectations of gx_expectations.py."""

_QUERY_COLUMNS = {
    "unexpected_rows_expectation": (),
    "expect_query_value_to_be_between": ("value",),
    "expect_query_names_to_be_known": ("name",),
    "expect_query_texts_to_differ": ("text",),
    "expect_agreement_to_be_at_least": ("item", "answer", "judges"),
}


def query_columns(type_: str, kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """What the query of an expectation must give back."""
    if kwargs.get("measure") == "cohen":
        return "item", "answer", "judge"
    return _QUERY_COLUMNS[type_]


NAMES_ROWS = ("unexpected_rows_expectation", "expect_query_texts_to_differ")
"""Those whose query gives back the reference as well."""


def known_types() -> list[str]:
    return sorted([*_index(), *OURS])


def wrong_values(type_: str, kwargs: Mapping[str, Any]) -> Iterator[tuple[list[str | int], str]]:
    """(path, what is wrong) of the keys and values that an expectation does not take."""
    schema = OURS[type_] if type_ in OURS else _native(type_)
    for error in jsonschema.Draft7Validator({**schema, "additionalProperties": False}).iter_errors(dict(kwargs)):
        if (
            error.validator == "multipleOf"
        ):  # two decimals are what a page of theirs draws; 0.999 is judged all the same
            continue
        if error.validator == "additionalProperties":
            for key in sorted(error.instance.keys() - schema["properties"].keys()):
                known = ", ".join(name for name in schema["properties"] if name not in _NOT_SAID)
                yield [*error.absolute_path, key], f"unknown key {key!r}; expected {known}"
        elif error.validator == "required":
            missing = [name for name in error.validator_value if name not in error.instance]
            yield list(error.absolute_path), f"{missing[0]!r} is missing; give it"
        else:
            yield list(error.absolute_path), f"{str(error.instance)[:60]!r} is not allowed; {_expected(error)}"


def _expected(error: jsonschema.ValidationError) -> str:
    if error.validator in ("enum", "type"):
        return f"expected {error.validator_value}"
    allowed = [str(one["type"]) for one in error.validator_value if "type" in one] if error.validator == "anyOf" else []
    return (
        f"expected {' or '.join(dict.fromkeys(allowed))}"
        if allowed
        else f"expected {error.validator} {error.validator_value}"
    )


_NOT_SAID = frozenset(
    (
        "id meta notes result_format description catch_exceptions rendered_content severity windows batch_id metadata"
    ).split()
)
"""In their schemas these are beside the kwargs; in a suite they are beside `kwargs`."""


@cache
def _index() -> Mapping[str, Any]:
    said = json.loads((_folder() / "index.json").read_text())
    return dict(said["expectations"])


@cache
def _native(type_: str) -> Mapping[str, Any]:
    schema = json.loads((_folder() / _index()[type_]["schema_file"]).read_text())
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in _NOT_SAID}
    return dict(schema)


def _folder() -> Path:
    found = find_spec("great_expectations")  # of a top-level name: nothing is imported
    assert found is not None
    assert found.submodule_search_locations is not None
    return Path(found.submodule_search_locations[0]) / _SCHEMAS
