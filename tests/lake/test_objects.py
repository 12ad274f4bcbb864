"""Objects are created once and whole, or not at all."""

import errno
import os
from pathlib import Path

import pytest

from audit_pipeline.errors import StorageError
from audit_pipeline.lake.objects import Folder


def test_the_first_object_of_a_name_stands(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    assert folder.put_new("a/b", b"first")
    assert not folder.put_new("a/b", b"second")

    assert folder.get("a/b") == b"first"


def test_an_object_has_no_name_until_it_is_published(tmp_path: Path) -> None:
    folder = Folder(tmp_path)

    with folder.create("a/b") as new:
        new.file.write(b"half")
        assert list(folder.names()) == []

    assert folder.get("a/b") is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_replacing_leaves_nothing_but_the_new_bytes(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.replace("checkpoint", b"old")

    folder.replace("checkpoint", b"new")

    assert folder.get("checkpoint") == b"new"
    assert list(folder.names()) == ["checkpoint"]


def test_a_missing_object_is_none(tmp_path: Path) -> None:
    assert Folder(tmp_path).get("nothing") is None


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EACCES, "give this user write access and run again"),
        (errno.ENOSPC, "make room and run again"),
        (errno.EROFS, "on a disk that can be written, and run again"),
    ],
)
def test_what_cannot_be_written_is_named_with_what_the_disk_said_and_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cure: str
) -> None:
    folder = Folder(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)  # root, as tests may run, writes everywhere
    with pytest.raises(StorageError) as refused:
        folder.put_new("vkey", b"x")
    monkeypatch.undo()
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageError) as unpublished:
        folder.put_new("vkey", b"x")
    with pytest.raises(StorageError) as unreplaced:
        folder.replace("vkey", b"x")

    assert str(refused.value).startswith(f"{tmp_path}/vkey: cannot be created: {os.strerror(number)}; ")
    assert str(unpublished.value).startswith(f"{tmp_path}/vkey: cannot be created: {os.strerror(number)}; ")
    assert str(unreplaced.value).startswith(f"{tmp_path}/vkey: cannot be written: {os.strerror(number)}; ")
    assert all(str(one.value).endswith(cure) for one in (refused, unpublished, unreplaced))


@pytest.mark.parametrize(
    ("number", "cure"), [(errno.EACCES, "give this user read access and run again"), (errno.EIO, "from a backup")]
)
def test_what_cannot_be_read_is_named_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cure: str
) -> None:
    folder = Folder(tmp_path)
    folder.put_new("vkey", b"x")

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "read_bytes", fail)
    monkeypatch.setattr(Path, "open", fail)

    for read in (folder.get, folder.open, folder.digest):
        with pytest.raises(StorageError) as refused:
            read("vkey")
        assert str(refused.value).startswith(f"{tmp_path}/vkey: cannot be read: {os.strerror(number)}; ")
        assert str(refused.value).endswith(cure)
