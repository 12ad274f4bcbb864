"""Releases in a place of their own, for readers who may see nothing else: sealed, listed and queried like the rest."""

import shutil
from dataclasses import replace
from pathlib import Path

from audit_pipeline.lake.declared import RELEASES
from audit_pipeline.lake.places import Bucket
from audit_pipeline.lake.query import connect, read_rows
from audit_pipeline.lake.stores import open_store
from audit_pipeline.verify import verify
from tests.lakes import TODAY
from tests.privacy.annotated import AnnotatedLake
from tests.privacy.test_under_fire import ask
from tests.stores.conftest import s3_server
from tests.stores.lakes import LakeAt, as_process_of, place_of
from tests.stores.servers import Server

__all__ = ["s3_server"]


def apart(lake: AnnotatedLake, released: Path | Bucket) -> AnnotatedLake:
    lake.files.places = replace(lake.files.places, released=released)
    lake.files.run(TODAY)
    ask(lake, "one")
    lake.files.take_inventory()
    return lake


def check_apart(lake: AnnotatedLake) -> None:
    """The release is in its own place alone, a query finds it, and a changed byte of it is found."""
    places = lake.files.places
    assert not any(name.startswith("released") for name in open_store(places.lake).names())
    with connect(places) as database:
        assert read_rows(database, "SELECT count(*) FROM releases")[1] == [(1,)]
        assert read_rows(database, "SELECT count(*) FROM privacy_ledger")[1] == [(1,)]
    assert verify(lake.lake).problems == ()
    (name,) = [name for name in open_store(places.area("released")).names() if name.endswith(".parquet")]
    content = bytearray(open_store(places.area("released")).get(name) or b"")
    content[len(content) // 2] ^= 1

    open_store(places.area("released")).replace(name, bytes(content))

    found = [problem.message for problem in verify(lake.lake).problems]
    assert any(f"lake/released/{name}: its bytes are not those that were stored" in message for message in found)


def test_released_tables_lie_in_a_folder_of_their_own(tmp_path: Path) -> None:
    check_apart(apart(AnnotatedLake(tmp_path, is_sealed=False), tmp_path / "public"))


def test_a_table_under_the_name_of_the_one_that_lies_apart_is_found(tmp_path: Path) -> None:
    lake = apart(AnnotatedLake(tmp_path, is_sealed=False), tmp_path / "public")
    shutil.copytree(tmp_path / "public", tmp_path / "lake" / "released")

    found = [problem.message for problem in verify(lake.lake).problems]

    assert found
    assert all("released tables lie in" in message for message in found)


def test_released_tables_lie_in_a_bucket_of_their_own(tmp_path: Path, s3_server: Server) -> None:
    with as_process_of(s3_server):
        lake = AnnotatedLake(tmp_path, is_sealed=False)
        lake.files = LakeAt(tmp_path, place_of(s3_server))
        check_apart(apart(lake, place_of(s3_server)))
        assert list(open_store(lake.files.places.area("released")).names(RELEASES.name))


def test_a_folder_of_releases_beside_a_lake_in_a_bucket(tmp_path: Path, s3_server: Server) -> None:
    with as_process_of(s3_server):
        lake = AnnotatedLake(tmp_path, is_sealed=False)
        lake.files = LakeAt(tmp_path, place_of(s3_server))
        check_apart(apart(lake, tmp_path / "public"))
