"""deploy/nginx/nginx.conf in a real nginx on loopback: TLS, a password before the UI, the public log without one."""

import base64
import http.client
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

CONF = Path(__file__).resolve().parents[1] / "deploy/nginx/nginx.conf"
Ask = Callable[..., tuple[int, bytes]]


def make_certificate(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(1))
    (folder / "tls.crt").write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, pem, plain))


@pytest.fixture
def ui() -> Iterator[int]:
    """A port where something answers in place of the UI."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the UI")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(tmp_path: Path, ui: int) -> Iterator[Ask]:
    """Asks nginx for a path over TLS; the configuration is the shipped one, with our paths and ports for its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    make_certificate(tmp_path)
    (tmp_path / "htpasswd").write_text("alice:{PLAIN}secret\n")
    (tmp_path / "home/log/tile/0").mkdir(parents=True)
    (tmp_path / "home/log/checkpoint").write_text("the checkpoint")
    (tmp_path / "home/log/tile/0/000").write_text("a tile")
    (tmp_path / "home/keys").mkdir()
    (tmp_path / "home/keys/key.pem").write_text("the key")
    text = CONF.read_text()
    for ours, mine in (
        ("/tmp/", f"{tmp_path}/"),
        ("/etc/nginx/tls/", f"{tmp_path}/"),
        ("/etc/nginx/htpasswd", f"{tmp_path}/htpasswd"),
        ("listen 8443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("http://webserver:3000", f"http://127.0.0.1:{ui}"),
        ("/srv/audit/", f"{tmp_path}/home/"),
    ):
        assert ours in text
        text = text.replace(ours, mine)
    (tmp_path / "nginx.conf").write_text(text)
    words = [shutil.which("nginx") or "nginx", "-e", tmp_path / "error.log", "-c", tmp_path / "nginx.conf"]
    # Started by root its workers would be another user, who may not look into a folder of tests.
    user = "user root;" if os.geteuid() == 0 else ""
    server = subprocess.Popen([*words, "-g", f"daemon off; {user}"])

    def asked(path: str, **headers: str) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
        context.check_hostname = False
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
        connection.putrequest("GET", path)  # as it is: `..` and all
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()

    try:
        for _ in range(200):
            assert server.poll() is None, (tmp_path / "error.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield asked
    finally:
        server.terminate()
        server.wait()


@pytest.mark.needs("nginx", "nginx-light")
def test_the_public_log_is_open_and_everything_else_needs_the_password(ask: Ask) -> None:
    alice = "Basic " + base64.b64encode(b"alice:secret").decode()

    assert ask("/health") == (204, b"")
    assert ask("/log/checkpoint") == (200, b"the checkpoint")
    assert ask("/log/tile/0/000") == (200, b"a tile")
    assert ask("/", Authorization=alice) == (200, b"the UI")
    for path in ("/", "/graphql", "/log", "/log/", "/log/tile", "/log/state", "/keys/key.pem"):
        assert ask(path)[0] == 401, path
    for path in ("/log/../keys/key.pem", "/log/tile/../../keys/key.pem", "/log/tile/%2e%2e/%2e%2e/keys/key.pem"):
        status, body = ask(path)
        assert (status, b"the key" in body) == (401, False), path
    assert ask("/log/tile/..%2f..%2fkeys%2fkey.pem")[0] in (400, 401, 404)
