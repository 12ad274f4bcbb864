"""Objects are created once and whole, or not at all."""

from pathlib import Path

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
