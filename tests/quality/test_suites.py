"""Suites and waivers as the policy's files have them: what is wrong is refused, with file and line."""

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from audit_pipeline.errors import PolicyError
from audit_pipeline.policy.suites import load_suites, load_waivers
from audit_pipeline.quality.suites import needed_columns
from audit_pipeline.quality.vocabulary import NOT_HERE, known_types
from audit_pipeline.records.events import EVENT_SCHEMAS

NOT_NULL = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "loss"}}
ROWS = {
    "type": "unexpected_rows_expectation",
    "kwargs": {"unexpected_rows_query": "SELECT event_id FROM {batch} WHERE loss = 0"},
}
VALUE = {
    "type": "expect_query_value_to_be_between",
    "kwargs": {"query": "SELECT avg(kl) AS value FROM {batch}", "max_value": 5},
}
VOLUME = {
    "type": "expect_table_row_count_to_be_between",
    "kwargs": {"min_value": {"$PARAMETER": "usual_volume / 4"}, "max_value": None},
    "meta": {"audit": {"name": "volume", "past": {"days": 7, "at_least": 2}}},
}
del VOLUME["kwargs"]["max_value"]  # type: ignore[attr-defined]


def write(folder: Path, *expectations: dict[str, Any], table: str = "policy_updates", **more: Any) -> Path:
    """A suite, indented as people keep it: the first expectation's lines begin at 4."""
    file = folder / f"{table}.json"
    file.write_text(json.dumps({"name": table, "expectations": list(expectations), **more}, indent=2))
    return file


