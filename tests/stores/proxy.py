"""A proxy between the pipeline and a store that counts requests, and does to some what networks and stores do."""

import contextlib
import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from tests.stores.servers import Server

FAULTS = ("lost", "answer lost", "503", "503 though done", "429", "cut", "slow", "twice")
_SLOW_S = 0.05


class FaultProxy(ThreadingHTTPServer):
    """Passes requests on to `upstream`. A share of them, `rate`, meets a fault until `left` have."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: int, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.upstream = upstream
        self.rate = 0.0
        self.left = 0
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.put: set[str] = set()
        """Paths of the objects put."""
        self._random, self._lock = random.Random(seed), threading.Lock()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def fault(self, method: str) -> str | None:
        """What is to happen to this request."""
        with self._lock:
            self.requests[method] += 1
            if self.left <= 0 or self._random.random() >= self.rate:
                return None
            self.left -= 1
            fault = self._random.choice(FAULTS)
            self.faults[fault] += 1
            return fault

    def handle_error(self, *_: Any) -> None:
        pass  # a client that went away


@contextmanager
def proxied(server: Server, seed: int = 0) -> Iterator[FaultProxy]:
    with FaultProxy(server.port, seed) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        yield proxy
        proxy.shutdown()


class _Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: FaultProxy
    _to: http.client.HTTPConnection | None = None

    def log_message(self, *arguments: Any) -> None:
        pass

    def _pass(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.server.fault(self.command)
        if self.command == "PUT":
            self.server.put.add(unquote(self.path.partition("?")[0]))
        if fault == "lost":
            return self._hang_up()
        if fault in ("503", "429"):
            return self._answer(int(fault), [], b"")
        if fault == "slow":
            time.sleep(_SLOW_S)
        if fault == "twice":
            self._ask(content)
        status, headers, body = self._ask(content)
        if fault == "answer lost":
            return self._hang_up()
        if fault == "503 though done":
            return self._answer(503, [], b"")
        self._answer(status, headers, body, is_cut=fault == "cut")
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass

    def _ask(self, content: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        for _ in range(3):  # the store may close a connection that was waiting
            with contextlib.suppress(OSError, http.client.HTTPException):
                self._to = self._to or http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=60)
                self._to.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    self._to.putheader(name, value)
                self._to.endheaders(content or None)
                answer = self._to.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            self._to = None
        raise ConnectionError("the store does not answer")

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, *, is_cut: bool = False) -> None:
        self.send_response_only(status)
        own = {"content-length", "transfer-encoding", "connection"}
        is_head = self.command == "HEAD"
        for name, value in headers:
            if name.lower() not in own or (is_head and name.lower() == "content-length"):
                self.send_header(name, value)
        if not is_head:
            self.send_header("Content-Length", str(len(body) + (is_cut and not body)))
        self.end_headers()
        if is_cut:
            self.wfile.write(body[: len(body) // 2])
            return self._hang_up()
        self.wfile.write(b"" if is_head else body)
        return None

    def _hang_up(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
