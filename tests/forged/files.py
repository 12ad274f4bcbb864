"""Files removed, exchanged, planted, or made something that is no file."""

import io
import os
import shutil
from pathlib import Path

from audit_pipeline.lake.evidence import open_object, put_object
from tests.forgeries import BATCHES, DAY, Forger, forgery

PLACES = {
    "data file": f"lake/restricted/records/{BATCHES[1]}",
    "commit": f"lake/restricted/records/_delta_log/{1:020}.json",
    "commit of an event table": f"lake/restricted/annotations/_delta_log/{2:020}.json",
    "sources": "lake/restricted/sources/2.parquet",
    "seals": "lake/audit/seals/1.parquet",
    "events": "lake/restricted/annotations/2.parquet",
    "draft": f"evidence/_seals/{DAY}/1",
    "inventory": "evidence/_inventory/2",
    "newest inventory": "evidence/_inventory/3",
    "tile": "log/tile/0/000.p/3",
    "older tile": "log/tile/0/000.p/1",
    "checkpoint": "log/checkpoint",
    "vkey": "log/vkey",
}


def place_of(forger: Forger, place: str) -> Path:
    if place == "evidence object":
        return sorted(forger.stored("evidence/runs").rglob("*.zst"))[0]
    return forger.stored(PLACES[place])


FILE_PLACES = (*PLACES, "evidence object")


BUT_NEWEST = tuple(place for place in FILE_PLACES if place != "newest inventory")


@forgery("a file removed", *BUT_NEWEST)
def _removed(forger: Forger, place: str) -> None:
    place_of(forger, place).unlink()


@forgery("a file emptied", *FILE_PLACES)
def _emptied(forger: Forger, place: str) -> None:
    place_of(forger, place).write_bytes(b"")


@forgery("a file cut short", *FILE_PLACES)
def _cut(forger: Forger, place: str) -> None:
    path = place_of(forger, place)
    path.write_bytes(path.read_bytes()[:-1])


@forgery("a byte put at a file's end", *FILE_PLACES)
def _longer(forger: Forger, place: str) -> None:
    path = place_of(forger, place)
    path.write_bytes(path.read_bytes() + b"\n")


@forgery("a link in place of a file", *FILE_PLACES)
def _link(forger: Forger, place: str) -> None:
    path = place_of(forger, place)
    path.rename(forger.root / "elsewhere")
    path.symlink_to(forger.root / "elsewhere")


@forgery("a folder in place of a file", *BUT_NEWEST)
def _folder(forger: Forger, place: str) -> None:
    path = place_of(forger, place)
    path.unlink()
    path.mkdir()


@forgery("a pipe in place of a file", *FILE_PLACES)
def _pipe(forger: Forger, place: str) -> None:
    path = place_of(forger, place)
    path.unlink()
    os.mkfifo(path)


@forgery("a file of another lake in its place", *FILE_PLACES)
def _foreign(forger: Forger, place: str) -> None:
    path = place_of(forger, place)
    there = forger.material.other / path.relative_to(forger.root)
    shutil.copy(there, path)


@forgery(
    "a file planted", "lake", "table", "log of a table", "evidence", "drafts", "log", "tiles", "tile/entries", "hidden"
)
def _planted(forger: Forger, place: str) -> None:
    name = {
        "lake": "lake/x",
        "table": "lake/restricted/records/x.parquet",
        "log of a table": "lake/restricted/records/_delta_log/x",
        "evidence": "evidence/runs/x.zst",
        "drafts": f"evidence/_seals/{DAY}/9",
        "log": "log/x",
        "tiles": "log/tile/1/000.p/1",
        "tile/entries": "log/tile/entries/000.p/3",
        "hidden": "lake/.x",
    }[place]
    forger.stored(name).parent.mkdir(parents=True, exist_ok=True)
    forger.stored(name).write_bytes(b"x")


@forgery("a link or pipe planted", "link to a file", "link to a folder", "dangling link", "pipe")
def _planted_link(forger: Forger, place: str) -> None:
    path = forger.stored("lake/restricted/records/x")
    if place == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"link to a file": "runs", "link to a folder": "_delta_log", "dangling link": "no"}[place])


@forgery("two files exchanged", "data files", "evidence objects", "drafts", "seals", "sources", "inventories", "tiles")
def _two(forger: Forger, place: str) -> None:
    objects = [str(path.relative_to(forger.root)) for path in sorted(forger.stored("evidence/runs").rglob("*.zst"))]
    one, other = {
        "data files": (f"lake/restricted/records/{BATCHES[1]}", f"lake/restricted/records/{BATCHES[3]}"),
        "evidence objects": (objects[0], objects[1]),
        "drafts": (f"evidence/_seals/{DAY}/1", f"evidence/_seals/{DAY}/2"),
        "seals": ("lake/audit/seals/0.parquet", "lake/audit/seals/1.parquet"),
        "sources": ("lake/restricted/sources/1.parquet", "lake/restricted/sources/2.parquet"),
        "inventories": ("evidence/_inventory/1", "evidence/_inventory/2"),
        "tiles": ("log/tile/0/000.p/1", "log/tile/0/000.p/2"),
    }[place]
    first, second = forger.stored(one), forger.stored(other)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


@forgery("an evidence object stored anew", "the same source", "another head")
def _stored_anew(forger: Forger, place: str) -> None:
    folder = forger.lake.lake.evidence
    path = place_of(forger, "evidence object")
    name = path.relative_to(folder.root).as_posix()
    if place == "another head":
        content = path.read_bytes()
        path.write_bytes(content[:8] + bytes(32) + content[40:])
        return
    with open_object(folder, name) as kept:
        source = kept.read()
    path.unlink()
    put_object(folder, name, io.BytesIO(source), os.urandom)
