"""Servers on loopback that stop by themselves: a witness of C2SP tlog-witness, and `openssl ts` behind HTTP."""

import base64
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit_pipeline import tlog
from audit_pipeline.errors import ProofError

Answer = Callable[[str, bytes], tuple[int, str, bytes]]
"""From path and body to status, content type and body."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """The URL of a server that answers POST requests."""

    class Requests(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content_type, content = answer(self.path, body)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            if status == 302:
                self.send_header("Location", content.decode())
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Witness:
    """Checks what C2SP tlog-witness says a witness checks, by the reference formulas of RFC 9162, and cosigns."""

    def __init__(self, name: str, log: tlog.Verifier, now_s: int, seed: int = 1) -> None:
        key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.signer = tlog.Signer(name, tlog.ED25519_COSIGNATURE, key)
        self.logs = [log]
        self.now_s = now_s
        self.seen: tlog.Checkpoint | None = None
        self.requests: list[int] = []
        """Statuses of the answers so far."""

    @property
    def vkey(self) -> str:
        return tlog.format_vkey(self.signer.verifier)

    def answer(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        status, content_type, content = self._answer(path, body)
        self.requests.append(status)
        return status, content_type, content

    def _answer(self, path: str, body: bytes) -> tuple[int, str, bytes]:
        plain = "text/plain"
        if path != "/add-checkpoint":
            return 404, plain, b""
        head, _, note = body.partition(b"\n\n")
        first, *proof = head.decode().split("\n")
        old = int(first.removeprefix("old "))
        assert first == f"old {old}"
        assert len(proof) <= 63
        try:
            checkpoint, _ = tlog.open_checkpoint(note, self.logs)
        except ProofError as err:
            return 403, plain, str(err).encode()
        seen = 0 if self.seen is None else self.seen.size
        if old > checkpoint.size:
            return 400, plain, b""
        if old != seen:
            return 409, "text/x.tlog.size", f"{seen}\n".encode()
        hashes = [base64.b64decode(line, validate=True) for line in proof]
        if not follows(self.seen, checkpoint, hashes):
            return 422, plain, b""
        self.seen = checkpoint
        text = note.decode().partition("\n\n")[0] + "\n"
        return 200, plain, tlog.cosign_text(text, self.signer, self.now_s)


def follows(old: tlog.Checkpoint | None, new: tlog.Checkpoint, proof: list[bytes]) -> bool:
    if old is None:
        return not proof
    if old.size == new.size:
        return old.root == new.root and not proof
    try:
        tlog.check_consistency(old.head, new.head, proof)
    except ProofError:
        return False
    return True


class Authority:
    """`openssl ts` with a root and a stamping certificate of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        (folder / "serial").write_text("01\n")
        (folder / "ts.cnf").write_text(_CONFIGURATION.format(folder=folder))
        self._openssl("req -x509 -newkey ed25519 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=root")
        self._openssl("req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=tsa")
        (folder / "tsa.ext").write_text("extendedKeyUsage=critical,timeStamping\n")
        self._openssl("x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -out tsa.pem -days 30 -extfile tsa.ext")
        self._openssl("x509 -in ca.pem -outform DER -out ca.der")
        self.requests = 0

    @property
    def root(self) -> bytes:
        return (self.folder / "ca.der").read_bytes()

    def stamp(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        self._openssl("ts -reply -config ts.cnf -queryfile query -out reply")
        return (self.folder / "reply").read_bytes()

    def answer(self, _: str, body: bytes) -> tuple[int, str, bytes]:
        self.requests += 1
        return 200, "application/timestamp-reply", self.stamp(body)

    def verify(self, note: Path, response: Path) -> str:
        """What `openssl ts -verify` says."""
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-data", note, "-in", response, "-CAfile", "ca.pem"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout + done.stderr

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=self.folder, capture_output=True, check=True)


_CONFIGURATION = """\
[tsa]
default_tsa = ours
[ours]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
ess_cert_id_alg = sha256
"""
