"""Bytes to text by the charset that a Content-Type names, as long as it is one for text."""

from __future__ import annotations

import re

__all__ = ["decoded"]

PLAIN = frozenset(
    {
        *("utf-8", "utf-8-sig", "utf-16", "utf-16le", "utf-16be", "utf-32", "utf-32le", "utf-32be"),
        *(f"iso-8859-{number}" for number in range(1, 17) if number != 12),
        *(f"windows-{number}" for number in (874, *range(1250, 1259))),
        *("us-ascii", "ascii", "latin1", "latin-1", "utf8", "koi8-r", "koi8-u", "macintosh"),
        *("gb2312", "gbk", "gb18030", "big5", "shift-jis", "euc-jp", "euc-kr", "iso-2022-jp"),
    }
)
"""Names of encodings of text (WHATWG Encoding, less its curiosities). Python knows many codecs
more, some of which are slow (idna), run escapes, or are no text at all."""

NAMED = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
SPELT = {"macintosh": "mac-roman", "windows-874": "cp874"}


def decoded(body: bytes, content_type: str) -> str:
    """The body as text, whatever it is; UTF-8 when nothing better is named."""
    match = NAMED.search(content_type)
    name = match[1].lower().replace("_", "-") if match else "utf-8"
    if name not in PLAIN:
        name = "utf-8"
    return body.decode(SPELT.get(name, name), errors="replace")
