"""In all tests of formats an adapter may give no column that it does not declare: docs/formats.md is made from that."""

from collections.abc import Iterator
from typing import Any

import pytest

from audit_pipeline.formats.adapter import Metrics
from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.formats.metric_rows import expand
from audit_pipeline.formats.rows import FINDINGS, EventRows


@pytest.fixture(autouse=True, scope="session")
def declared_columns() -> Iterator[None]:
    original = EventRows.add

    def add(self: EventRows, position: int, table: str, values: dict[str, Any] | Metrics) -> None:
        original(self, position, table, values)
        adapter = ADAPTERS.get(str(self._format["source_format"]))
        if adapter is None or table == FINDINGS:
            return
        rows = expand(values) if isinstance(values, Metrics) else [values]
        items = [item for row in rows for item in row.items()]
        given = {"extra_json" if key == "extra" else key for key, value in items if value not in (None, {})}
        missing = {f"{table}.{key}" for key in given} - adapter.fields.keys()
        assert not missing, f"{adapter.name} gives {sorted(missing)} and does not declare them"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EventRows, "add", add)
        yield
