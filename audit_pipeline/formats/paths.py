"""What the path of a log says about its run, where the log itself says nothing."""

import re
from functools import lru_cache
from pathlib import PurePosixPath

_UNNAMED = re.compile(r"(\w+=)?\d{4}-\d{2}-\d{2}|checkpoint-\d+")


@lru_cache(1024)
def file_name(path: str) -> str:
    """Last part of the path, without a suffix that says it is compressed."""
    return re.sub(r"\.(gz|gzip|zst|zstd)$", "", PurePosixPath(path).name)


@lru_cache(1024)
def folder_name(path: str, unnamed: re.Pattern[str] | None = None) -> str | None:
    """The nearest folder that names a run: no checkpoint, no date, not `unnamed`. None where there is none."""
    for folder in reversed(PurePosixPath(path).parts[:-1]):
        if not _UNNAMED.fullmatch(folder) and not (unnamed and unnamed.fullmatch(folder)):
            return folder
    return None
