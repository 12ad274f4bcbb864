"""Whether all that a record says is in its events."""

import json
from collections.abc import Iterator
from typing import Any


def lost(value: Any, tables: dict[str, list[dict[str, Any]]]) -> list[Any]:
    """Texts and numbers of a record that no event holds. Tests choose values that cannot be there by chance."""
    found = json.dumps(tables, default=str)
    return [leaf for leaf in _leaves(value) if json.dumps(leaf).strip('"') not in found]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _leaves(member)
    elif value is not None and not isinstance(value, bool):
        yield value
