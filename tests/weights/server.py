"""A scripted download server on 127.0.0.1, and weights that are published there."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from inceptioncli.weights.registry import NamedWeights


class Server(ThreadingHTTPServer):
    """Serves ``content`` in the way that the first part of the path asks for."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.requests: Counter[str] = Counter()

    def publish(self, behaviour: str) -> NamedWeights:
        """Named weights whose download behaves so."""
        return NamedWeights(
            name="imagenet",
            url=f"http://127.0.0.1:{self.server_port}/{behaviour}/weights.h5",
            sha256=hashlib.sha256(self.content).hexdigest(),
            bytes=len(self.content),
            layout="keras",
            classes=1000,
            about="test",
        )


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        self.server.requests[behaviour] += 1
        content = self.server.content
        half = len(content) // 2
        if behaviour == "missing":
            self.send_error(404)
        elif behaviour == "wrong":
            self._send(bytes(len(content)))
        elif behaviour == "short":
            self._send(content[:half])
        elif behaviour == "long":
            self._send(content + b"more")
        elif behaviour == "dropped" or (
            behaviour == "flaky" and self.server.requests[behaviour] == 1
        ):
            self._send(content[:half], claimed=len(content))
        elif behaviour == "slow":
            self._head(len(content))
            for start in range(0, len(content), len(content) // 10):
                self.wfile.write(content[start : start + len(content) // 10])
                time.sleep(0.1)
        elif behaviour == "silent":
            time.sleep(5)
            self.close_connection = True
        else:
            self._send(content)

    def _head(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(self, body: bytes, claimed: int | None = None) -> None:
        self._head(len(body) if claimed is None else claimed)
        self.wfile.write(body)
        self.close_connection = claimed is not None

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: requests are counted."""


@contextmanager
def serving(content: bytes) -> Iterator[Server]:
    """Runs a server for a while."""
    server = Server(content)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
