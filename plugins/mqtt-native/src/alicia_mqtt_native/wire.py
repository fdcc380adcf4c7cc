"""A socket to a broker, encrypted or not, that is written without waiting."""

from __future__ import annotations

import socket
import ssl

import trio

__all__ = ["Wire"]

CHUNK = 65536
"""Most bytes taken from the socket at a time."""


class Wire:
    """What is written gathers until :meth:`flush` hands it to the network, all at once.

    TLS is done in memory (:class:`ssl.SSLObject`), so encrypting never waits either.

    Attributes:
        broken: whether the network has refused to take something, and takes nothing any more.
    """

    def __init__(self, sock: socket.socket, tls: ssl.SSLObject | None, bios: Bios) -> None:
        self._socket = sock
        self._tls = tls
        self._encrypted_in, self._encrypted_out = bios
        self._out = bytearray()
        self._filled = trio.Event()
        self.broken = False

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext | None) -> Wire:
        """Connect, and agree on the encryption.

        Raises:
            OSError: it cannot be reached; :class:`ssl.SSLError` is one.
        """
        stream = await trio.open_tcp_stream(host, port)
        # Trio's own sockets always wait for their turn; writing must not. Nagle's algorithm is
        # off already.
        sock = socket.socket(fileno=stream.socket.detach())
        sock.setblocking(False)
        bios = ssl.MemoryBIO(), ssl.MemoryBIO()
        wire = cls(sock, tls.wrap_bio(*bios, server_hostname=host) if tls else None, bios)
        try:
            await wire._shake_hands()
        except BaseException:
            wire.close()
            raise
        return wire

    @property
    def empty(self) -> bool:
        """Whether the network has taken everything."""
        return not self._out

    def write(self, data: bytes) -> None:
        """Have it sent with the next :meth:`flush`."""
        if self._tls is None:
            self._out += data
            return
        self._tls.write(data)
        self._out += self._encrypted_out.read()

    def flush(self) -> bool:
        """Hand over as much as the network takes; True when that was all. A broken connection is
        told by the next :meth:`receive`."""
        if not self._out:
            return True
        try:
            sent = self._socket.send(self._out)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self.broken = True
            return False
        if sent == len(self._out):
            self._out = bytearray()
            return True
        del self._out[:sent]
        self._filled.set()
        return False

    async def wait_flushable(self) -> None:
        """Wait until something is left over that the network would take now."""
        await self._filled.wait()
        self._filled = trio.Event()
        await trio.lowlevel.wait_writable(self._socket)

    async def receive(self) -> bytes:
        """What came in; empty when the other side has closed.

        Raises:
            OSError: the connection broke.
        """
        while True:
            await trio.lowlevel.wait_readable(self._socket)
            try:
                data = self._socket.recv(CHUNK)
            except (BlockingIOError, InterruptedError):
                continue
            if self._tls is None or not data:
                return data
            self._encrypted_in.write(data)
            if plain := self._decrypt(self._tls):
                return plain

    def close(self) -> None:
        """Close the socket, at once. Nothing may be waiting for it any more."""
        self._socket.close()

    def _decrypt(self, tls: ssl.SSLObject) -> bytes:
        parts = []
        try:
            while part := tls.read(CHUNK):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        # What TLS itself has to say: a key update is to be answered.
        self._out += self._encrypted_out.read()
        return b"".join(parts)

    async def _shake_hands(self) -> None:
        while self._tls is not None:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send_all()
                await trio.lowlevel.wait_readable(self._socket)
                data = self._socket.recv(CHUNK)
                if not data:
                    raise ConnectionResetError("it closed during the TLS handshake") from None
                self._encrypted_in.write(data)
            else:
                break
            finally:
                self._out += self._encrypted_out.read()
                self.flush()  # also the alert that says why we go
        await self._send_all()

    async def _send_all(self) -> None:
        self._out += self._encrypted_out.read()
        while not self.flush():
            if self.broken:
                raise ConnectionResetError("it closed during the TLS handshake")
            await trio.lowlevel.wait_writable(self._socket)


Bios = tuple[ssl.MemoryBIO, ssl.MemoryBIO]
"""What comes in encrypted, and what goes out."""
