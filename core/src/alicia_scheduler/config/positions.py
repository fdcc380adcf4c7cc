"""Where every key of a TOML document stands.

``tomllib`` gives values without positions. This scanner gives positions without values: it reads
only documents that ``tomllib`` has accepted, so it needs no rule about what is allowed, only the
shape of the language (TOML 1.0: https://toml.io/en/v1.0.0).
"""

from __future__ import annotations

import re
import tomllib

__all__ = ["key_lines"]

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}#\n]*")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)


def key_lines(text: str) -> dict[Path, int]:
    """The line, counted from 1, of every table, key and list item of a valid TOML document.

    A path is the keys from outside in, with the index for an item of a list. A table that is
    opened several times (``[a.b]``, later ``[a]``) has the line where it is named first.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lines: dict[Path, int] = {}
        self._at = 0
        self._line = 1
        self._counted = 0
        self._items: dict[Path, int] = {}
        """Number of ``[[items]]`` so far of each array of tables."""

    def document(self) -> None:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self.text):
            if self._peek("[["):
                table = self._header("[[", "]]")
                index = self._items.get(table, 0)
                self._items[table] = index + 1
                table = (*table, index)
                self._note(table)
            elif self._peek("["):
                table = self._header("[", "]")
            else:
                self._pair(table)
            self._skip(_BLANK)

    def _header(self, opening: str, closing: str) -> Path:
        self._at += len(opening)
        keys = self._keys()
        self._at += len(closing)
        path: Path = ()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self._note(path)
            # A header that passes through an array of tables means its newest item.
            if path in self._items and (number < len(keys) or opening == "["):
                path = (*path, self._items[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path)
        self._at += len("=")
        self._skip(_SPACE)
        self._value(path)

    def _keys(self) -> list[str]:
        """A dotted key, up to what follows it."""
        keys = []
        while True:
            self._skip(_SPACE)
            keys.append(self._key())
            self._skip(_SPACE)
            if not self._peek("."):
                return keys
            self._at += 1

    def _key(self) -> str:
        if not self._peek('"') and not self._peek("'"):
            return self._take(_BARE_KEY)
        quoted = self._take(_STRING)
        if "\\" not in quoted:
            return quoted[1:-1]
        # Escapes are tomllib's business.
        key: str = tomllib.loads(f"key = {quoted}")["key"]
        return key

    def _value(self, path: Path) -> None:
        if self._peek("["):
            self._array(path)
        elif self._peek("{"):
            self._inline_table(path)
        elif self._peek('"') or self._peek("'"):
            self._take(_STRING)
        else:
            self._take(_BARE_VALUE)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        index = 0
        while not self._peek("]"):
            item = (*path, index)
            self._note(item)
            self._value(item)
            self._separator()
            index += 1
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._skip(_BLANK)
        while not self._peek("}"):
            self._pair(path)
            self._separator()
        self._at += 1

    def _separator(self) -> None:
        self._skip(_BLANK)
        if self._peek(","):
            self._at += 1
            self._skip(_BLANK)

    def _peek(self, text: str) -> bool:
        return self.text.startswith(text, self._at)

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self._at)
        if match is None:
            # Unreachable while tomllib and this scanner agree on what TOML is.
            raise ValueError(f"no TOML at character {self._at}")
        self._at = match.end()
        return match[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._take(pattern)

    def _note(self, path: Path) -> None:
        self._line += self.text.count("\n", self._counted, self._at)
        self._counted = self._at
        self.lines.setdefault(path, self._line)
