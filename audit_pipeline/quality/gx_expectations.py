"""Expectations that Great Expectations does not have, as classes that it evaluates like its own.

Importing this module takes seconds (it imports Great Expectations) and registers them by their names in suites:
`expect_query_value_to_be_between`, `expect_query_names_to_be_known`, `expect_query_texts_to_differ`,
`expect_agreement_to_be_at_least`.
"""

from typing import Any, ClassVar

import sqlalchemy as sa
from great_expectations.compatibility import pydantic
from great_expectations.core.metric_domain_types import MetricDomainTypes
from great_expectations.core.suite_parameters import SuiteParameterDict
from great_expectations.execution_engine.execution_engine import ExecutionEngine
from great_expectations.execution_engine.sqlalchemy_execution_engine import SqlAlchemyExecutionEngine
from great_expectations.expectations.expectation import BatchExpectation
from great_expectations.expectations.metrics.metric_provider import metric_value
from great_expectations.expectations.metrics.query_metric_provider import QueryMetricProvider

from audit_pipeline.quality.agreement import COHEN, MEASURES, Answered, Judged, agreement, agreement_of_pairs
from audit_pipeline.quality.near_repeats import near_repeats_query
from audit_pipeline.quality.suites import REFERENCE

_Parameter = SuiteParameterDict[str, Any]
ROWS = "audit.query.rows"
NEAR_REPEATS = "audit.query.near_repeats"


class QueryRows(QueryMetricProvider):
    """All rows of a query, as dicts: `query.table` of Great Expectations stops at 200."""

    metric_name = ROWS
    value_keys: tuple[str, ...] = ("query",)

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> list[dict[str, Any]]:
        return cls.rows(execution_engine, metric_domain_kwargs, metric_value_kwargs["query"])

    @classmethod
    def rows(
        cls, execution_engine: SqlAlchemyExecutionEngine, domain_kwargs: dict[str, Any], query: str
    ) -> list[dict[str, Any]]:
        batch, _, _ = execution_engine.get_compute_domain(domain_kwargs, domain_type=MetricDomainTypes.TABLE)
        sql = cls._get_substituted_batch_subquery_from_query_and_batch_selectable(
            query=query, batch_selectable=batch, execution_engine=execution_engine
        )
        return [dict(row._mapping) for row in execution_engine.execute_query(sa.text(sql))]


class NearRepeats(QueryRows):
    """The rows of a query whose `text` nearly repeats an earlier one's."""

    metric_name = NEAR_REPEATS
    value_keys = ("query", "reference", "likeness")

    @metric_value(engine=SqlAlchemyExecutionEngine)
    def _sqlalchemy(
        cls,
        execution_engine: SqlAlchemyExecutionEngine,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        **_: Any,
    ) -> list[dict[str, Any]]:
        said = metric_value_kwargs
        query = near_repeats_query(said["query"], said["reference"], said["likeness"])
        return cls.rows(execution_engine, metric_domain_kwargs, query)


class _QueryExpectation(BatchExpectation):
    """An expectation of what a query gives back. `observed_value` is None where there was too little to judge by."""

    query: str

    metric_dependencies: ClassVar[tuple[str, ...]] = (ROWS,)
    domain_keys: ClassVar[tuple[str, ...]] = ("batch_id",)


class ExpectQueryValueToBeBetween(_QueryExpectation):
    """The query's one row has a `value` between two bounds.

    Where it has `low` and `high` too, the value is known only so well, and the expectation fails where no value between
    them is within the bounds. A `value` that is null, or no row, is too little to judge by.
    """

    min_value: float | _Parameter | None = None
    max_value: float | _Parameter | None = None
    success_keys: ClassVar[tuple[str, ...]] = ("query", "min_value", "max_value")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        row: dict[str, Any] = next(iter(metrics[ROWS]), {})
        if row.get("value") is None:
            return {"success": True, "result": {"observed_value": None, "details": {}}}
        bounds = {name: float(row[name]) for name in ("low", "high") if row.get(name) is not None}
        value = float(row["value"])
        low, high = bounds.get("low", value), bounds.get("high", value)
        return {
            "success": _touches(low, high, self.min_value, self.max_value),
            "result": {"observed_value": value, "details": bounds},
        }


class ExpectQueryNamesToBeKnown(_QueryExpectation):
    """The query gives, as `name`, only names of `known`; as event_id, if at all, a row that has it."""

    known: list[str] | _Parameter
    success_keys: ClassVar[tuple[str, ...]] = ("query", "known")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        assert not isinstance(self.known, SuiteParameterDict)
        known = set(self.known)
        unknown = [row for row in metrics[ROWS] if row["name"] not in known]
        details = {"names": sorted({row["name"] for row in metrics[ROWS]}), "unexpected_rows": unknown}
        return {"success": not unknown, "result": {"observed_value": len(unknown), "details": details}}


class ExpectQueryTextsToDiffer(_QueryExpectation):
    """Of the query's texts, none shares as much as `likeness` of its runs of three words with an earlier one.

    The query gives `text`, and the `reference` that names its row.
    """

    likeness: float = 0.8
    reference: str = REFERENCE
    metric_dependencies: ClassVar[tuple[str, ...]] = (NEAR_REPEATS,)
    success_keys: ClassVar[tuple[str, ...]] = ("query", "likeness", "reference")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        found = metrics[NEAR_REPEATS]
        return {"success": not found, "result": {"observed_value": len(found), "details": {"unexpected_rows": found}}}


class ExpectAgreementToBeAtLeast(_QueryExpectation):
    """Judges of the same items agree, beyond chance, at least so well; fails where the upper bound is below.

    The query gives `item`, `answer` and `judges`: how many judges gave the item that answer; for the measure `cohen`
    instead `judge`: which of them.
    """

    min_value: float
    measure: str = "krippendorff_nominal"
    success_keys: ClassVar[tuple[str, ...]] = ("query", "min_value", "measure")

    @pydantic.validator("measure")
    def _known_measure(cls, measure: str) -> str:
        if measure not in (*MEASURES, COHEN):
            raise ValueError(f"{measure!r}: expected one of {', '.join((*MEASURES, COHEN))}")
        return measure

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: ExecutionEngine[Any] | None = None,
    ) -> dict[str, Any]:
        rows = metrics[ROWS]
        if self.measure == COHEN:
            found = agreement_of_pairs([Answered(row["item"], row["answer"], row["judge"]) for row in rows])
        else:
            found = agreement([Judged(row["item"], row["answer"], row["judges"]) for row in rows], self.measure)
        if found is None:
            return {"success": True, "result": {"observed_value": None, "details": {}}}
        return {
            "success": found.high >= self.min_value,
            "result": {"observed_value": found.value, "details": {"low": found.low, "high": found.high}},
        }


def _touches(low: float, high: float, least: Any, most: Any) -> bool:
    """Whether some value from `low` to `high` lies within the bounds."""
    return (least is None or high >= least) and (most is None or low <= most)
