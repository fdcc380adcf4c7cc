"""The network between a host and its broker, in the hands of a test."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

__all__ = ["Relay"]

HOST = "127.0.0.1"
CONNECT = 0x10
MQTT_5 = 5
REFUSED_VERSION = b"\x20\x02\x00\x01"
"""How a broker of MQTT 3.1.1 answers a version it does not speak (3.1.1, section 3.2.2.3)."""


class Relay:
    """A TCP relay to a port of the loopback, that can be cut and joined: ``with Relay(1883) as r``.

    Args:
        target: the port of the broker.
        only_3_1_1: refuse MQTT 5 as a broker does that speaks 3.1.1 only.
        joined: whether it takes connections from the start.

    Attributes:
        port: where to connect instead.
        connections: how many there have been.
    """

    def __init__(self, target: int, *, only_3_1_1: bool = False, joined: bool = True) -> None:
        self.connections = 0
        self._target = target
        self._only_3_1_1 = only_3_1_1
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port: int = probe.getsockname()[1]
        if joined:
            self.join()

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def join(self) -> None:
        """Take connections."""
        self._listener = socket.create_server((HOST, self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Break all connections and take no more. No effect when it is cut."""
        if self._listener is not None:
            # Closing alone would not wake the thread that accepts.
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for end in list(self._open):
            _break(end)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._join, args=(client,), daemon=True).start()

    def _join(self, client: socket.socket) -> None:
        try:
            first = client.recv(4096)
            if self._only_3_1_1 and _speaks_5(first):
                client.sendall(REFUSED_VERSION)
                client.close()
                return
            broker = socket.create_connection((HOST, self._target))
            for end in (client, broker):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            broker.sendall(first)
        except OSError:
            client.close()
            return
        self._open |= {client, broker}
        threading.Thread(target=self._pump, args=(broker, client), daemon=True).start()
        self._pump(client, broker)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for end in (source, sink):
            self._open.discard(end)
            _break(end)


def _break(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _speaks_5(packet: bytes) -> bool:
    """Whether a first packet is a CONNECT of MQTT 5: the version follows the protocol's name."""
    at = packet.find(b"\x00\x04MQTT")
    return packet[:1] == bytes([CONNECT]) and at > 0 and packet[at + 6] == MQTT_5
