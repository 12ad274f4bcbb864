"""How many requests the daily run of an unchanged lake makes: a number that is stated, and that history does not raise.

docs/stores.md states it. Counted between the pipeline and the store, whatever is asked again or not.
"""

from datetime import timedelta
from pathlib import Path

import pytest

from audit_pipeline.derive import derive_events
from tests.lakes import TODAY
from tests.stores.lakes import LakeAt, place_of
from tests.stores.proxy import FaultProxy, proxied
from tests.stores.servers import Server

STATED = 358


def run_unchanged(lake: LakeAt, proxy: FaultProxy) -> int:
    """Requests of a day's steps where nothing is new, each of which opens the lake anew as Dagster's steps do."""
    before = proxy.requests.total()
    lake.again().ingest()
    derive_events(lake.again().lake, lake.entropy, passphrase=None)
    assert not lake.again().seal().is_new
    lake.again().take_inventory()
    assert lake.again().lost() == []
    assert not lake.again().verify(first=TODAY, last=TODAY).problems
    return proxy.requests.total() - before


@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_the_run_of_an_unchanged_lake_asks_no_more_the_longer_the_lake_is_there(server: Server, tmp_path: Path) -> None:
    with proxied(server) as proxy:
        lake = LakeAt(tmp_path, place_of(server, proxy.port))
        counted = []
        for days in ((0, 1), range(2, 7)):
            for n in days:
                lake.land("a.jsonl", b'{"n":%d}\n' % n, TODAY - timedelta(days=n))
                lake.run(TODAY - timedelta(days=n))
            run_unchanged(lake, proxy)  # after it, this machine has read all that it reads again and again
            counted.append(run_unchanged(lake, proxy))

    assert counted[0] == counted[1] <= STATED
