"""Store servers on loopback, each started for the tests that need it and gone when they end, however they end."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.stores.gcs_double import GcsDouble

_START_S = 60
_STARTS = 3
SECRETS = {"AWS_ACCESS_KEY_ID": "audit", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
AZURE_ACCOUNT = "devstoreaccount1"
# Azurite's own, published in its documentation.
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class Server:
    """A store server that answers."""

    kind: str
    port: int
    environ: dict[str, str] = field(default_factory=dict)
    """What leads the cloud's own chain to credentials for it."""
    double: GcsDouble | None = None

    def endpoint(self, port: int) -> str:
        """Where it answers, behind a proxy at `port` or at its own."""
        return f"http://127.0.0.1:{port}" + (f"/{AZURE_ACCOUNT}" if self.kind == "azure" else "")


def free_port() -> int:
    """A port that nobody listens on, nor on the one 10000 above, which SeaweedFS takes for gRPC."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            with contextlib.suppress(OSError, OverflowError):
                other.bind(("127.0.0.1", port + 10000))
                return port


@contextmanager
def seaweedfs(folder: Path) -> Iterator[Server]:
    """SeaweedFS: S3 with create-only puts, versions and Object Lock."""
    config = folder / "s3.json"
    credential = {"accessKey": SECRETS["AWS_ACCESS_KEY_ID"], "secretKey": SECRETS["AWS_SECRET_ACCESS_KEY"]}
    identity = {"name": "audit", "credentials": [credential], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}
    config.write_text(json.dumps({"identities": [identity]}))
    with contextlib.ExitStack() as running:
        for attempt in range(1, _STARTS + 1):
            (data := folder / str(attempt)).mkdir()
            master, volume, filer, port = (free_port() for _ in range(4))
            try:
                running.enter_context(_running(_weed(data, config, master, volume, filer, port), data, port))
                break
            except RuntimeError:  # another process may have taken one of the ports meanwhile
                if attempt == _STARTS:
                    raise
        yield Server("s3", port, SECRETS)


def _weed(folder: Path, config: Path, master: int, volume: int, filer: int, port: int) -> list[str]:
    weed = shutil.which("weed") or str(Path(sys.executable).with_name("weed"))
    command = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}", "-volume.max=400", "-s3"]
    command += ["-master.volumeSizeLimitMB=64", f"-master.port={master}", f"-volume.port={volume}"]
    command += [f"-filer.port={filer}", f"-s3.port={port}", f"-s3.config={config}", "-master.telemetry=false"]
    return [
        *command,
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
    ]  # of fixed numbers else, so that two could not run at once


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """moto: an S3 whose buckets and objects say which key of KMS they are under, as SeaweedFS does not."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, folder, port):
        yield Server("s3", port, SECRETS)


@contextmanager
def s3rver(folder: Path, program: str) -> Iterator[Server]:
    """s3rver, which takes a create-only put for any other: the store that must be refused."""
    port = free_port()
    command = [program, "-d", str(folder), "-a", "127.0.0.1", "-p", str(port), "--configure-bucket", "audit"]
    with _running(command, folder, port):
        yield Server("s3", port, {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER"})


@contextmanager
def azurite(folder: Path, program: str) -> Iterator[Server]:
    port = free_port()
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    with _running([*command, "--silent", "--skipApiVersionCheck", "--disableTelemetry"], folder, port):
        yield Server("azure", port, {"AZURE_STORAGE_ACCOUNT_KEY": AZURE_KEY})


@contextmanager
def gcs(folder: Path) -> Iterator[Server]:
    """Our own double, see there; with a service account's key file, as Google's chain wants it."""
    with GcsDouble() as double:
        thread = threading.Thread(target=double.serve_forever, daemon=True)
        thread.start()
        key = folder / "service-account.json"
        key.write_text(json.dumps(double.service_account()))
        yield Server("gcs", double.port, {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}, double)
        double.shutdown()


@contextmanager
def _running(command: Sequence[str], folder: Path, port: int) -> Iterator[None]:
    output = folder / "server.log"
    with output.open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, preexec_fn=_end_with_us)
    try:
        _wait(process, port, output)
        yield
    finally:
        process.kill()  # what it keeps goes with the test's folder
        process.wait()


def _end_with_us() -> None:
    """Linux: a server whose test process was killed is ended too."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def _wait(process: "subprocess.Popen[bytes]", port: int, output: Path) -> None:
    """Until it listens; whether it answers well, the first request asks again."""
    for _ in range(10 * _START_S):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{process.args}: does not answer: {output.read_text(errors='replace')[-2000:]}")


def environ(server: Server) -> dict[str, str]:
    """The environment of a process that works on the server's buckets, and on nothing else."""
    clouds = ("AWS_", "AZURE_", "GOOGLE_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(clouds)}
    return {**own, "AWS_EC2_METADATA_DISABLED": "true", **server.environ}
