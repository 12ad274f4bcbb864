"""The procedure of docs/recovery.md that only a lake in a bucket needs."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests.lakes import TODAY
from tests.stores.lakes import LakeAt, place_of
from tests.stores.servers import Server

YESTERDAY = TODAY - timedelta(days=1)


@pytest.mark.parametrize("server", ["s3", "gcs"], indirect=True)
def test_a_bucket_that_was_put_back_and_copies_of_what_it_had(server: Server, tmp_path: Path) -> None:
    lake = LakeAt(tmp_path, place_of(server))
    lake.land("a.jsonl", b'{"step":1}\n', YESTERDAY)
    lake.run(YESTERDAY)
    kept = lake.files()
    lake.land("b.jsonl", b'{"step":2}\n')
    lake.run()

    restored = LakeAt(tmp_path, place_of(server))
    for area, store in restored.stores().items():
        for name in kept:
            if name.startswith(f"{area}/"):
                store.replace(name.removeprefix(f"{area}/"), kept[name])
    restored.land("b.jsonl", b'{"step":2}\n')
    shutil.rmtree(restored.places.cache)
    restored.run()

    assert restored.verify().problems == ()
    assert [record for record, _, _ in restored.records()] == [b'{"step":1}', b'{"step":2}']
