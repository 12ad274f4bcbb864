"""Drafts, seals, tiles, checkpoint, inventories, backups, marks; what the key can do; what nobody can know."""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from tests.forged.rows import EVENT, ROW_KINDS, ROW_PLACES, forge_rows, lie_in_file, reorder_rows, set_value
from tests.forged.tables import EVENT_PLACES, forge_event
from tests.forgeries import BY_MARK_OR_HELD, DAY, KEY, KEY_AND_MARKS, MARKS, Forger, forgery
from tests.lakes import TODAY, LakeForTests


@forgery("a draft changed", "an entry", "an entry removed", "the seal", "its end")
def _draft(forger: Forger, place: str) -> None:
    path = forger.stored(f"evidence/_seals/{DAY}/1")
    text = path.read_text()
    changed = {
        "an entry": text.replace("growth new", "growth rewritten", 1),
        "an entry removed": text[: text.rindex("audit-source/v1")],
        "the seal": text.replace("policy ab", "policy cd", 1),
        "its end": text + "x",
    }[place]
    assert changed != text
    path.write_text(changed)


SEAL_CHANGES: dict[str, Any] = {
    "root": "0" * 64,
    "records": 1,
    "segment": 2,
    "index": 1,
    "day": TODAY,
    "sealed_at": datetime(2026, 3, 4, tzinfo=UTC),
    "entry": lambda text: text.replace("sources 4", "sources 3"),
}


@forgery("a row of the log changed", *SEAL_CHANGES)
def _seals(forger: Forger, place: str) -> None:
    forger.table("seals")
    forger.rewrite("seals", "0.parquet", set_value(place, SEAL_CHANGES[place]))
    forger.recommit("seals", 0 + 1)


@forgery("entries of the log", "doubled", "reordered")
def _log_rows(forger: Forger, place: str) -> None:
    forger.table("seals")
    if place == "doubled":
        forger.rewrite("seals", "2.parquet", lambda rows: pa.concat_tables([rows, rows]))
        forger.recommit("seals", 3)
        return
    one, other = (forger.data("seals", f"{n}.parquet") for n in (0, 1))
    rows = [pq.read_table(path, partitioning=None) for path in (one, other)]
    for path, mine, at in ((one, rows[1], 0), (other, rows[0], 1)):
        forger.write_rows("seals", path, set_value("index", at)(mine), {})
    forger.recommit("seals", 1)
    forger.recommit("seals", 2)


@forgery("a tile changed", "a hash", "longer", "of another size", "all hashes")
def _tile(forger: Forger, place: str) -> None:
    path = forger.stored("log/tile/0/000.p/3")
    content = path.read_bytes()
    if place == "of another size":
        path.with_name("2").write_bytes(content)
        return
    path.write_bytes(
        {"a hash": bytes(32) + content[32:], "longer": content + bytes(32), "all hashes": bytes(96)}[place]
    )


@forgery("the checkpoint changed", "size", "root", "origin", "no signature", "another lake's", "signature")
def _head(forger: Forger, place: str) -> None:
    path = forger.stored("log/checkpoint")
    text = path.read_text()
    origin, size, root, empty, signature, _ = text.split("\n")
    lines = {
        "size": [origin, "2", root, empty, signature, ""],
        "root": [origin, size, "A" * 43 + "=", empty, signature, ""],
        "origin": ["example.com/else", size, root, empty, signature, ""],
        "no signature": [origin, size, root, empty, ""],
        "another lake's": (forger.material.other / "log/checkpoint").read_text().split("\n"),
        "signature": [origin, size, root, empty, signature[:-8] + "AAAAAAA=", ""],
    }[place]
    path.write_text("\n".join(lines))


@forgery("an older checkpoint put back")
def _older_head(forger: Forger, _: str) -> None:
    forger.stored("log/checkpoint").write_bytes(forger.material.held_before)


