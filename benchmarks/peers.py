"""The plain tools: the same lines written to a Delta table on the same disk, and the same Parquet files decoded.

None of them hashes, salts, proves or commits exactly once. Each is as fast as its documentation shows how to be.
"""

import json
import mmap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakes import Work, first_line

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_BATCH_ROWS = 8192


def plain_arro3(file: Path, home: Path) -> Work:
    """arro3 parses lines into typed columns, delta-rs writes them."""
    from deltalake import write_deltalake

    schema = schema_of(file)

    def write(lines: Path, table: Path) -> None:
        write_deltalake(str(table), parsed(lines, schema), writer_properties=_zstd())

    return _begun(write, file, home)


def plain_arro3_line(file: Path, home: Path) -> Work:
    """The same, with each line's exact bytes kept beside its columns, as ingest keeps them."""
    import pyarrow as pa
    from deltalake import write_deltalake

    schema = schema_of(file)

    def write(lines: Path, table: Path) -> None:
        with_lines = schema.append(pa.field("line", pa.binary()))
        batches = pa.RecordBatchReader.from_batches(with_lines, _with_lines(lines, schema))
        write_deltalake(str(table), batches, writer_properties=_zstd())

    return _begun(write, file, home)


def plain_daft(file: Path, home: Path) -> Work:
    """Lines of text by daft, which reads and writes them as they are."""
    import daft

    def write(lines: Path, table: Path) -> None:
        daft.read_text(str(lines)).write_deltalake(str(table))

    return _begun(write, file, home)


def decode(file: Path, home: Path) -> Work:
    """DuckDB decodes every column of the Parquet files of `records`."""
    import duckdb

    files = data_files(home)
    columns = [name for (name, *_) in duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet({files})").fetchall()]
    query = f"SELECT {', '.join(f'max({name})' for name in columns)} FROM read_parquet({files})"
    connection = duckdb.connect()

    def work() -> None:
        connection.execute(query).fetchall()

    return work


def data_files(home: Path, table: str = "records") -> list[str]:
    """The Parquet files of a table of the lake of a home."""
    folder = home / "lake" / "restricted" / table
    return sorted(str(path) for path in folder.rglob("*.parquet") if "_delta_log" not in path.parts)


def schema_of(file: Path) -> "pa.Schema":
    """The typed columns that the first line has."""
    import arro3.core
    import arro3.io  # noqa: F401
    import pyarrow as pa

    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    with file.open() as lines:
        head = json.loads(lines.readline())
    return pa.schema([(name, types[type(value)]) for name, value in head.items()])


def parsed(file: Path, schema: "pa.Schema") -> Any:
    """Record batches of the typed columns."""
    import arro3.io

    return arro3.io.read_json(str(file), schema, batch_size=_BATCH_ROWS)


def line_ends(content: Any) -> "np.ndarray[Any, Any]":
    """Where each line ends: the offset of its newline."""
    import numpy as np

    piece = 8 << 20  # so that what is compared stays in the cache
    view = np.frombuffer(content, np.uint8)
    return np.concatenate(
        [np.flatnonzero(view[at : at + piece] == ord("\n")) + at for at in range(0, len(view), piece)]
    )


def _begun(write: Callable[[Path, Path], None], file: Path, home: Path) -> Work:
    """The write of the file, after that of its first line elsewhere, with which engines start; ingest does the same."""
    write(first_line(file, home), home / "first")
    return lambda: write(file, home / "plain")


def _with_lines(file: Path, schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
    import numpy as np
    import pyarrow as pa

    with file.open("rb") as opened:
        content = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    ends, row = line_ends(content), 0
    for batch in pa.RecordBatchReader.from_stream(parsed(file, schema)):
        first = ends[row - 1] + 1 if row else 0
        last = ends[row : row + batch.num_rows]
        offsets = np.concatenate([[0], last + 1 - first]).astype(np.int32)
        values = pa.py_buffer(memoryview(content)[first : last[-1] + 1])
        lines = pa.Array.from_buffers(pa.binary(), batch.num_rows, [None, pa.py_buffer(offsets), values])
        yield pa.RecordBatch.from_arrays([*batch.columns, lines], schema=schema.append(pa.field("line", pa.binary())))
        row += batch.num_rows


def _zstd() -> Any:
    from deltalake import WriterProperties

    return WriterProperties(compression="ZSTD", compression_level=1)
