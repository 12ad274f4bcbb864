"""How statistics ask for exact integers, and texts as SQL writes them."""

from collections.abc import Callable, Sequence
from typing import Any

Query = Callable[[str], list[tuple[Any, ...]]]
"""Gives the rows of an SQL query."""


def text(value: str) -> str:
    """A text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def texts(values: Sequence[str]) -> str:
    return f"({', '.join(map(text, values))})"
