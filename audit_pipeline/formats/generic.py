"""Formats without events: kept whole as evidence, with no meaning guessed."""

from audit_pipeline.formats.adapter import Adapter

CONTAINERS = ("jsonl", "text", "json", "csv", "parquet", "tfrecord", "sqlite", "whole")
AUDIT_ROWS = "audit_rows"
"""Rows of the pipeline's own audit tables, which it takes in itself."""


def generic_name(container: str) -> str:
    """The format of a file whose container is known and whose tool is not."""
    return f"generic_{container}"


ADAPTERS = (
    *(Adapter(generic_name(container), 1, (container,)) for container in CONTAINERS),
    Adapter("empty", 1, ("text",)),
    Adapter(AUDIT_ROWS, 1, ("jsonl",)),
    Adapter("lfs_pointer", 1, ("text",)),
)