def changed(expectation: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    made = copy.deepcopy(expectation)
    at = made
    for key in path[:-1]:
        at = at.setdefault(key, {})
    at[path[-1]] = to
    return made


def test_a_native_suite_is_read_with_names_severities_and_ours(tmp_path: Path) -> None:
    blocking = changed(ROWS, "meta", to={"audit": {"name": "loss_real", "blocking": True}, "mine": 1})
    write(tmp_path, changed(NOT_NULL, "severity", to="warning"), blocking, VOLUME)

    (suite,) = load_suites(tmp_path, EVENT_SCHEMAS)

    first, second, third = suite.expectations
    assert (suite.table, suite.file, len(suite.digest)) == ("policy_updates", "policy_updates.json", 64)
    assert (first.name, first.severity, first.is_blocking) == ("column_values_to_not_be_null_loss", "warning", False)
    assert (second.name, second.severity, second.is_blocking) == ("loss_real", "critical", True)
    assert third.past is not None
    assert (third.past.days, third.past.at_least) == (7, 2)


@pytest.mark.parametrize(
    ("expectation", "line", "message"),
    [
        (changed(NOT_NULL, "type", to="expect_column_values_to_not_be_nul"), 5, "did you mean"),
        (changed(NOT_NULL, "type", to="expect_column_values_to_match_regex"), 5, "regexp_matches"),
        (changed(NOT_NULL, "kwargs", "column", to="los"), 7, "no column 'los'; did you mean 'loss'"),
        (changed(NOT_NULL, "kwargs", "colum", to="loss"), 8, "unknown key 'colum'"),
        (changed(NOT_NULL, "kwargs", "row_condition", to='col("lose").notNull()'), 8, "no column 'lose'"),
        (changed(NOT_NULL, "kwargs", "mostly", to=95), 8, "is not allowed"),
        (changed(NOT_NULL, "kwargs", to={}), 6, "'column' is missing"),
        (changed(NOT_NULL, "severity", to="fatal"), 9, "expectations.0.severity"),
        (changed(NOT_NULL, "kwarg", to=1), 9, "expectations.0.kwarg: unknown key; remove it"),
        (changed(NOT_NULL, "descripton", to="x"), 9, "unknown key; did you mean description?"),
        (changed(NOT_NULL, "meta", to={"audit": {"blockin": True}}), 11, "unknown key"),
        (changed(NOT_NULL, "meta", to={"audit": {"name": "a b"}}), 11, "name"),
        (changed(NOT_NULL, "meta", to={"audit": {"past": {}}}), 9, "usual_column_values_to_not_be_null_loss"),
        (changed(ROWS, "kwargs", "unexpected_rows_query", to="SELECT event_id FROM {batch} WHERE los = 0"), 6, "los"),
        (changed(ROWS, "kwargs", "unexpected_rows_query", to="SELECT event_id FROM policy_updates"), 6, "{batch}"),
        (changed(ROWS, "kwargs", "unexpected_rows_query", to="SELECT step FROM {batch}"), 6, "'event_id'"),
        (changed(ROWS, "kwargs", "unexpected_rows_query", to="SELECT event_id FROM {batch} JOIN runz ON 1"), 6, "runz"),
        (changed(VALUE, "kwargs", "query", to="SELECT avg(kl) FROM {batch}"), 6, "'value'"),
        (changed(VALUE, "kwargs", to={"query": "SELECT 1 AS value FROM {batch}"}), 6, "not allowed"),
        (changed(VOLUME, "kwargs", "min_value", to={"$PARAMETER": "usual_rows / 4"}), 6, "expected usual_volume"),
        (changed(VOLUME, "meta", to={"audit": {"name": "volume"}}), 6, "meta.audit.past"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_file_and_line(
    tmp_path: Path, expectation: dict[str, Any], line: int, message: str
) -> None:
    file = write(tmp_path, expectation)

    with pytest.raises(PolicyError) as refused:
        load_suites(tmp_path, EVENT_SCHEMAS)

    assert str(refused.value).startswith(f"{file}:{line}: ")
    assert message in str(refused.value)


def test_two_expectations_of_one_name_are_refused(tmp_path: Path) -> None:
    """A check's name must not depend on the order in which a file has its expectations."""
    write(tmp_path, NOT_NULL, changed(NOT_NULL, "kwargs", "mostly", to=0.5))

    with pytest.raises(PolicyError, match=r"policy_updates\.json:4: a second expectation"):
        load_suites(tmp_path, EVENT_SCHEMAS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": "x",\n "expectations": [}', r":2: not JSON"),
        ('{"name": "x", "name": "y", "expectations": []}', "'name' is given twice"),
        ("[]", "policy_updates.json:1: "),
        ('{"name": "x", "expectations": []}', "policy_updates.json:1: expectations"),
    ],
)
def test_what_is_no_suite_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "policy_updates.json").write_text(text)

    with pytest.raises(PolicyError, match=message):
        load_suites(tmp_path, EVENT_SCHEMAS)


def test_a_suite_of_no_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, NOT_NULL, table="policy_update")

    with pytest.raises(PolicyError, match="no table 'policy_update'"):
        load_suites(tmp_path, EVENT_SCHEMAS)


def test_every_type_of_great_expectations_is_known_or_refused_with_what_to_do() -> None:
    """None is dropped silently: that is what Great Expectations itself does with a type it does not know."""
    import great_expectations.expectations as gxe
    from great_expectations.expectations.expectation import MetaExpectation
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    from audit_pipeline.quality import gx_expectations  # noqa: F401 - registers ours

    assert gxe
    assert MetaExpectation
    registered = set(list_registered_expectation_implementations())
    documented = {name for name in registered if not name.startswith("_")}
    assert set(known_types()) <= documented
    assert NOT_HERE.keys() <= set(known_types()) | documented


def test_only_the_columns_that_are_needed_are_read(tmp_path: Path) -> None:
    query = "SELECT r.event_id AS event_id FROM {batch} AS r JOIN generations AS g ON g.event_id = r.generation_id"
    rows = {
        "type": "unexpected_rows_expectation",
        "kwargs": {"unexpected_rows_query": f"{query} WHERE len(completion_text) > score"},
    }
    write(tmp_path, rows, table="reward_scores")

    needed = needed_columns(
        load_suites(tmp_path, EVENT_SCHEMAS), {name: schema.names for name, schema in EVENT_SCHEMAS.items()}
    )

    assert needed == {
        "reward_scores": ["event_id", "generation_id", "score"],
        "generations": ["event_id", "completion_text"],
    }


WAIVER = (
    "table: policy_updates\nexpectation: column_values_to_not_be_null_loss\nwho: Ada\nwhy: known\nuntil: 2026-04-01\n"
)


def test_a_waiver_says_who_why_and_until_when(tmp_path: Path) -> None:
    write(tmp_path, NOT_NULL)
    (tmp_path / "waivers").mkdir()
    (tmp_path / "waivers/one.yaml").write_text(WAIVER)

    (waiver,) = load_waivers(tmp_path / "waivers", load_suites(tmp_path, EVENT_SCHEMAS))

    assert (waiver.who, waiver.why, waiver.until) == ("Ada", "known", date(2026, 4, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("null_loss", "null_los", r"one\.yaml:2: no expectation"),
        ("policy_updates", "runs", r"one\.yaml:2: no expectation"),
        ("who: Ada", "who: ''", r"one\.yaml:3: who"),
        ("until: 2026-04-01", "until: soon", r"one\.yaml:5: until"),
        ("why: known\n", "", r"one\.yaml:1: why"),
        ("why: known", "why: known\nfor: ever", r"one\.yaml:5: for: unknown key"),
    ],
)
def test_a_waiver_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    write(tmp_path, NOT_NULL)
    (tmp_path / "waivers").mkdir()
    (tmp_path / "waivers/one.yaml").write_text(WAIVER.replace(old, new))

    with pytest.raises(PolicyError, match=message):
        load_waivers(tmp_path / "waivers", load_suites(tmp_path, EVENT_SCHEMAS))
