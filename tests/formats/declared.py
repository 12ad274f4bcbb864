"""Which columns an adapter gives, to be compared with what it declares."""

from typing import Any

_OF_THE_CORE = {
    "day",
    "source_id",
    "generation",
    "snapshot",
    "position",
    "event_id",
    "source_format",
    "adapter_version",
    "bounding_hash",
}


def columns_given(tables: dict[str, list[dict[str, Any]]]) -> set[str]:
    """`table.column` of each value that is not null and not the core's own."""
    return {
        f"{table}.{name}"
        for table, rows in tables.items()
        for row in rows
        for name, value in row.items()
        if table != "log_findings" and value is not None and name not in _OF_THE_CORE and not _is_the_files(name, row)
    }


def _is_the_files(name: str, row: dict[str, Any]) -> bool:
    return name.startswith("event_time") and row["event_time_quality"] in {"file_mtime", "none"}
