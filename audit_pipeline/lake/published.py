"""Published releases in their table: of each, the first draw stands, and is given back ever after."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pyarrow as pa

from audit_pipeline.errors import ProofError
from audit_pipeline.lake.audit_rows import append_rows, audit_file
from audit_pipeline.lake.declared import LEDGER, RELEASES
from audit_pipeline.lake.marks import newest_mark
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.reservations import read_reservations
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.privacy.ledger import Reservation
from audit_pipeline.records import canonical

RELEASE_APP = "dp-release"


def find_published(lake: Lake, key: str) -> dict[str, Any] | None:
    """The row of the release `key`; None where none was drawn to the end.

    A draw whose file was put and not committed, by a run that died in between, is published as it is.

    Raises:
        ProofError: what is there was not paid for by a reservation that the mark covers, so no run of ours drew it.
    """
    releases = lake.open(RELEASES)
    return _published(lake, releases, key) if releases.files.exists(audit_file(_app(key), 1)) else None


def publish(lake: Lake, row: Mapping[str, Any], nonce: bytes) -> dict[str, Any]:
    """Publish the row of a release, unless it is published: gives back the one that stands."""
    releases, key = lake.open(RELEASES), row["release_key"]
    _append(releases, row, nonce)
    return _published(lake, releases, key)


def release_fault(row: Mapping[str, Any], reservations: Mapping[int, Reservation]) -> str:
    """What of a published row is not as the reservation that paid for it says; empty where all is."""
    paid = reservations.get(row["reservation"])
    if paid is None or paid.key != row["release_key"]:
        return "published under no reservation of the ledger"
    said = (row["release"], row["revision"], row["day"], row["last_day"])
    if said != (paid.release, paid.revision, paid.window.first, paid.window.last):
        return "is not of the release and the window that were reserved"
    try:
        price = canonical.load_json(row["manifest"])["privacy_loss"]["privacy_parameters"]["rho"]
        is_paid = Fraction(price) == paid.price.rho
    except (ValueError, LookupError, TypeError, ZeroDivisionError):
        is_paid = False
    return "" if is_paid else "its manifest does not say the price that was reserved"


def _published(lake: Lake, releases: OpenTable, key: str) -> dict[str, Any]:
    name = audit_file(_app(key), 1)
    path = releases.files.path(name)
    rows = releases.read_file(name, releases.table.schema.names).to_pylist()
    if len(rows) != 1 or rows[0]["release_key"] != key:
        raise ProofError(f"{path}: is not the release of its name; remove it and run again")
    # A draw is made after its reservation was marked, outside of what the lake's writers can change.
    if fault := release_fault(rows[0], _marked(lake)):
        raise ProofError(f"{path}: {fault} that was marked: nothing of ours put it there; remove it and run again")
    if releases.transaction(_app(key)) == 0:
        _append(releases, rows[0], b"")  # the file is there, and committed as it is
    return dict(rows[0])


def _marked(lake: Lake) -> dict[int, Reservation]:
    """By number, the reservations up to the one that the newest mark names."""
    _, mark = newest_mark(lake.marks)
    reservations = read_reservations(lake.open(LEDGER))
    newest = next((row.number for row in reservations if mark is not None and row.digest == mark.ledger), 0)
    return {row.number: row for row in reservations if row.number <= newest}


def _append(releases: OpenTable, row: Mapping[str, Any], nonce: bytes) -> None:
    rows = pa.Table.from_pylist([dict(row)], schema=RELEASES.schema)
    append_rows(releases, _app(row["release_key"]), 0, rows, row["published_at"], nonce)


def _app(key: str) -> str:
    return f"{RELEASE_APP}/{key}"
