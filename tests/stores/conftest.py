"""One server of each kind a session, when a test first asks for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stores import servers
from tests.stores.lakes import LakeAt, as_process_of, make_bucket, place_of
from tests.stores.servers import Server

KINDS = [
    "local",
    "s3",
    "gcs",
    pytest.param("azure", marks=pytest.mark.needs("azurite", "azurite, which npm installs: make programs")),
]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as server, as_process_of(server):
        make_bucket(server)
        yield server


@pytest.fixture(scope="session")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.gcs(tmp_path_factory.mktemp("gcs")) as server:
        yield server


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with servers.azurite(tmp_path_factory.mktemp("azurite"), "azurite-blob") as server, as_process_of(server):
        make_bucket(server)
        yield server


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server of the kind that the test is parametrised with."""
    found: Server = request.getfixturevalue(f"{request.param}_server")
    with as_process_of(found):
        yield found


@pytest.fixture(params=KINDS)
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LakeAt]:
    """An empty lake in a store of each kind."""
    if request.param == "local":
        yield LakeAt(tmp_path, tmp_path)
        return
    found: Server = request.getfixturevalue(f"{request.param}_server")
    with as_process_of(found):
        yield LakeAt(tmp_path, place_of(found))


@pytest.fixture
def gcs_says(gcs_server: Server) -> Iterator[dict[str, Any]]:
    """What our Google double says of a bucket beside its name."""
    assert gcs_server.double is not None
    yield gcs_server.double.says
    gcs_server.double.says.clear()
