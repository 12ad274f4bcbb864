"""What adapters say of themselves, for docs/formats.md; conftest.py compares it with what they give in every test."""

import pytest

from audit_pipeline.formats.adapters import ADAPTERS
from audit_pipeline.records.events import EVENT_SCHEMAS

TOOLS = sorted(name for name, adapter in ADAPTERS.items() if adapter.has_events)


@pytest.mark.parametrize("name", TOOLS)
def test_an_adapter_says_which_files_it_reads_and_into_which_columns(name: str) -> None:
    adapter = ADAPTERS[name]

    assert adapter.reads.endswith(".")
    assert adapter.fields
    for column, origin in adapter.fields.items():
        table, _, field = column.partition(".")
        assert field in EVENT_SCHEMAS[table].names, column
        assert origin
        assert "\n" not in origin


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_format_has_a_name_that_a_seal_can_hold(name: str) -> None:
    adapter = ADAPTERS[name]

    assert name == adapter.name
    assert name.isascii()
    assert name.isidentifier()
    assert adapter.version >= 1
    assert adapter.containers
