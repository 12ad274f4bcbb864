"""One error for everything that damaged or hostile bytes can make a decoder raise."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake.exceptions import DeltaError

from audit_pipeline.errors import StorageError

DECODE_ERRORS = (
    pa.ArrowException,
    DeltaError,
    OSError,
    ValueError,  # a date out of range, text that is not UTF-8, JSON that is none
    LookupError,  # a column or key that is not there
    TypeError,
    ArithmeticError,  # a number beyond its type
    AttributeError,  # JSON of another shape
    RecursionError,  # or too deep
    MemoryError,  # or of a size that only a forger writes
)


listener: Callable[[object], None] | None = None
"""Hears what is about to be decoded. A process that decoders may end says so in time; see verify/apart.py."""


@contextmanager
def decoding(what: object, cure: str = "restore it from a backup") -> Iterator[None]:
    """A block that decodes `what`, a file or commit that anybody may have changed.

    Raises:
        StorageError: in place of any decoder's error.
    """
    if listener is not None:
        listener(what)
    try:
        yield
    except DECODE_ERRORS as err:
        raise StorageError(f"{what}: cannot be read; {cure} ({type(err).__name__}: {one_line(err)})") from err


def one_line(err: BaseException) -> str:
    """What an error of a library says, without what obstore adds for its own developers."""
    return " ".join(str(err).partition("Debug source")[0].split())[:300]