@forgery("an older checkpoint put back, newer tiles and inventory removed", found_at=BY_MARK_OR_HELD)
def _older_head_alone(forger: Forger, _: str) -> None:
    forger.stored("log/checkpoint").write_bytes(forger.material.held_before)
    forger.stored("log/tile/0/000.p/3").unlink()
    forger.stored("evidence/_inventory/3").unlink()


@forgery("a stranger's signature beside the log's", found_at=())
def _cosigned(forger: Forger, _: str) -> None:
    """C2SP signed-note: unknown signatures are passed over, so that witnesses can add theirs."""
    key = tlog.Signer("example.com/stranger", tlog.ED25519, Ed25519PrivateKey.from_private_bytes(b"k" * 32))
    path = forger.stored("log/checkpoint")
    text = path.read_text().partition("\n\n")[0] + "\n"
    theirs = tlog.sign_note(text, [key]).decode().rpartition("\n\n")[2]
    path.write_text(path.read_text() + theirs)


# Inventories.


def own_key(forger: Forger) -> tlog.Signer:
    """A forger's key under the log's name."""
    private = Ed25519PrivateKey.from_private_bytes(b"f" * 32)
    return tlog.Signer(forger.material.verifier.name, tlog.ED25519, private)


@forgery("an inventory changed", "a line removed", "a digest", "a newer one copied on")
def _inventory(forger: Forger, place: str) -> None:
    path = forger.stored("evidence/_inventory/2")
    lines = path.read_text().split("\n")
    at = next(n for n, line in enumerate(lines) if " lake/" in line)
    if place == "a line removed":
        path.write_text("\n".join(lines[:at] + lines[at + 1 :]))
    elif place == "a digest":
        path.write_text("\n".join([*lines[:at], "0" * 64 + lines[at][64:], *lines[at + 1 :]]))
    else:
        path.with_name("4").write_bytes(path.with_name("3").read_bytes())


@forgery("inventories signed again with another key", "a record changed", "rows reordered")
def _listed_by_other(forger: Forger, place: str) -> None:
    if place == "a record changed":
        forge_rows(forger, ROW_PLACES[1], ROW_KINDS["a record changed"])
    else:
        reorder_rows(forger, ROW_PLACES[1])
    forger.list_again(own_key(forger))


@forgery(
    "inventories removed", "the newest", "all", "the newest, and a row reordered that it lists",
    "the newest, and an event table's commit changed", found_at=("extends-own-mark",),
)  # fmt: skip
def _inventories_gone(forger: Forger, place: str) -> None:
    """What the last run stored is then as if no inventory covered it yet: only the mark names the one that is gone."""
    if place == "all":
        shutil.rmtree(forger.stored("evidence/_inventory"))
        return
    forger.stored("evidence/_inventory/3").unlink()
    if "row" in place:
        forge_rows(forger, "batch 3, with its commit", lambda table: table.take([1, 0]))
    if "commit" in place:
        forger.write_commit("annotations", 3, replace(forger.commit("annotations", 3), time_ms=0))


# Backups.

STORE_AREAS = ("lake", "evidence", "log")


@forgery("a backup put back", "all of the store", found_at=BY_MARK_OR_HELD)
def _backup(forger: Forger, _: str) -> None:
    forger.take_from(forger.material.backup, *STORE_AREAS)


@forgery("part of a backup put back", *STORE_AREAS, "seals", "records")
def _part_of_backup(forger: Forger, place: str) -> None:
    area = {"seals": "lake/audit/seals", "records": "lake/restricted/records"}.get(place, place)
    forger.take_from(forger.material.backup, area)


forgery("a backup put back, marks too", by=MARKS, found_at=("extends-held",))(
    lambda forger, _: forger.take_from(forger.material.backup, *STORE_AREAS, "keys/marks")
)


@forgery("the last seal hidden", "seals, tiles and checkpoint", found_at=BY_MARK_OR_HELD)
def _hidden_seal(forger: Forger, _: str) -> None:
    """The log as it was two runs long; rows, commits, draft and inventory of the third run are taken back as well."""
    forger.take_from(forger.material.backup, *STORE_AREAS)


