"""Copies on this machine of small objects of a bucket that are created once and read by every run.

Without them a run would ask for each seal, each file of `sources` and each commit there ever was. They are of one lake,
whose id is in the folder's name; whoever writes that folder could as well change the program. `verify` reads none: it
asks the bucket for everything.
"""

import re
import shutil
from pathlib import Path

from audit_pipeline.lake.objects import Folder

_UNCHANGING = re.compile(
    r"(audit/[a-z_]+|restricted/sources)/([a-z_]+/)?[0-9]+\.parquet|[a-z_/]+/_delta_log/[0-9]{20}\.json"
    r"|_seals/.+|_inventory/[0-9]+|tile/.+|[0-9]+"
)
"""Names within a place of the profile: rows of seals and sources, commits; drafts and inventories; tiles; marks."""


class Copies:
    """Of the objects below a place, those that have one. `below` is what the place is called in the profile's place."""

    def __init__(self, folder: Path, below: str) -> None:
        self._folder, self._below = Folder(folder), below

    def get(self, name: str) -> bytes | None:
        return self._folder.get(self._full(name)) if self.has_place_for(name) else None

    def put(self, name: str, content: bytes | memoryview) -> None:
        """Keep what the bucket has now, whatever a copy says that is there already."""
        if self.has_place_for(name) and self.get(name) != content:
            self._folder.replace(self._full(name), bytes(content))

    def has_place_for(self, name: str) -> bool:
        return _UNCHANGING.fullmatch(self._full(name)) is not None

    def path(self, name: str = "") -> Path:
        return self._folder.path(self._full(name))

    def forget(self) -> None:
        """Remove them all: the bucket has an older state than they are of."""
        shutil.rmtree(self.path(), ignore_errors=True)

    def _full(self, name: str) -> str:
        return "/".join(part for part in (self._below, name) if part)
