"""What a far side could send: messages, frames and bytes of every wrong shape, by seed."""

import json
import struct

HANDSHAKE = (
    b"GET /api/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(payload, opcode=TEXT, *, fin=True, masked=True, reserved=0, length=None):
    """A frame of a client, right unless said otherwise. The mask is zero, which is allowed."""
    length = len(payload) if length is None else length
    head = bytes([(fin << 7) | (reserved << 4) | opcode])
    mark = masked << 7
    if length < 126:
        head += bytes([mark | length])
    elif length < 65536:
        head += bytes([mark | 126]) + struct.pack("!H", length)
    else:
        head += bytes([mark | 127]) + struct.pack("!Q", length)
    return head + (b"\0\0\0\0" if masked else b"") + payload


class Fuzz:
    """Makes things to send.

    Args:
        random: where choices come from.
        names: commands that may be named.

    Attributes:
        number: the id of the latest command.
    """

    def __init__(self, random, names):
        self.random = random
        self.names = names
        self.number = 0

    def next(self):
        """Bytes to send on an open WebSocket, and whether the connection bears more: one message,
        or what stands in for one."""
        kinds = [self.command, self.damaged, self.nasty, self.frames, self.batch, self.broken]
        (kind,) = self.random.choices(kinds, [50, 12, 10, 15, 8, 3])
        # Damaged text is often not UTF-8.
        return kind(), kind not in (self.broken, self.damaged)

    def value(self, depth=0):
        """Any JSON value."""
        choice = self.random.randrange(12 if depth < 4 else 9)
        if choice < 9:
            return self.random.choice(
                [
                    None,
                    True,
                    0,
                    -1,
                    2**53,
                    2**63,
                    1e308,
                    0.1,
                    "",
                    "x" * self.random.randrange(300),
                    "\0",
                    "\u202e",
                    "../../etc/passwd",
                    "*" * 100 + "-",
                    "[" * 50,
                    "2026-01-01T00:00:00Z",
                    "9999-99-99",
                    "no-such-event",
                ]
            )
        size = self.random.randrange(5)
        if choice == 9:
            return {self.key(): self.value(depth + 1) for _ in range(size)}
        return [self.value(depth + 1) for _ in range(size)]

    def key(self):
        keys = ["event_id", "execution_id", "until", "event_type", "tag", "after"]
        keys += ["subscription", "limit", "type", "id", "", "__class__", "x" * 200]
        return self.random.choice(keys)

    def message(self):
        self.number += 1
        number = self.number if self.random.random() < 0.9 else self.value()
        name = self.random.choice(self.names) if self.random.random() < 0.9 else self.value()
        arguments = {self.key(): self.value() for _ in range(self.random.randrange(4))}
        message = {**arguments, "id": number, "type": name}
        if self.random.random() < 0.05:
            message.pop(self.random.choice(["id", "type"]))
        return message

    def command(self):
        return frame(json.dumps(self.message()).encode())

    def batch(self):
        return frame(json.dumps([self.message() for _ in range(self.random.randrange(6))]).encode())

    def damaged(self):
        text = bytearray(json.dumps(self.message()).encode())
        for _ in range(self.random.randrange(1, 4)):
            at = self.random.randrange(len(text))
            text[at : at + self.random.randrange(3)] = self.random.randbytes(
                self.random.randrange(3)
            )
        return frame(bytes(text))

    def nasty(self):
        deep = self.random.choice([70, 1000, 50_000])
        return frame(
            self.random.choice(
                [
                    b"[" * deep,
                    b"[" * deep + b"]" * deep,
                    b'{"a":' * deep + b"1" + b"}" * deep,
                    b'{"id":1,"type":"ping","n":' + b"9" * deep + b"}",
                    b'{"id":NaN,"type":"ping"}',
                    b'{"id":1e400,"type":"ping"}',
                    b'{"id":Infinity,"type":Infinity}',
                    b'{"id":1,"type":"\\ud800"}',
                    b'{"id":1,"id":1,"type":"ping","type":1}',
                    b"[" + b"0," * deep + b"0]",
                    b"[" + b"{}," * 900 + b"{}]",
                    b'"' + b"\\u0000" * deep + b'"',
                    b" " * deep,
                    b"\xef\xbb\xbf{}",
                    b"null",
                    b"",
                    b'{"id":1,"type":"' + b"x" * deep + b'"}',
                ]
            )
        )

    def frames(self):
        """Unusual frames that are right."""
        random, text = self.random, json.dumps(self.message()).encode()
        cut = random.randrange(len(text))
        return random.choice(
            [
                lambda: frame(text[:cut], fin=False) + frame(text[cut:], 0),
                lambda: frame(b"", fin=False) + frame(b"", 0, fin=False) * 200 + frame(text, 0),
                lambda: frame(text[:cut], fin=False) + frame(b"x", PING) + frame(text[cut:], 0),
                lambda: b"".join(frame(random.randbytes(4), PING) for _ in range(50)),
                lambda: frame(b"x" * 125, PONG),
                lambda: frame(b" " * 300_000, fin=False) * 2 + frame(text, 0),
            ]
        )()

    def broken(self):
        """Frames that end the connection."""
        random, text = self.random, json.dumps(self.message()).encode()
        return random.choice(
            [
                lambda: frame(b"", fin=False) + frame(b"", 0, fin=False) * 2000,
                lambda: frame(b"x" * 126, PING),
                lambda: frame(b"x", PING, fin=False),
                lambda: frame(random.randbytes(random.randrange(200)), BINARY),
                lambda: frame(random.randbytes(random.randrange(1, 200))),
                lambda: frame(b'"\xc3\x28"'),
                lambda: frame(text, masked=False),
                lambda: frame(text, reserved=random.randrange(1, 8)),
                lambda: frame(text, random.choice([3, 4, 5, 6, 7, 11, 12, 15])),
                lambda: frame(text, 0),
                lambda: frame(text, fin=False) + frame(text),
                lambda: frame(text, length=2**62),
                lambda: frame(text, length=2**63 + 5),
                lambda: frame(b"", length=2**40),
                lambda: frame(text)[: random.randrange(1, 8)],
                lambda: frame(struct.pack("!H", random.randrange(65536)) + b"\xff", CLOSE),
                lambda: frame(b"\x03", CLOSE),
                lambda: frame(b"", CLOSE) + frame(text) * 3,
                lambda: random.randbytes(random.randrange(1, 500)),
                lambda: frame(b" " * 300_000, fin=False) * 5,
            ]
        )()

    def bytes(self):
        """What comes where a handshake should."""
        random = self.random
        cut = random.randrange(1, len(HANDSHAKE))
        return random.choice(
            [
                lambda: random.randbytes(random.randrange(1, 3000)),
                lambda: HANDSHAKE[:cut],
                lambda: HANDSHAKE[:cut] + random.randbytes(5) + HANDSHAKE[cut:],
                lambda: HANDSHAKE.replace(b"websocket", b"h2c"),
                lambda: HANDSHAKE + frame(b"{}") * 3,
                lambda: b"\x16\x03\x01" + random.randbytes(300),
                lambda: b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000,
                lambda: b"GET / HTTP/1.1\r\nContent-Length: 9999999999\r\n" + HANDSHAKE,
                lambda: HANDSHAKE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\nzz"),
                lambda: HANDSHAKE.replace(b"/api/websocket", b"/" + b"a" * 10_000),
            ]
        )()
