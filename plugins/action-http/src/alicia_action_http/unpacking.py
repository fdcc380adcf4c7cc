"""Bodies that were packed for the way (RFC 9110 section 8.4.1)."""

from __future__ import annotations

import zlib

__all__ = ["NotUnpacked", "packed_by", "unpacked"]

GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
RAW_DEFLATE = -zlib.MAX_WBITS
"""What some servers send as deflate."""

GZIP_MAGIC = b"\x1f\x8b"


class NotUnpacked(Exception):
    """The body is not what its Content-Encoding says, or ends too soon."""


def packed_by(content_encoding: str) -> str | None:
    """The packing that we can undo, or None."""
    name = content_encoding.strip().lower().removeprefix("x-")
    return name if name in ("gzip", "deflate") else None


def unpacked(packed: bytes, limit: int, *, whole: bool) -> bytes:
    """A body without its packing; at the most ``limit`` + 1 bytes of it, however few they were on
    the way. It may take a while: run it in a thread.

    Args:
        whole: whether ``packed`` is all of it; else what can be had is enough.

    Raises:
        NotUnpacked: it is broken, or ends before its end.
    """
    if not packed:
        return b""
    bits = GZIP_OR_ZLIB
    body = bytearray()
    rest = packed
    while rest and len(body) <= limit:
        unpacker = zlib.decompressobj(bits)
        try:
            body += unpacker.decompress(rest, limit + 1 - len(body))
        except zlib.error as error:
            if bits == GZIP_OR_ZLIB and not body:
                bits = RAW_DEFLATE
                continue
            if whole:
                raise NotUnpacked(f"the packed body is broken: {error}") from None
            break
        if not unpacker.eof:
            if whole and len(body) <= limit:
                raise NotUnpacked("the packed body ends before its end")
            break
        # gzip may come in several pieces (RFC 1952 section 2.2); anything else behind it is none.
        rest = unpacker.unused_data
        if not rest.startswith(GZIP_MAGIC):
            break
    return bytes(body)
