"""Exact, bounded rows in DuckDB: what every statistic counts, and nothing else.

Bounding keeps, of each annotator, the `max_rows` eligible rows with the least keyed hashes. The hash is of the row's
name and was stored when the row was derived, so that which rows are kept depends on no value, on no other person and
on no engine. One annotator more or less changes the bounded rows by at most `max_rows`, all theirs.

Values never leave in an error: DuckDB quotes what it cannot convert.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from audit_pipeline.errors import StorageError
from audit_pipeline.privacy.sql import Query, texts
from audit_pipeline.privacy.unit import KEY_COLUMNS, NUMBER_COLUMNS, ProtectedUnit

SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string()) for name in ("annotator_id", "bounding_hash", "annotator_kind", "source_id")),
        *(pa.field(name, pa.string()) for name in ("item_id", *KEY_COLUMNS, "model_a", "model_b")),
        *(pa.field(name, pa.float64()) for name in NUMBER_COLUMNS),
    ]
)
"""Rows of `annotations` as they are given: with the names of the models that wrote the responses, where known."""

# Nothing is loaded, and nothing is written: a temporary file would hold rows.
_CLOSED: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "temp_directory": "",
    "preserve_insertion_order": False,
}


def eligible(unit: ProtectedUnit, rows: pa.Table) -> pa.Table:
    """The rows that may count: of a person with a name, and handed in. A row without a name could be anybody's."""
    is_one = pc.is_valid(rows["annotator_id"])
    is_one = pc.and_(is_one, pc.is_in(rows["annotator_kind"], pa.array(unit.kinds, pa.string())))
    statuses = pc.fill_null(rows["status"], "unknown")
    return rows.filter(pc.and_(is_one, pc.is_in(statuses, pa.array(unit.statuses, pa.string()))))


def used_up(unit: ProtectedUnit, windows: Iterable[Iterable[pa.Table]]) -> pa.Array:
    """The annotators who have eligible rows in `max_windows` or more of `windows`, and may enter no other."""
    active = [pc.unique(pa.concat_tables([eligible(unit, t) for t in rows])["annotator_id"]) for rows in windows]
    counted = pc.value_counts(pa.chunked_array(active, pa.string()))
    return counted.field("values").filter(pc.greater_equal(counted.field("counts"), unit.max_windows))


class BoundedRows:
    """The rows of one window that may count. A context: they live in memory until it ends."""

    def __init__(self, unit: ProtectedUnit, rows: Iterable[pa.Table], left_out: pa.Array | None = None) -> None:
        """`rows` have columns of `SCHEMA`, all the same ones; `left_out` are annotators of whom none may count."""
        self._database = duckdb.connect(config=_CLOSED)
        given = (eligible(unit, table) for table in rows)
        first = next(given, SCHEMA.empty_table())
        batches = (batch for table in chain([first], given) for batch in table.to_batches())
        self._database.register("given", pa.RecordBatchReader.from_batches(first.schema, batches))
        self._database.register("left_out", pa.table({"annotator_id": left_out or pa.array([], pa.string())}))
        kept = ", ".join(f"{name} := {name}" for name in first.schema.names)
        self._run(f"""
            CREATE TABLE bounded AS SELECT kept.* FROM (
                SELECT unnest(arg_min(struct_pack({kept}), bounding_hash, {unit.max_rows})) AS kept
                FROM given WHERE annotator_id NOT IN (FROM left_out) GROUP BY annotator_id
            )""")

    def where(self, where: Mapping[str, Sequence[str]]) -> Query:
        """Answers SQL over `chosen`: the bounded rows whose columns have one of the declared values.

        Choosing comes after bounding, so that what is chosen of an annotator is again at most `max_rows` rows.
        """
        conditions = [f"{column} IN {texts(values)}" for column, values in sorted(where.items())]
        chosen = f"WITH chosen AS (FROM bounded WHERE {' AND '.join(['true', *conditions])})"
        return lambda sql: self._run(f"{chosen} {sql}")

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(sql).fetchall()
        except (duckdb.Error, pa.ArrowException):
            pass  # what it says may quote a row
        raise StorageError("annotations: the bounded rows could not be aggregated; give the process more memory")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._database.close()
