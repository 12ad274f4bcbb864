"""A suite judged by Great Expectations on a day's database.

Great Expectations evaluates every expectation and says what holds; here that is put in the words of a finding, without
any value of a row: its own results hold some.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb

from audit_pipeline.quality.findings import SAMPLE, Finding
from audit_pipeline.quality.suites import PARAMETER, REFERENCE, Expectation, Past, Suite

_ROWS_TYPE = "unexpected_rows_expectation"


def judge(
    suite: Suite, database: duckdb.DuckDBPyConnection, usual: Mapping[str, Any], reference: str = REFERENCE
) -> list[Finding]:
    """One finding for each expectation of the suite, in its order.

    `usual`: by an expectation's name, the median, or all the names, of what it observed on days before. Where there is
    none for one that is compared with them, it is observed all the same, and not judged.
    """
    (rows,) = database.execute(f'SELECT count(*) FROM "{suite.table}"').fetchone() or (0,)  # noqa: S608 - a name
    judged = [one for one in suite.expectations if rows or one.is_of_table]
    parameters = {one.usual: usual.get(one.name, _nothing(one)) for one in judged if one.past is not None}
    results = _validate(suite.table, judged, database, parameters, reference)
    findings = []
    for expectation in suite.expectations:
        if (result := results.get(expectation.name)) is None:
            findings.append(Finding(suite.table, expectation, "not_judged", "no rows on this day"))
            continue
        finding = replace(_finding(suite.table, expectation, result, reference), rows=rows)
        if expectation.past is not None and finding.state in ("passed", "failed"):
            finding = _compared(finding, usual.get(expectation.name), expectation.past)
        findings.append(finding)
    return findings


def _validate(
    table: str,
    expectations: Sequence[Expectation],
    database: duckdb.DuckDBPyConnection,
    parameters: Mapping[str, Any],
    reference: str,
) -> dict[str, Any]:
    """Great Expectations' own results by the expectations' names."""
    # Said before the import, which reads it: no word of a lake's checks leaves the machine unless its owner says so.
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    from audit_pipeline.quality import duckdb_dialect, gx_expectations  # noqa: F401 - registers our expectations

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment] # its own dict, typed otherwise
    reading: dict[str, Any] = {"create_temp_table": False, "kwargs": {"creator": database.cursor}}
    source = context.data_sources.add_sql("day", connection_string=duckdb_dialect.URL, **reading)
    batch = source.add_table_asset(table, table_name=table).add_batch_definition_whole_table("day").get_batch()
    results: dict[str, Any] = {}
    # Only COMPLETE has the rows of a query, at most 200; of a column it would have every failing row.
    for is_rows, result_format in ((True, "COMPLETE"), (False, "SUMMARY")):
        some = [one.native() for one in expectations if (one.type == _ROWS_TYPE) == is_rows]
        if some:
            found = batch.validate(
                gx.ExpectationSuite(name=table, expectations=some),
                result_format={
                    "result_format": result_format,
                    "unexpected_index_column_names": [reference],
                    "partial_unexpected_count": SAMPLE,
                },
                expectation_parameters=dict(parameters),
            )
            for one in found.results:
                assert one.expectation_config is not None
                results[one.expectation_config.meta["name"]] = one
    return results


def _finding(table: str, expectation: Expectation, result: Any, reference: str) -> Finding:
    if (error := _error(result.exception_info)) is not None:
        return Finding(table, expectation, "error", f"Great Expectations could not evaluate it: {error}")
    said: Mapping[str, Any] = result.result
    finding = Finding(table, expectation, "passed" if result.success else "failed")
    if "unexpected_percent_total" in said or "unexpected_percent" in said:
        return _of_rows(finding, said, reference)
    value, details = said.get("observed_value"), said.get("details") or {}
    rows = details.get("unexpected_rows")
    if isinstance(details.get("names"), list):
        finding = replace(finding, names=tuple(details["names"]))
    if rows is not None:
        sample = tuple(sorted(row[reference] for row in rows if row.get(reference)))[:SAMPLE]
        failing = int(value or 0)
        return replace(
            finding, observed=f"{failing} rows", observed_value=float(failing), failing=failing, sample=sample
        )
    if value is None and "unexpected_count" not in said:
        return replace(finding, state="not_judged", reason="too few rows to judge by")
    return replace(finding, observed=_words(value, details), observed_value=_number(value))


def _compared(finding: Finding, usual: Any, past: Past) -> Finding:
    """The finding as it is, where there is something to compare it with."""
    if usual is None:
        reason = f"too little history: observed on fewer than {past.at_least} of the {past.days} days before"
    elif usual == 0:
        reason = "a usual day has none, so that nothing can be compared with it"
    else:
        return finding
    return replace(finding, state="not_judged", reason=reason, failing=None, sample=())


def _of_rows(finding: Finding, said: Mapping[str, Any], reference: str) -> Finding:
    """Of an expectation about each row: how many fail, and which are the first."""
    failing, total = int(said["unexpected_count"]), int(said["element_count"])
    missing = int(said.get("missing_count") or 0)
    found = said.get("partial_unexpected_index_list") or []
    return replace(
        finding,
        observed=f"{failing} of {total - missing} rows fail" + (f", {missing} without a value" if missing else ""),
        observed_value=failing / (total - missing) if total > missing else 0.0,
        failing=failing,
        sample=tuple(sorted(row[reference] for row in found))[:SAMPLE],
    )


def _words(value: Any, details: Mapping[str, Any]) -> str:
    """A number as it is, with its bounds where it has some. Anything else may be content, and stays out."""
    if (number := _number(value)) is None:
        return "see the table"
    bounds = [details[name] for name in ("low", "high") if name in details]
    return f"{number:.6g}" + (f" [{bounds[0]:.6g}, {bounds[1]:.6g}]" if len(bounds) == 2 else "")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _error(info: Any) -> str | None:
    """The kind of error that was raised. Its message may hold values of rows."""
    for one in [info, *info.values()] if isinstance(info, Mapping) else []:
        if isinstance(one, Mapping) and one.get("raised_exception"):
            lines = str(one.get("exception_traceback") or "").strip().splitlines() or ["unknown"]
            kinds = [line.split(":")[0].split(".")[-1] for line in lines if line[:1].isalpha() and "rror" in line]
            return kinds[0] if kinds else "unknown error"
    return None


def _nothing(expectation: Expectation) -> Any:
    """A stand-in for what was observed before, so that today is: no judgement is made of it."""
    return [] if {PARAMETER: expectation.usual} in expectation.kwargs.values() and "known" in expectation.kwargs else 0
