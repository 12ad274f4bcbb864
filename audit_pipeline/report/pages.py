"""The tables on the pages of a report: what the evidence says, without judging it."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import duckdb

from audit_pipeline.report.catalogue import catalogue_text, read_yaml
from audit_pipeline.report.facts import FactTable, Period
from audit_pipeline.report.judging import bounds

NOTHING = "\N{EN DASH}"
MOST_ROWS = 100  # on a page; the lake has the others


def read_pages(database: duckdb.DuckDBPyConnection, period: Period) -> Mapping[str, FactTable]:
    """Every table of `catalogue/pages.yaml`, by name, as text."""
    return {said["name"]: _table(database, period, said) for said in read_yaml(catalogue_text("pages"))}


def empty_pages() -> Mapping[str, FactTable]:
    """The same tables where nothing was read."""
    return {
        said["name"]: FactTable(said["name"], said["title"], said["says"], (), ())
        for said in read_yaml(catalogue_text("pages"))
    }


def _table(database: duckdb.DuckDBPyConnection, period: Period, said: Mapping[str, str]) -> FactTable:
    given = {name: value for name, value in bounds(period).items() if f"${name}" in said["sql"]}
    found = database.execute(said["sql"], given)
    columns = tuple(column[0].replace("_", " ") for column in found.description or ())
    rows = found.fetchmany(MOST_ROWS + 1)
    texts = tuple(tuple(_text(value) for value in row) for row in rows[:MOST_ROWS])
    return FactTable(said["name"], said["title"], said["says"], columns, texts, is_cut=len(rows) > MOST_ROWS)


def _text(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}" if (value.hour, value.minute) != (0, 0) else f"{value:%Y-%m-%d}"
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:g}" if isinstance(value, float) else str(value)
