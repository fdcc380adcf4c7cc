"""A TOML file, and the line of every key in it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.positions import key_lines
from alicia_scheduler.config.syntax import syntax_error

__all__ = ["Document"]

MAX_BYTES = 4 * 1024 * 1024
"""Largest configuration file, in bytes."""

MAX_DEPTH = 64
"""Deepest nesting of tables and lists. What is below would overflow readers of its JSON form."""


class Document:
    """A TOML document that was read.

    Attributes:
        name: what errors call it: the path as it was given.
        data: the document as plain data.
    """

    def __init__(self, name: str, text: str, data: dict[str, Any]) -> None:
        self.name = name
        self.data = data
        self._text = text

    @classmethod
    def load(cls, path: str | Path) -> Document:
        """Read a file.

        Raises:
            ConfigError: it is missing, unreadable, too large, not UTF-8 or not TOML.
        """
        name = str(path)
        try:
            with Path(path).open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
        except FileNotFoundError:
            message, hint = "there is no such file", "check the path"
        except IsADirectoryError:
            message, hint = "this is a directory", "name the TOML file in it"
        except PermissionError:
            message, hint = "the file may not be read", "give the user who runs alicia the right to"
        except (OSError, ValueError) as error:
            # ValueError: a path that holds a NUL character.
            message, hint = f"the file cannot be read: {error}", "check the path and the disk"
        else:
            return cls._decoded(raw, name)
        raise ConfigError(message, hint=hint, file=name)

    @classmethod
    def _decoded(cls, raw: bytes, name: str) -> Document:
        if len(raw) > MAX_BYTES:
            message = f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB"
            raise ConfigError(message, hint="is it really the configuration?", file=name)
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            message = f"the byte 0x{raw[error.start]:02x} is not UTF-8"
            hint = "save the file with the encoding UTF-8"
            raise ConfigError(message, hint=hint, file=name, line=line) from None
        return cls.parse(text, name)

    @classmethod
    def parse(cls, text: str, name: str = "<text>") -> Document:
        """Read a document from memory; ``name`` is what errors call it.

        Raises:
            ConfigError: it is not TOML, or nested too deeply.
        """
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise syntax_error(str(error), text, name) from None
        except RecursionError:
            message = f"tables and lists are nested deeper than {MAX_DEPTH} levels"
            raise ConfigError(message, file=name) from None
        except ValueError:
            # Python's int() refuses thousands of digits, and tomllib lets that through.
            raise ConfigError("a number has too many digits", file=name) from None
        document = cls(name, text, data)
        for path, value in _containers(data):
            if len(path) > MAX_DEPTH and value:
                message = f"tables and lists are nested deeper than {MAX_DEPTH} levels"
                raise ConfigError(message, file=name, line=document.line_of(path))
        return document

    def defines(self, path: Sequence[str | int]) -> bool:
        """Whether there is something at ``path``."""
        value: Any = self.data
        for step in path:
            if not isinstance(value, dict) or step not in value:
                return False
            value = value[step]
        return True

    def line_of(self, path: Sequence[str | int]) -> int | None:
        """The line, counted from 1, where the value at ``path`` is named.

        When there is nothing at ``path`` (a key is missing), the line of the nearest table or
        list around it; None when even the outermost key is unknown.
        """
        for length in range(len(path), 0, -1):
            line = self._lines.get(tuple(path[:length]))
            if line is not None:
                return line
        return None

    def paths(self) -> Mapping[tuple[str | int, ...], int]:
        """Every path in the document with its line."""
        return self._lines

    @cached_property
    def _lines(self) -> dict[tuple[str | int, ...], int]:
        # Only a document with a mistake pays for this.
        return key_lines(self._text)


def _containers(data: dict[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """Every table and list with its path, without recursion; stops behind the deepest allowed."""
    stack: list[tuple[tuple[str | int, ...], Any]] = [((), data)]
    while stack:
        path, value = stack.pop()
        yield path, value
        items = value.items() if isinstance(value, dict) else enumerate(value)
        stack.extend(
            ((*path, step), child) for step, child in items if isinstance(child, (dict, list))
        )
