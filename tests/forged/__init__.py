"""The kinds of forgeries: what is done, at which places, by whom, and which levels find it. See tests/forgeries.py."""

from tests.forged import files, keys, log, rows, tables
from tests.forgeries import FORGERIES

__all__ = ["KINDS", "files", "keys", "log", "rows", "tables"]

KINDS = tuple(FORGERIES)
