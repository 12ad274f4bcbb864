"""Disks by how full they are said to be."""

from pathlib import Path

import pytest

from audit_pipeline.alerts import Severity
from audit_pipeline.watches import full_stores
from tests.lakes import LakeForTests


@pytest.mark.parametrize(
    ("free", "severities"),
    [(50, []), (11, []), (10, [Severity.ERROR]), (3, [Severity.CRITICAL]), (0, [Severity.CRITICAL])],
)
def test_a_disk_is_a_fault_by_how_full_it_is(lake: LakeForTests, free: int, severities: list[Severity]) -> None:
    faults = full_stores(lake.places, 90, lambda path: (100, 100 - free, free))

    assert [fault.severity for fault in faults] == severities


def test_one_disk_is_one_fault_however_many_places_are_on_it(lake: LakeForTests) -> None:
    (fault,) = full_stores(lake.places, 90, lambda path: (100, 100, 0))

    assert fault.subject == "landing"


def test_places_that_are_not_made_yet_are_looked_for_above(lake: LakeForTests) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> tuple[int, int, int]:
        asked.append(path)
        return 100, 0, 100

    full_stores(lake.places, 90, usage)

    assert all(path.exists() for path in asked)
