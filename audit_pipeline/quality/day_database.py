"""One day's rows of some tables in a DuckDB database that Great Expectations reads.

The database is a file in a folder of its own that goes away with it, so that a day may be larger than memory; DuckDB
keeps within `MEMORY` of it. Once filled, it reaches no other file, whatever a query says.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa

MEMORY = "500MB"

MACROS = """
CREATE MACRO spoken(text, messages, tokens) AS coalesce(
    text, array_to_string(list_transform(messages, lambda m: concat(m.role, ': ', m.content)), chr(10)), tokens::VARCHAR
);
CREATE MACRO plain(text) AS trim(regexp_replace(lower(text), '[^\\p{L}\\p{N}]+', ' ', 'g'));
CREATE MACRO share_middle(hits, n) AS (hits / n + 6.635 / (2 * n)) / (1 + 6.635 / n);
CREATE MACRO share_spread(hits, n) AS
    2.576 * sqrt(hits / n * (1 - hits / n) / n + 6.635 / (4 * n * n)) / (1 + 6.635 / n);
CREATE MACRO share_low(hits, n) AS share_middle(hits, n) - share_spread(hits, n);
CREATE MACRO share_high(hits, n) AS share_middle(hits, n) + share_spread(hits, n);
CREATE MACRO corr_bound(r, n, z) AS CASE WHEN abs(r) < 1 AND n > 3 THEN tanh(atanh(r) + z / sqrt(n - 3)) ELSE r END;
CREATE MACRO corr_low(r, n) AS corr_bound(r, n, -2.576);
CREATE MACRO corr_high(r, n) AS corr_bound(r, n, 2.576);
"""
"""What queries of suites may call, beside all that DuckDB has: a prompt or completion as one text, however it is kept;
a text without case and punctuation; the 99% interval (Wilson) of a share; that of a correlation (Fisher)."""


@contextmanager
def day_database(
    tables: Mapping[str, tuple[pa.Schema, Iterable[pa.Table]]],
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database with these tables, by name: their columns, and their rows in parts."""
    with TemporaryDirectory(prefix="audit-quality-") as folder:
        config = {"memory_limit": MEMORY, "temp_directory": str(Path(folder) / "spill")}
        with duckdb.connect(str(Path(folder) / "day.duckdb"), config=config) as database:  # type: ignore[arg-type]
            database.execute("SET TimeZone = 'UTC'")
            database.execute(MACROS)
            for name, (schema, parts) in tables.items():
                _fill(database, name, schema, parts)
            pa.default_memory_pool().release_unused()  # what reading took; from here on DuckDB needs it
            database.execute("SET enable_external_access = false")
            database.execute("SET lock_configuration = true")
            yield database


def _fill(database: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema, parts: Iterable[pa.Table]) -> None:
    database.from_arrow(schema.empty_table()).create(name)
    for part in parts:
        database.from_arrow(part).insert_into(name)
        del part  # else it is there until the next has been read: twice the memory
