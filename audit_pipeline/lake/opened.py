"""A lake as one value: its places, its identity, its tables."""

import os
from dataclasses import dataclass, field

import pyarrow as pa

from audit_pipeline.lake.declared import TABLES, Table
from audit_pipeline.lake.keys import read_vkey
from audit_pipeline.lake.places import RELEASED, Places
from audit_pipeline.lake.stores import Store, open_store
from audit_pipeline.lake.tables import OpenTable, open_table, table_exists
from audit_pipeline.tlog import parse_vkey


@dataclass(frozen=True, slots=True)
class Lake:
    """An identified lake. The origin names its log and contains `lake_id`; one log serves one lake."""

    places: Places
    origin: str
    lake_id: str
    vkey: str
    _opened: dict[str, OpenTable] = field(default_factory=dict, compare=False, repr=False)
    """Tables as they were last opened: to read a log again takes longer than to see that it is the same."""

    def open(self, table: Table) -> OpenTable:
        """The table at its newest version, made if it is not there."""
        if (known := self._known(table)) is not None:
            return known
        self._opened[table.name] = open_table(table, self.places, self.lake_id)
        return self._opened[table.name].copy()

    def find(self, table: Table) -> OpenTable | None:
        """The table at its newest version, or None. Nothing is written."""
        return self.open(table) if table_exists(table, self.places) else None

    def _known(self, table: Table) -> OpenTable | None:
        known = self._opened.get(table.name)
        newest = None if known is None or known.path != table.uri(self.places) else known.copy()
        return None if newest is None or newest.is_outdated() else newest

    def find_named(self, name: str) -> OpenTable | None:
        return self.find(TABLES[name]) if name in TABLES else None

    @property
    def evidence(self) -> Store:
        return open_store(self.places.evidence)

    @property
    def log(self) -> Store:
        return open_store(self.places.log)

    @property
    def areas(self) -> dict[str, Store]:
        """The stores whose objects inventories list, by what the paths there begin with."""
        stores = {"lake": open_store(self.places.lake), "evidence": self.evidence, "log": self.log}
        apart = self.places.released
        return stores if apart is None else {f"lake/{RELEASED}": open_store(apart), **stores}

    def find_stored(self, path: str) -> tuple[Store, str]:
        """The store of a path that inventories list, and the object's name there."""
        area = next(area for area in self.areas if path.startswith(f"{area}/"))
        return self.areas[area], path.removeprefix(f"{area}/")

    @property
    def marks(self) -> Store:
        return open_store(self.places.marks)


def open_lake(places: Places, vkey: str | None = None) -> Lake:
    """The lake of a profile, named by its key: `vkey`, or the one in the profile's folder of keys.

    Raises:
        InputError: there is no key.
    """
    _choose_memory_pool()
    vkey = vkey or read_vkey(places.keys)
    origin = parse_vkey(vkey).name
    lake_id = origin.rsplit("/", 1)[-1]
    return Lake(places.with_copies(lake_id), origin, lake_id, vkey)


def _choose_memory_pool() -> None:
    """Arrow takes jemalloc in this process, where its build has it and the environment names no other.

    It keeps freed memory at hand for a second. To have the system clear fresh pages for each buffer took 28% of the CPU
    time of ingest.
    """
    if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ and "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
