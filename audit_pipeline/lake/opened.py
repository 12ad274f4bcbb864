"""A lake as one value: its places, its identity, its tables."""

from dataclasses import dataclass

from audit_pipeline.lake.keys import read_vkey
from audit_pipeline.lake.objects import Folder
from audit_pipeline.lake.places import Places
from audit_pipeline.lake.tables import OpenTable, Table, open_table
from audit_pipeline.records import schemas
from audit_pipeline.tlog import parse_vkey

RECORDS = Table("records", "restricted", schemas.RECORDS, ("day", "source_id", "position"))
SOURCES = Table("sources", "restricted", schemas.SOURCES, ("day", "source_id", "position"))
SEALS = Table("seals", "audit", schemas.SEALS, ("day", "index"))
EVIDENCE_TABLES = (RECORDS, SOURCES, SEALS)


@dataclass(frozen=True, slots=True)
class Lake:
    """An identified lake. The origin names its log and contains `lake_id`; one log serves one lake."""

    places: Places
    origin: str
    lake_id: str
    vkey: str

    def open(self, table: Table) -> OpenTable:
        return open_table(table, self.places.lake)

    @property
    def evidence(self) -> Folder:
        return Folder(self.places.evidence)

    @property
    def log(self) -> Folder:
        return Folder(self.places.log)


def open_lake(places: Places) -> Lake:
    """The lake of a profile, named by its key.

    Raises:
        InputError: there is no key yet.
    """
    vkey = read_vkey(places.keys)
    origin = parse_vkey(vkey).name
    return Lake(places, origin, origin.rsplit("/", 1)[-1], vkey)
