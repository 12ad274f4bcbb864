"""Doubles of key services on loopback, which really sign, and refuse what the services refuse.

moto has no Ed25519, the other services no server of their own: the shapes are those of the services' own API pages.
"""

import base64
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AWS_MOST_BYTES = 4096
GCP_VERSION = "projects/p/locations/eu/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
AZURE_SECRET = "log-key"


class KeyDouble:
    """One key behind the interface of one service. `asked` has what it was asked for."""

    def __init__(self, seed: int = 7) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        self.asked: list[str] = []
        self.is_refusing = False
        self.is_ed25519 = True

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        raise NotImplementedError

    @contextmanager
    def serving(self, certificate: Path | None = None) -> Iterator[str]:
        """The URL; with the file of a certificate and its key, of a server that speaks TLS."""
        service = self

        class Requests(BaseHTTPRequestHandler):
            def _reply(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, said = service.answer(self.command, self.path, self.headers, body)
                content = json.dumps(said).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                if status == 401:
                    url = "https://login.microsoftonline.com/tenant"
                    challenge = f'Bearer authorization="{url}", resource="https://vault.azure.net"'
                    self.send_header("WWW-Authenticate", challenge)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _reply

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class AwsKms(KeyDouble):
    """`TrentService` of AWS JSON 1.1: GetPublicKey and Sign."""

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        operation = headers["X-Amz-Target"].removeprefix("TrentService.")
        assert (method, path, headers["Content-Type"]) == ("POST", "/", "application/x-amz-json-1.1")
        assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 ")
        self.asked.append(operation)
        asked = json.loads(body)
        if self.is_refusing:
            return 400, {"__type": "DisabledException", "message": f"{asked['KeyId']} is disabled."}
        if operation == "GetPublicKey":
            public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            algorithms = ["ED25519_SHA_512", "ED25519_PH_SHA_512"] if self.is_ed25519 else ["ECDSA_SHA_256"]
            return 200, {
                "KeyId": asked["KeyId"],
                "KeySpec": "ECC_NIST_EDWARDS25519" if self.is_ed25519 else "ECC_NIST_P256",
                "KeyUsage": "SIGN_VERIFY",
                "PublicKey": base64.b64encode(public).decode(),
                "SigningAlgorithms": algorithms,
            }
        message = base64.b64decode(asked.pop("Message"))
        assert asked.keys() == {"KeyId", "MessageType", "SigningAlgorithm"}
        if (asked["MessageType"], asked["SigningAlgorithm"]) != ("RAW", "ED25519_SHA_512"):
            return 400, {"__type": "ValidationException", "message": "not a message for this algorithm"}
        if not 1 <= len(message) <= AWS_MOST_BYTES:
            return 400, {"__type": "ValidationException", "message": f"{len(message)} bytes, expected 1 to 4096"}
        return 200, {"KeyId": asked["KeyId"], "Signature": base64.b64encode(self.key.sign(message)).decode()}


class GcpKms(KeyDouble):
    """`cryptoKeyVersions` of the REST interface v1: getPublicKey and asymmetricSign."""

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if self.is_refusing:
            return 403, {"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}}
        if (method, path) == ("GET", f"/v1/{GCP_VERSION}/publicKey"):
            pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
            algorithm = "EC_SIGN_ED25519" if self.is_ed25519 else "EC_SIGN_P256_SHA256"
            return 200, {"pem": pem, "algorithm": algorithm, "name": GCP_VERSION, "protectionLevel": "HSM"}
        assert (method, path) == ("POST", f"/v1/{GCP_VERSION}:asymmetricSign")
        asked = json.loads(body)
        if asked.keys() != {"data"}:
            return 400, {"error": {"code": 400, "message": "Ed25519 takes data", "status": "INVALID_ARGUMENT"}}
        signature = self.key.sign(base64.b64decode(asked["data"], validate=True))
        return 200, {"signature": base64.b64encode(signature).decode(), "name": GCP_VERSION}


class AzureVault(KeyDouble):
    """The secret of a vault: an answer to who brings a token, a challenge to who does not."""

    def __init__(self, pem: str) -> None:
        super().__init__()
        self.pem = pem

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Any]:
        self.asked.append(f"{method} {path.partition('?')[0].rstrip('/')}")
        if self.is_refusing:
            return 403, {"error": {"code": "Forbidden", "message": "The user does not have secrets get permission"}}
        if headers.get("Authorization") != "Bearer token":
            return 401, {"error": {"code": "Unauthorized"}}
        return 200, {"value": self.pem, "id": f"https://vault.example/secrets/{AZURE_SECRET}/1", "attributes": {}}
