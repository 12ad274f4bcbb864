"""Lines as Arrow sees them where they lie in a source."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.lake.data_files import write_parquet
from audit_pipeline.lake.declared import RECORDS
from audit_pipeline.sources.batching import line_views
from tests.lakes import LakeForTests

NO_NEWLINE = st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"."))


@given(st.lists(NO_NEWLINE, min_size=1), st.booleans())
def test_views_of_lines_are_the_lines(lines: list[bytes], has_end: bool) -> None:
    has_end |= not lines[-1]  # an empty last line without its newline is none
    text = b"\n".join(lines) + b"\n" * has_end

    views = line_views(memoryview(text), np.array(list(map(len, lines)), np.int64))

    views.validate(full=True)
    assert views.to_pylist() == lines


@pytest.mark.parametrize("length", [0, 1, 4, 11, 12, 13, 14])
def test_views_end_where_their_line_ends(length: int) -> None:
    lines = [b"x" * length, b"y" * length]

    views = line_views(memoryview(b"\n".join(lines) + b"\n"), np.array([length, length]))

    views.validate(full=True)
    assert views.to_pylist() == lines


def test_a_data_file_has_its_rows_and_nothing_else_of_the_memory(lake: LakeForTests) -> None:
    """Two lines are of one status for different reasons. Written again from its rows, the file is as long."""
    lake.land("odd.jsonl", b'{"n":1}\nnot json\n\xff\n')
    lake.ingest()
    (path,) = (lake.places.lake / "restricted/records/runs").rglob("*.parquet")
    again = pa.BufferOutputStream()
    with write_parquet(again, RECORDS.schema, RECORDS.indexed) as writer:
        writer.write_table(pq.ParquetFile(path).read().cast(RECORDS.schema))

    assert column_bytes(path) == column_bytes(pa.BufferReader(again.getvalue()))


def column_bytes(file: Path | pa.NativeFile) -> dict[str, int]:
    group = pq.read_metadata(file).row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    return {column.path_in_schema: column.total_uncompressed_size for column in columns}
