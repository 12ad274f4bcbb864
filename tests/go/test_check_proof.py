"""Proofs of days are read by the Go project's libraries for notes and trees, which share nothing with this code."""

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from audit_pipeline.prove import prove_day
from tests.lakes import TODAY, LakeForTests

PACKAGES = Path("/usr/share/gocode")
"""Where Debian and its descendants put Go sources of packages."""
PROGRAM = Path(__file__).with_name("check_proof.go")
pytestmark = pytest.mark.needs("go", "golang-go, and golang-golang-x-mod-dev beside it")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The Go program, built without the network."""
    if not (PACKAGES / "src/golang.org/x/mod/sumdb/note").is_dir():
        message = "needs golang.org/x/mod: install the package golang-golang-x-mod-dev"
        if request.config.getoption("--no-skips-for-programs"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("go")
    # Old ways (GO111MODULE=off) are those in which Go takes packages from a folder, with no module to download.
    environ = {"GO111MODULE": "off", "GOPATH": str(PACKAGES), "GOFLAGS": "", "GOCACHE": str(folder / "cache")}
    command = ["go", "build", "-o", str(folder / "check_proof"), str(PROGRAM)]
    done = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "check_proof"


def check(program: Path, folder: Path, vkey: str, proof: bytes, entry: bytes) -> subprocess.CompletedProcess[str]:
    contents = {"vkey": vkey.encode() + b"\n", "proof": proof, "entry": entry}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    command = [str(program), *(str(folder / name) for name in contents)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("days", [1, 2, 3, 5])
def test_go_reads_the_proof_of_each_day(program: Path, lake: LakeForTests, tmp_path: Path, days: int) -> None:
    for back in range(days):
        lake.land("a.jsonl", b'{"n":%d}\n' % back, TODAY - timedelta(days=back))
        lake.run(TODAY - timedelta(days=back))

    for back in range(days):
        done = check(program, tmp_path, lake.lake.vkey, *prove_day(lake.lake, TODAY - timedelta(days=back)))

        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{lake.lake.origin} {days}\n"


def test_go_refuses_a_flipped_byte_and_another_key(program: Path, lake: LakeForTests, tmp_path: Path) -> None:
    for back in range(3):
        lake.run(TODAY - timedelta(days=back))
    proof, entry = prove_day(lake.lake, TODAY)
    other = LakeForTests(tmp_path / "other").lake.vkey
    assert check(program, tmp_path, lake.lake.vkey, proof, entry).returncode == 0

    assert check(program, tmp_path, other, proof, entry).returncode == 1
    for at in range(0, len(proof), 5):
        spoiled = proof[:at] + bytes([proof[at] ^ 1]) + proof[at + 1 :]
        assert check(program, tmp_path, lake.lake.vkey, spoiled, entry).returncode == 1
    for at in range(0, len(entry), 11):
        spoiled = entry[:at] + bytes([entry[at] ^ 1]) + entry[at + 1 :]
        assert check(program, tmp_path, lake.lake.vkey, proof, spoiled).returncode == 1
