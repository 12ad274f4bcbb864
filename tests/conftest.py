"""What all tests share: places in a temporary folder, a made lake, and the two ways a test may be skipped."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from hypothesis import settings

from tests.lakes import LakeForTests

# No timed assertions: the first example may pay for an import, and machines are shared.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
"""Real run logs and public vectors, where they are at hand; users do not have them."""


# No test cuts the power, and none could see whether bytes had reached the disk by then; waiting for that is a third of
# the time of all tests.
os.fsync = lambda descriptor: None


@sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
def _without_waiting(connection: Any, _: Any) -> None:
    """The same of Dagster's instances on SQLite."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips-for-programs", action="store_true", help="a missing program is a failure, not a skip")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        program, package = marker.args
        if shutil.which(program) is None and not (ROOT / program).is_file():
            if item.config.getoption("--no-skips-for-programs"):
                pytest.fail(f"needs the program {program}: install the package {package}")
            pytest.skip(f"needs the program {program} (package {package})")


@pytest.fixture
def shared() -> Path:
    """The folder of real run logs and vectors."""
    if not SHARED.is_dir():
        pytest.skip("../shared is absent: real run logs and public vectors are not part of the project")
    return SHARED


@pytest.fixture
def lake(tmp_path: Path) -> LakeForTests:
    """An empty lake with a key, a clock that stands at noon of 2026-03-05, and one dated stream, `runs`."""
    return LakeForTests(tmp_path)


@pytest.fixture
def today() -> date:
    return date(2026, 3, 5)


@pytest.fixture
def noon() -> Callable[[], datetime]:
    return lambda: datetime(2026, 3, 5, 12, tzinfo=UTC)