@forgery("the log cut", "seals", "seals and tiles", "seals, tiles and checkpoint")
def _cut_log(forger: Forger, place: str) -> None:
    forger.data("seals", "2.parquet").unlink()
    forger.commit_path("seals", 3).unlink()
    if "tiles" in place:
        forger.stored("log/tile/0/000.p/3").unlink()
    if "checkpoint" in place:
        forger.stored("log/checkpoint").write_bytes(forger.material.held_before)


# Marks.


@forgery("marks changed", "one removed", "a root", "an older one again", "of another log", by=MARKS,
         found_at=("extends-own-mark",))  # fmt: skip
def _marks(forger: Forger, place: str) -> None:
    marks = forger.lake.places.marks
    newest = max(marks.iterdir(), key=lambda path: int(path.name))
    if place == "one removed":
        (marks / "2").unlink()
    elif place == "a root":
        mark = tlog.parse_mark(newest.read_bytes())
        newest.write_bytes(tlog.format_mark(replace(mark, root="0" * 64)))
    elif place == "an older one again":
        newest.with_name(str(int(newest.name) + 1)).write_bytes((marks / "1").read_bytes())
    else:
        forger.take_from(forger.material.other, "keys/marks")


@forgery("all marks removed", by=MARKS, found_at=("extends-own-mark",))
def _no_marks(forger: Forger, _: str) -> None:
    """Nothing contradicts: the level is not reached, which `--require` turns into a failure."""
    shutil.rmtree(forger.lake.places.marks)


@forgery("the newest mark removed", by=MARKS, found_at=())
def _shorter_marks(forger: Forger, _: str) -> None:
    """It alone says nothing less about the lake, which is as it was."""
    max(forger.lake.places.marks.iterdir(), key=lambda path: int(path.name)).unlink()


# The key.


def _one_record(number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content.replace(b'"step":3', b'"step":4') for name, content in files.items()}


