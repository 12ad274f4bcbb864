"""The policies under deploy/ let each task do what it does, and not what another does."""

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from audit_pipeline.derive import derive_events
from tests.stores.lakes import LakeAt, place_of
from tests.stores.proxy import FaultProxy, proxied
from tests.stores.servers import Server

POLICIES = Path(__file__).resolve().parents[2] / "deploy" / "policies"
ARNS = {place: f"arn:aws:s3:::change-me-{bucket}" for place, bucket in (("lake", "audit"), ("evidence", "audit"))}
ARNS |= {place: f"arn:aws:s3:::change-me-{place}" for place in ("log", "marks")}
FILES = sorted(path for path in POLICIES.rglob("*.json"))


def may_put(task: str, arn: str) -> bool:
    said = json.loads((POLICIES / "aws" / f"{task}.json").read_text())
    allowed = (statement for statement in said["Statement"] if "s3:PutObject" in statement["Action"])
    return any(fnmatchcase(arn, resource) for statement in allowed for resource in statement["Resource"])


def put_by(proxy: FaultProxy, lake: LakeAt, step: Any) -> set[str]:
    """ARNs of what a step puts, with the names of the shipped profile."""
    proxy.put.clear()
    step()
    names = {path.split("/", 3)[3] for path in proxy.put}
    return {f"{ARNS[name.partition('/')[0]]}/{name}" for name in names}


@pytest.mark.parametrize("server", ["s3"], indirect=True)
def test_a_run_puts_what_the_roles_of_its_tasks_may_put_and_no_role_more_than_its_task(
    server: Server, tmp_path: Path
) -> None:
    with proxied(server) as proxy:
        lake = LakeAt(tmp_path, place_of(server, proxy.port))
        lake.land("a.jsonl", b'{"step":1,"loss":0.5}\n')
        lake.land("b.json", b"[1]")
        taken_in = put_by(proxy, lake, lake.ingest)
        derived = put_by(proxy, lake, lambda: derive_events(lake.lake, lake.entropy, passphrase=None))
        sealed = put_by(proxy, lake, lake.seal) | put_by(proxy, lake, lake.take_inventory)

    assert {arn for arn in taken_in | derived if not may_put("ingest", arn)} == set()
    marks = {arn for arn in sealed if "-marks/" in arn}
    assert {arn for arn in sealed - marks if not may_put("seal", arn)} == set()
    assert marks
    assert {arn for arn in marks if not may_put("marks", arn)} == set()
    assert not any(may_put(task, arn) for arn in marks for task in ("ingest", "seal", "release", "auditor"))
    assert not any(may_put("ingest", arn) for arn in sealed if "/audit/seals/" in arn or "-log/" in arn)
    assert not any(may_put("auditor", arn) for arn in taken_in | sealed)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(POLICIES).as_posix())
def test_no_task_may_remove_evidence(path: Path) -> None:
    """On Google, what is put again wants the right to remove: of tables and the checkpoint, never of what is locked."""
    said = path.read_text()

    if path.parts[-2] != "gcp":
        said_here = json.loads(said)
        statements = said_here.get("Statement", []) if isinstance(said_here, dict) else []
        granted = [one for one in statements if one["Effect"] == "Allow"]
        assert "Delete" not in json.dumps(granted)
        assert "blobs/delete" not in said
    else:
        for binding in json.loads(said).get("bindings", []):
            if binding["role"].endswith("auditReplace"):
                where = binding["condition"]["expression"]
                assert "/lake/" in where or "/checkpoint" in where, where


@pytest.mark.parametrize(
    ("cloud", "right"),
    [("aws", "kms:Sign"), ("gcp", "roles/cloudkms.signerVerifier"), ("azure", "Key Vault Secrets User")],
)
def test_who_seals_alone_may_use_the_logs_key(cloud: str, right: str) -> None:
    may = {path.stem for path in (POLICIES / cloud).glob("*.json") if right in path.read_text()}

    assert may == {"seal"}
