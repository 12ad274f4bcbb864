"""A loopback Google Cloud Storage, as far as this program and its client ask for it: the XML API of objects.

fake-gcs-server and gcp-storage-emulator answer other URLs or ignore the preconditions of the XML API, which is what
object_store speaks; so neither can show that a create-only put is one. This one keeps objects in memory, takes
`x-goog-if-generation-match`, and gives tokens for the key it hands out, so that Google's own chain is used as it is.
It keeps every generation, and says so in the JSON API, of which it has what Google's library asks to know how a bucket
guards its objects. Not here: resumable uploads, a lock that holds, who may do what.
"""

import base64
import contextlib
import hashlib
import json
import threading
import time
import urllib.parse
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_PAGE = 1000
_TOKEN = "a-token"


class GcsDouble(ThreadingHTTPServer):
    """The server and its objects, by (bucket, name): bytes, time, generation."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.objects: dict[tuple[str, str], tuple[bytes, float, int]] = {}
        self.versions: list[dict[str, str]] = []
        """As the JSON API lists them."""
        self.says: dict[str, Any] = {}
        """What the JSON API says of a bucket beside its name."""
        self.lock = threading.Lock()
        self.generation = time.time_ns() // 1000

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def service_account(self) -> dict[str, Any]:
        """A key file with which Google's libraries come here for a token."""
        key = rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "client_email": "audit@double.invalid",
            "private_key": key.decode(),
            "private_key_id": "1",
            "token_uri": f"http://127.0.0.1:{self.port}/token",
        }

    def __enter__(self) -> Self:
        return self


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # head and body in one packet: else each answer waits for the client to confirm its head
    server: GcsDouble

    def log_message(self, *arguments: Any) -> None:
        pass

    def do_POST(self) -> None:
        self._body()
        if self.path != "/token":
            return self._error(400, "NotHere")
        answer = {"access_token": _TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        return self._say(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def do_PUT(self) -> None:
        content, (bucket, name, _) = self._body(), self._asked()
        if not self._is_known():
            return self._error(401, "AuthenticationRequired")
        expected = self.headers.get("x-goog-if-generation-match")
        with self.server.lock:
            found = self.server.objects.get((bucket, name))
            if expected is not None and int(expected) != (found[2] if found else 0):
                return self._error(412, "PreconditionFailed")
            self.server.generation += 1
            self.server.objects[bucket, name] = (content, time.time(), self.server.generation)
            generation = self.server.generation
            self._cover(bucket, name)
            self.server.versions.append({"bucket": bucket, "name": name, "generation": str(generation)})
        return self._say(200, b"", {"ETag": _etag(content), "x-goog-generation": str(generation)})

    def do_DELETE(self) -> None:
        bucket, name, _ = self._asked()
        with self.server.lock:
            found = self.server.objects.pop((bucket, name), None)
            self._cover(bucket, name)
        self._say(204 if found else 404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        bucket, name, query = self._asked()
        if not self._is_known():
            return self._error(401, "AuthenticationRequired")
        if self.path.startswith("/storage/v1/b/"):
            return self._describe(*name.split("/")[2:], prefix=query.get("prefix", ""))
        if not name:
            return self._list(bucket, query)
        found = self.server.objects.get((bucket, name))
        if found is None:
            return self._error(404, "NoSuchKey")
        content, written, generation = found
        if self.headers.get("If-Match") not in (None, _etag(content)):
            return self._error(412, "PreconditionFailed")
        headers = {
            "ETag": _etag(content),
            "Last-Modified": formatdate(written, usegmt=True),
            "x-goog-generation": str(generation),
        }
        wanted, code = self.headers.get("Range"), 200
        if wanted is not None:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
            if begin >= len(content):
                return self._error(416, "InvalidRange")
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(content)}"
            content, code = content[begin : end + 1], 206
        return self._say(code, content, headers)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        after = query.get("continuation-token") or query.get("start-after", "")
        with self.server.lock:
            names = sorted(name for of, name in self.server.objects if of == bucket and name.startswith(prefix))
        folders, found = set(), []
        for name in names:
            if delimiter and (at := name.find(delimiter, len(prefix))) >= 0:
                folders.add(name[: at + 1])
            elif name > after:
                found.append(name)
        more = len(found) > _PAGE
        parts = [f"<Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>"]
        for name in found[:_PAGE]:
            content, written, generation = self.server.objects[bucket, name]
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(written))
            parts.append(
                f"<Contents><Key>{escape(name)}</Key><Generation>{generation}</Generation>"
                f"<LastModified>{stamp}.{int(written % 1 * 1000):03}Z</LastModified>"
                f"<ETag>{escape(_etag(content))}</ETag><Size>{len(content)}</Size></Contents>"
            )
        parts += [f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)]
        if more:
            parts.append(f"<NextContinuationToken>{escape(found[_PAGE - 1])}</NextContinuationToken>")
        listed = f'<?xml version="1.0"?><ListBucketResult>{"".join(parts)}</ListBucketResult>'
        self._say(200, listed.encode(), {"Content-Type": "application/xml"})

    def _describe(self, bucket: str, *objects: str, prefix: str) -> None:
        """The JSON API: a bucket, or all generations of its objects."""
        said: dict[str, Any] = {"kind": "storage#bucket", "id": bucket, "name": bucket, **self.server.says}
        if objects:
            listed = [of for of in self.server.versions if of["bucket"] == bucket and of["name"].startswith(prefix)]
            said = {"kind": "storage#objects", "items": listed}
        self._say(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    def _cover(self, bucket: str, name: str) -> None:
        """Generations of a name that were live are not any more."""
        for version in self.server.versions:
            if (version["bucket"], version["name"]) == (bucket, name):
                version.setdefault("timeDeleted", "2026-01-01T00:00:00.000Z")

    def _asked(self) -> tuple[str, str, dict[str, str]]:
        """(bucket, name, query)."""
        url = urllib.parse.urlsplit(self.path)
        bucket, _, name = urllib.parse.unquote(url.path).lstrip("/").partition("/")
        return bucket, name, dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {_TOKEN}"

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _error(self, code: int, word: str) -> None:
        self._say(code, f"<Error><Code>{word}</Code></Error>".encode(), {"Content-Type": "application/xml"})

    def _say(self, code: int, content: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(
                BrokenPipeError, ConnectionResetError
            ):  # the client saw what it wanted in the head
                self.wfile.write(content)
                self.wfile.flush()


def _etag(content: bytes) -> str:
    return f'"{base64.b16encode(hashlib.sha256(content).digest()[:16]).decode().lower()}"'