def _one_file_less(number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    files.pop("bad.jsonl", None)
    return files


def _one_file_more(number: int, files: dict[str, bytes]) -> dict[str, bytes]:
    return {**files, "more.jsonl": b"{}\n"}


HISTORIES: dict[str, Callable[[int, dict[str, bytes]], dict[str, bytes] | None]] = {
    "a record": _one_record,
    "a source left out": _one_file_less,
    "a source added": _one_file_more,
    "the second day skipped": lambda number, files: None if number == 1 else files,
    "the same records, other salts": lambda number, files: files,
}


@forgery("the history rewritten", *HISTORIES, by=KEY, found_at=BY_MARK_OR_HELD)
def _rewritten(forger: Forger, place: str) -> None:
    forger.rebuild(HISTORIES[place], with_marks=False)


@forgery("the history and the marks rewritten", *HISTORIES, by=KEY_AND_MARKS, found_at=("extends-held",))
def _rewritten_with_marks(forger: Forger, place: str) -> None:
    forger.rebuild(HISTORIES[place], with_marks=True)


@forgery("what came after the held checkpoint rewritten", by=KEY, found_at=("extends-own-mark",), holds_before=True)
def _rewritten_after(forger: Forger, _: str) -> None:
    forger.rebuild(lambda number, files: _one_file_more(number, files), first=2, with_marks=False)


@forgery(
    "what came after the held checkpoint, and the marks, rewritten", by=KEY_AND_MARKS, found_at=(), holds_before=True
)
def _rewritten_after_with_marks(forger: Forger, _: str) -> None:
    forger.rebuild(lambda number, files: _one_file_more(number, files), first=2, with_marks=True)


@forgery("a row changed and everything but the log signed again", *ROW_PLACES[2::3], by=KEY)
def _signed_rows(forger: Forger, place: str) -> None:
    forge_rows(forger, place, ROW_KINDS["a record changed"])
    forger.list_again()


@forgery("other bytes of the same rows, inventories signed again", by=KEY, found_at=("extends-own-mark",))
def _same_rows(forger: Forger, _: str) -> None:
    reorder_rows(forger, ROW_PLACES[1])
    forger.list_again()


@forgery("other bytes of the same rows, inventories and marks again", by=KEY_AND_MARKS, found_at=())
def _same_rows_marked(forger: Forger, _: str) -> None:
    reorder_rows(forger, ROW_PLACES[1])
    forger.list_again(with_marks=True)


def lie_to_engines(forger: Forger, *, with_marks: bool) -> None:
    lie_in_file(forger, "of positions, with its commit")
    forger.list_again(with_marks=with_marks)


@forgery("lying statistics in a data file, inventories signed again", by=KEY)
def _stats_signed(forger: Forger, _: str) -> None:
    lie_to_engines(forger, with_marks=False)


@forgery("lying statistics in a data file, inventories and marks again", by=KEY_AND_MARKS)
def _stats_marked(forger: Forger, _: str) -> None:
    """The rows are the sealed ones, and engines that prune by the file's own statistics pass them over."""
    lie_to_engines(forger, with_marks=True)


@forgery("an event table forged, inventories signed again", *EVENT_PLACES[:3], by=KEY, found_at=("extends-own-mark",))
def _events_signed(forger: Forger, place: str) -> None:
    forge_event(forger, place)
    forger.list_again()


@forgery("an event table forged, listed in one more inventory", *EVENT_PLACES[:3], by=KEY)
def _events_listed(forger: Forger, place: str) -> None:
    """A run that died between inventory and mark leaves the same."""
    forge_event(forger, place)
    note = forger.stored("evidence/_inventory/3").read_bytes()
    before = tlog.open_inventory(note, [forger.material.verifier])
    table, version = EVENT
    names = sorted((f"_delta_log/{version:020}.json", f"{version}.parquet"))
    files = tuple(forger.stored_file(f"lake/restricted/{table}/{name}") for name in names)
    after = replace(before, number=4, previous=hashlib.sha256(note).hexdigest(), files=files)
    forger.stored("evidence/_inventory/4").write_bytes(tlog.sign_inventory(after, forger.signer()))


@forgery("a checkpoint of another tree signed", "another root", "a greater size", "a smaller size", by=KEY)
def _signed_head(forger: Forger, place: str) -> None:
    leaves = forger.stored("log/tile/0/000.p/3").read_bytes()
    origin = forger.lake.lake.origin
    head = {
        "another root": tlog.Checkpoint(origin, 3, bytes(32)),
        "a greater size": tlog.Checkpoint(origin, 4, tlog.tree_root(leaves + bytes(32))),
        "a smaller size": tlog.Checkpoint(origin, 2, bytes(32)),
    }[place]
    forger.stored("log/checkpoint").write_bytes(tlog.sign_checkpoint(head, forger.signer()))


@forgery("everything signed again with another key, put beside the lake", by=KEY_AND_MARKS,
         found_at=("signed", "extends-held"))  # fmt: skip
def _other_key(forger: Forger, _: str) -> None:
    """By somebody with the folder of keys and marks, but not the key: what a vkey that you were given is for."""
    signer = own_key(forger)
    forger.stored("keys/vkey").write_text(tlog.format_vkey(signer.verifier) + "\n")
    forger.stored("log/vkey").write_text(tlog.format_vkey(signer.verifier) + "\n")
    note = forger.stored("log/checkpoint").read_bytes()
    checkpoint, _note = tlog.open_checkpoint(note, [forger.material.verifier])
    forger.stored("log/checkpoint").write_bytes(tlog.sign_checkpoint(checkpoint, signer))
    forger.list_again(signer, with_marks=True)


# What the verifier cannot know.


@forgery("a batch added that no run took in, and not sealed yet", found_at=())
def _unsealed(forger: Forger, _: str) -> None:
    """It looks like a run that came before its seal; a note says not yet protected, and the next run seals it."""
    other = LakeForTests(forger.root)
    other.land("forged.jsonl", b'{"forged":1}\n')
    other.ingest()
