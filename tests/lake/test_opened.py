"""A lake opens each table once, and sees what others wrote meanwhile."""

import pyarrow as pa
import pytest

from audit_pipeline.lake import tables
from audit_pipeline.lake.commits import Commit
from audit_pipeline.lake.declared import SEALS
from audit_pipeline.lake.opened import open_lake
from tests.lakes import LakeForTests


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables whose logs were read, in order."""
    names: list[str] = []
    read = tables._open

    def count(table: tables.Table, *arguments: object) -> object:
        names.append(table.name)
        return read(table, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(tables, "_open", count)
    return names


def test_a_table_is_not_read_again_after_our_own_commit(lake: LakeForTests, loaded: list[str]) -> None:
    opened = lake.lake
    first, kept = opened.open(SEALS), opened.open(SEALS)
    assert first.commit(Commit(0, "app", 1, ()), 0)

    again = opened.open(SEALS)

    assert loaded == ["seals", "seals"]
    assert (first.version, again.version, kept.version) == (1, 1, 0)
    assert (again.transaction("app"), kept.transaction("app")) == (1, 0)


def test_what_another_process_committed_is_seen(lake: LakeForTests, loaded: list[str]) -> None:
    opened, other = lake.lake, open_lake(lake.places)
    assert opened.open(SEALS).once("rows", lambda: pa.table({"n": [1]})).num_rows == 1
    assert other.open(SEALS).commit(Commit(0, "app", 1, ()), 0)

    found = opened.open(SEALS)

    assert found.version == 1
    assert found.once("rows", lambda: pa.table({"n": [1, 2]})).num_rows == 2
