"""One item of a container."""

from audit_pipeline.records.canonical import dump_canonical

Item = tuple[bytes, str, str]
"""(record, status, reason): the record is canonical JSON, the reason of an `ok` item is empty."""

_REST = dump_canonical({"$evidence": "rest"})


def rest(reason: str) -> Item:
    """The last item of a container that cannot be read to its end: from here on its bytes are in `evidence/` alone."""
    return _REST, "quarantined", reason


def is_rest(item: Item) -> bool:
    """Whether the item stands for the rest of a container."""
    return item[0] == _REST and item[1] == "quarantined"
