"""Lines as Arrow sees them where they lie in a source."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_pipeline.sources.batching import line_views

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
