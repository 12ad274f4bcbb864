"""Published releases in their table: of each, the first draw stands, and is given back ever after."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from audit_pipeline.errors import ProofError
from audit_pipeline.lake.audit_rows import append_rows, audit_file
from audit_pipeline.lake.declared import RELEASES
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable

RELEASE_APP = "dp-release"


def find_published(lake: Lake, key: str) -> dict[str, Any] | None:
    """The row of the release `key`; None where none was drawn to the end.

    A draw whose file was put and not committed, by a run that died in between, is published as it is.
    """
    releases = lake.open(RELEASES)
    return _published(releases, key) if releases.files.exists(audit_file(_app(key), 1)) else None


def publish(lake: Lake, row: Mapping[str, Any], nonce: bytes) -> dict[str, Any]:
    """Publish the row of a release, unless it is published: gives back the one that stands."""
    releases, key = lake.open(RELEASES), row["release_key"]
    _append(releases, row, nonce)
    return _published(releases, key)


def _published(releases: OpenTable, key: str) -> dict[str, Any]:
    name = audit_file(_app(key), 1)
    rows = releases.read_file(name, releases.table.schema.names).to_pylist()
    if len(rows) != 1 or rows[0]["release_key"] != key:
        raise ProofError(f"{releases.files.path(name)}: is not the release of its name; remove it and run again")
    if releases.transaction(_app(key)) == 0:
        _append(releases, rows[0], b"")  # the file is there, and committed as it is
    return dict(rows[0])


def _append(releases: OpenTable, row: Mapping[str, Any], nonce: bytes) -> None:
    rows = pa.Table.from_pylist([dict(row)], schema=RELEASES.schema)
    append_rows(releases, _app(row["release_key"]), 0, rows, row["published_at"], nonce)


def _app(key: str) -> str:
    return f"{RELEASE_APP}/{key}"
