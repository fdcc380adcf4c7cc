"""A program's output: the beginning and the end are kept, what is between is counted."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

__all__ = ["Captured", "Lines", "kept_texts", "without_first_word"]

JSON_LIMIT = 56 * 1024
"""Bytes that the output may take as JSON: a result with more than 64 KiB is cut by the host."""

WORD = 256
"""Bytes of a word that go with it when a cut falls into it: a part of a secret may not be
recognised as one."""

LINE_LIMIT = 2000
"""Bytes of a line that is told while the program runs; the rest of it is left out."""


class Captured:
    """The first and the last bytes of a stream.

    Args:
        limit: bytes that are kept; half of them from the beginning.

    Attributes:
        total: bytes that came.
    """

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()

    def feed(self, data: bytes | bytearray) -> None:
        """Take in what came."""
        self.total += len(data)
        room = self._limit // 2 - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._limit:  # not at each piece: moving costs
            del self._tail[: -self._limit]

    @property
    def whole(self) -> bytes | None:
        """All that came, or None when that was more than the limit."""
        if self.total > self._limit:
            return None
        return bytes(self._head + self._tail)

    def text(self, limit: int) -> tuple[str, int]:
        """At most ``limit`` bytes as text, and how many bytes are left out of its middle.

        Bytes that are no UTF-8 become U+FFFD.
        """
        limit = min(limit, self._limit)
        if self.total <= limit:
            return (self._head + self._tail).decode(errors="replace"), 0
        size = limit // 2
        kept = self._head + self._tail
        head, tail = without_last_word(kept[:size]), without_first_word(kept[-size:])
        left_out = self.total - len(head) - len(tail)
        middle = f"\n… {left_out} bytes left out …\n"
        return head.decode(errors="replace") + middle + tail.decode(errors="replace"), left_out


class Lines:
    """Cuts a stream into lines of bounded length.

    Args:
        tell: called with each line, without its end.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._rest = bytearray()

    def feed(self, data: bytes | bytearray) -> None:
        """Take in what came."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
            self.close()
        self._add(rest)

    def close(self) -> None:
        """Tell the line that has begun."""
        text = self._rest.decode(errors="replace").rstrip("\r")
        self._rest.clear()
        if text:
            self._tell(text)

    def _add(self, data: bytes | bytearray) -> None:
        self._rest += data[: LINE_LIMIT - len(self._rest)]


def kept_texts(out: Captured, err: Captured, limit: int) -> tuple[str, str, int]:
    """Both outputs as the history keeps them, together within ``limit`` bytes and
    :data:`JSON_LIMIT` bytes of JSON; and how many bytes were left out.

    Each may use what the other leaves of the limit, the standard error at least a quarter.
    """
    while True:
        for_err = min(err.total, max(limit // 4, limit - out.total))
        (out_text, out_cut), (err_text, err_cut) = out.text(limit - for_err), err.text(for_err)
        size = len(msgspec.json.encode((out_text, err_text)))
        if size <= JSON_LIMIT or limit < 64:
            return out_text, err_text, out_cut + err_cut
        # Control characters and what is no UTF-8 take up to six bytes each.
        limit = min(limit - 1, out.total + err.total) * JSON_LIMIT // size


def without_last_word(data: bytearray) -> bytearray:
    """Without the beginning of a word whose rest is cut off; of one longer than :data:`WORD`,
    without the beginning of a character."""
    words = re.split(rb"\s", data[-WORD:])
    return data[: -len(words[-1])] if len(words) > 1 and words[-1] else _without_partial_end(data)


def without_first_word(data: bytearray) -> bytearray:
    """Without the rest of a word whose beginning is cut off; of one longer than :data:`WORD`,
    without the rest of a character."""
    words = re.split(rb"\s", data[:WORD])
    return data[len(words[0]) :] if len(words) > 1 else _without_partial_start(data)


def _without_partial_end(data: bytearray) -> bytearray:
    """Without the beginning of a character whose rest is cut off."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 2 if byte >= 0xC0 else 1
        length += (byte >= 0xE0) + (byte >= 0xF0)
        return data[:-back] if length > back else data
    return data


def _without_partial_start(data: bytearray) -> bytearray:
    """Without the rest of a character whose beginning is cut off."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]
