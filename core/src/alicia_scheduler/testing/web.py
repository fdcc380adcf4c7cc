"""A web server for tests that answers exactly what a test writes down, byte by byte, so that it can
also answer badly, slowly, endlessly or not at all."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

__all__ = ["Script", "WebServer", "answer"]

Script = Callable[[socket.socket, str], object]
"""Called with the connection and the first line of each request; sends what it likes."""

PATIENCE = 60.0


def answer(status: str = "200 OK", body: bytes = b"", *headers: str) -> Script:
    """A script that always answers the same."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    whole = "\r\n".join(head).encode() + b"\r\n\r\n" + body
    return lambda connection, _line: connection.sendall(whole)


class WebServer:
    """Listens on a free port of the loopback, with a thread for each connection.

    Args:
        script: answers each request.
        context: speaks TLS with it.

    Attributes:
        heads: the heads of all requests, as text.
        bodies: their bodies.
    """

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def url(self, path: str = "/", scheme: str = "http") -> str:
        """An address of this server."""
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        """Listen no more."""
        # Closing alone would leave the thread in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection:
            connection.settimeout(PATIENCE)
            if self._context is None:
                self._answer_all(connection)
                return
            with self._context.wrap_socket(connection, server_side=True) as encrypted:
                self._answer_all(encrypted)

    def _answer_all(self, connection: socket.socket) -> None:
        while (line := self._take_request(connection)) is not None:
            self._script(connection, line)

    def _take_request(self, connection: socket.socket) -> str | None:
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                return None
            received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode(errors="replace").split("\r\n")
        length = 0
        for line in lines[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "content-length":
                length = int(value)
        while len(body) < length:
            body += connection.recv(65536)
        self.heads.append("\r\n".join(lines))
        self.bodies.append(body)
        return lines[0]
