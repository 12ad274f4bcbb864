"""Exact, bounded rows in DuckDB: what every statistic counts, and nothing else.

Bounding keeps, of each annotator, the `max_rows` eligible rows with the least keyed hashes. The hash is of the row's
name and was stored when the row was derived, so that which rows are kept depends on no value, on no other person and
on no engine. One annotator more or less changes the bounded rows by at most `max_rows`, all theirs.

Values never leave in an error: DuckDB quotes what it cannot convert.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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

_ANNOTATOR = pa.field("annotator", pa.int64())
# The first half of a hash, as a number: two rows of one person that shared it would be told apart by chance.
_HASH = "TRY_CAST('0x' || bounding_hash[:16] AS UBIGINT)"
_ITEM = ("source_id", "item_id", "question")
_MADE = {"item": f"if(item_id IS NULL, NULL, hash({', '.join(_ITEM)})) AS item"}
"""An item is what one source calls by one id and question. Of two that fell together, one annotator still moves one."""


def stored_columns(columns: Collection[str]) -> set[str]:
    """The columns of `SCHEMA` of which these are made."""
    return {name for column in columns for name in (_ITEM if column == "item" else (column,))}


# Nothing is loaded, and nothing is written: a temporary file would hold rows.
_CLOSED: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "temp_directory": "",
    "preserve_insertion_order": False,
    "threads": 1,  # more take half as much again of the machine's time, to put together what each has counted
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

    def __init__(
        self,
        unit: ProtectedUnit,
        columns: Collection[str],
        rows: Iterable[pa.Table],
        left_out: pa.Array | None = None,
    ) -> None:
        """`rows` have `stored_columns(columns)` and what bounding needs; of annotators in `left_out` no row counts."""
        self._database = duckdb.connect(config=_CLOSED)
        self._numbers: dict[str, int] = {}
        wanted = sorted({*stored_columns(columns), "bounding_hash"})
        schema = pa.schema([_ANNOTATOR, *(SCHEMA.field(name) for name in wanted)])
        given = (self._numbered(eligible(unit, table), left_out).select(schema.names).cast(schema) for table in rows)
        batches = (batch for table in given for batch in table.to_batches())
        self._database.register("given", pa.RecordBatchReader.from_batches(schema, batches))
        kept = ", ".join(["annotator", f"{_HASH} AS hash", *(_MADE.get(name, name) for name in sorted(columns))])
        self._run(f"CREATE TABLE bounded AS SELECT {kept} FROM given")
        self._run("DELETE FROM bounded WHERE hash IS NULL")  # as a condition above, each hash would be read twice
        # Most annotators have no row too many, so that few rows are put in order.
        self._run(f"""
            DELETE FROM bounded WHERE rowid IN (
                SELECT rowid FROM bounded WHERE annotator IN
                    (SELECT annotator FROM bounded GROUP BY annotator HAVING count(*) > {unit.max_rows})
                QUALIFY row_number() OVER (PARTITION BY annotator ORDER BY hash) > {unit.max_rows}
            )""")

    def _numbered(self, rows: pa.Table, left_out: pa.Array | None) -> pa.Table:
        """The rows with a number in place of each annotator's name, of a quarter of its size."""
        if left_out is not None:
            rows = rows.filter(pc.invert(pc.is_in(rows["annotator_id"], left_out)))
        names = rows["annotator_id"].combine_chunks().dictionary_encode()
        numbers = [self._numbers.setdefault(name, len(self._numbers)) for name in names.dictionary.to_pylist()]
        return rows.append_column(_ANNOTATOR, pa.array(numbers, pa.int64()).take(names.indices))

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
