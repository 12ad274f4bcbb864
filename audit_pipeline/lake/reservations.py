"""The privacy ledger in its table: reservations are appended one after the other, whoever appends.

The file of reservation n is created once; whose it is decides who reserves. A file without its commit is a run's that
died between the two, or is about to commit: it is committed as it is, for a reservation is never taken back.
"""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

import pyarrow as pa

from audit_pipeline.errors import ProofError, StorageError
from audit_pipeline.lake.audit_rows import append_rows, audit_file
from audit_pipeline.lake.declared import LEDGER
from audit_pipeline.lake.opened import Lake
from audit_pipeline.lake.tables import OpenTable
from audit_pipeline.privacy.ledger import Reservation, check_chain
from audit_pipeline.privacy.price import Price
from audit_pipeline.privacy.unit import Window

LEDGER_APP = "dp-ledger"
RESERVE = "reserve"
_ATTEMPTS = 1000  # each lost one is another run's reservation


def read_reservations(ledger: OpenTable) -> list[Reservation]:
    """All reservations, in order.

    Raises:
        StorageError: there are fewer than were committed.
        ProofError: they are no chain.
    """
    rows = ledger.read(ledger.table.schema.names)
    committed = ledger.transaction(LEDGER_APP)
    if len(rows) < committed:
        raise StorageError(f"{ledger.path}: {committed} reservations were committed, {len(rows)} are there; restore it")
    return reservations_of(rows)


def reservations_of(rows: pa.Table) -> list[Reservation]:
    """The reservations that rows of the ledger are, in order: all of them, or the first ones.

    Raises:
        ProofError: they are no chain.
    """
    reservations = [_reservation(row) for row in sorted(rows.to_pylist(), key=lambda row: int(row["number"]))]
    check_chain(reservations)
    return reservations


def append_reservation(
    lake: Lake, decide: Callable[[Sequence[Reservation]], Reservation | None], nonce: bytes
) -> Reservation | None:
    """Append what `decide` makes of the reservations so far, which are still all of them when it is appended.

    None where it makes none; what it raises is raised. `nonce` hides the reservation's file, as `append_rows` says.
    """
    for _ in range(_ATTEMPTS):
        ledger = lake.open(LEDGER)
        rows = read_reservations(ledger)
        mine, next_ = None, _found(ledger, len(rows) + 1)
        if next_ is None:
            mine = next_ = decide(rows)
        if next_ is None:
            return None
        check_chain([*rows, next_])
        is_ours = append_rows(ledger, LEDGER_APP, len(rows), _table(next_), next_.reserved_at, nonce)
        if is_ours or _found(ledger, len(rows) + 1) == mine:
            return mine
    raise StorageError(f"{lake.places.lake}: nothing could be reserved in {_ATTEMPTS} attempts; run again")


def _found(ledger: OpenTable, number: int) -> Reservation | None:
    """The reservation whose file is there, committed or not."""
    name = audit_file(LEDGER_APP, number)
    if not ledger.files.exists(name):
        return None
    rows = ledger.read_file(name, ledger.table.schema.names).to_pylist()
    if len(rows) != 1:
        raise ProofError(f"{ledger.files.path(name)}: expected one reservation; remove it and run again")
    return _reservation(rows[0])


def _table(reservation: Reservation) -> pa.Table:
    fields = {name: getattr(reservation, name) for name in _PLAIN}
    row = {
        **fields,
        "day": reservation.window.first,
        "kind": RESERVE,
        "cadence": reservation.window.cadence,
        "release_key": reservation.key,
        "rho": str(reservation.price.rho),
        "delta": str(reservation.price.delta),
    }
    return pa.Table.from_pylist([row], schema=LEDGER.schema)


def _reservation(row: dict[str, Any]) -> Reservation:
    try:
        return Reservation(
            **{name: row[name] for name in _PLAIN if name != "reserved_at"},
            reserved_at=row["reserved_at"].astimezone(UTC),
            window=Window(row["cadence"], row["day"]),
            key=row["release_key"],
            price=Price.parse(row["rho"], row["delta"]),
        )
    except (ValueError, ZeroDivisionError) as err:
        raise ProofError(
            f"privacy_ledger: reservation {row['number']}: cannot be read; the ledger was changed"
        ) from err


_PLAIN = (
    "number scope period release revision attempt max_windows spec input input_version nonce writer "
    "reserved_at previous"
).split()
