"""Reading secrets: from the environment, a file, a systemd credential or ``secrets.toml``.

Each use reads anew, so that a changed file holds from the next use on, without a restart.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

import trio

from alicia_scheduler.api.errors import AliciaError
from alicia_scheduler.config.secrets import SecretSource
from alicia_scheduler.config.wording import near, quote
from alicia_scheduler.host.secrets.redaction import Redactor

__all__ = ["SECRETS_FILE", "SecretMissing", "Secrets"]

SECRETS_FILE = "secrets.toml"
"""Name of the file beside the configuration that holds values itself."""

SIZE_LIMIT = 64 * 1024
"""Bytes that a secret, or all of ``secrets.toml``, may have."""


class SecretMissing(AliciaError):
    """A secret is not there, or may not be used as it is.

    Attributes:
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})"


class Secrets:
    """The secrets of a host, by name. No value is kept, except to take it out of texts.

    Args:
        sources: where they come from; names that are not in it are looked up in ``secrets.toml``.
        folder: the configuration file's; None when there is no file.
        environ: the environment; the process's own by default.
    """

    def __init__(
        self,
        sources: Mapping[str, SecretSource] | None = None,
        folder: Path | None = None,
        *,
        environ: Mapping[str, str] | None = None,
        redactor: Redactor | None = None,
    ) -> None:
        self.redactor = redactor or Redactor()
        self._sources = dict(sources or {})
        self._folder = folder
        self._environ = os.environ if environ is None else environ
        # Files on a mount that hangs must not use up the threads that plugins share.
        self._reading = trio.CapacityLimiter(4)

    def redeclare(self, other: Secrets) -> None:
        """Look for secrets where ``other`` does, from the next use on."""
        self._sources, self._folder = other._sources, other._folder

    async def get(self, name: str) -> str:
        """The value of a secret as it is now.

        Raises:
            SecretMissing: there is none; the message says where it was looked for.
        """
        source = self._sources.get(name)
        if source is not None and source.env is not None:
            return self.read(name)
        return await trio.to_thread.run_sync(
            self.read, name, abandon_on_cancel=True, limiter=self._reading
        )

    def read(self, name: str) -> str:
        """As :meth:`get`, blocking.

        Raises:
            SecretMissing: there is none.
        """
        source = self._sources.get(name)
        value = self._from_file(name) if source is None else self._from_source(name, source)
        if not value:
            raise SecretMissing(f"the secret {quote(name)} is empty", "give it a value")
        self.redactor.learn(value)
        return value

    def _from_source(self, name: str, source: SecretSource) -> str:
        if source.env is not None:
            value = self._environ.get(source.env)
            if value is None:
                raise SecretMissing(
                    f"the secret {quote(name)} is missing: "
                    f"the environment has no {quote(source.env)}",
                    f"set {source.env} for the process that runs alicia",
                )
            return value
        if source.file is not None:
            path = Path(source.file).expanduser()
            path = path if self._folder is None else self._folder / path
            return self._content(name, path, "create it, readable by who runs alicia alone")
        directory = self._environ.get("CREDENTIALS_DIRECTORY")
        if directory is None:
            raise SecretMissing(
                f"the secret {quote(name)} is missing: systemd passed no credentials",
                f"add LoadCredential={source.credential}:PATH to the unit, "
                "or set CREDENTIALS_DIRECTORY where you check by hand",
            )
        fix = f"add LoadCredential={source.credential}:PATH to the unit"
        return self._content(name, Path(directory) / (source.credential or ""), fix)

    def _content(self, name: str, path: Path, fix: str) -> str:
        raw = _bytes_of(path, f"the secret {quote(name)}", fix)
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise SecretMissing(
                f"the secret {quote(name)} is not UTF-8 text: {path}", "store it as text"
            ) from None
        return text.removesuffix("\n").removesuffix("\r")

    def _from_file(self, name: str) -> str:
        if self._folder is None:
            raise SecretMissing(f"there is no secret {quote(name)}", "declare it under [secrets]")
        path = self._folder / SECRETS_FILE
        if not path.exists():
            raise self._unknown(name, self._sources, f"and there is no {path}")
        table = self._table(path)
        value = table.get(name)
        if value is None:
            raise self._unknown(name, {**self._sources, **table}, f"nor in {path}")
        if not isinstance(value, str):
            raise SecretMissing(
                f"the secret {quote(name)} in {path} is not text", "put it in quotes"
            )
        return value

    def _table(self, path: Path) -> dict[str, object]:
        raw = _bytes_of(path, SECRETS_FILE, "make it readable for who runs alicia", private=True)
        try:
            return tomllib.loads(raw.decode())
        except ValueError:
            # Its message could quote a value.
            raise SecretMissing(
                f"{path} is not TOML", 'each line is like: mqtt-password = "…"'
            ) from None

    def _unknown(self, name: str, known: Mapping[str, object], where: str) -> SecretMissing:
        match = near(name, known)
        hint = (
            f"did you mean {quote(match)}?"
            if match is not None
            else f"declare it under [secrets], or write it into {SECRETS_FILE} beside the "
            "configuration"
        )
        return SecretMissing(f"there is no secret {quote(name)} under [secrets], {where}", hint)


def _check_rights(path: Path, status: os.stat_result) -> None:
    """Refuse a file when others could read or replace what is in it."""
    if status.st_uid != os.geteuid():
        raise SecretMissing(
            f"{path} belongs to another user than the one who runs alicia",
            f"chown {os.geteuid()} {path}",
        )
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise SecretMissing(f"{path} is open to other users", f"chmod 600 {path}")


def _bytes_of(path: Path, what: str, fix: str, *, private: bool = False) -> bytes:
    try:
        with path.open("rb") as stream:
            if private:
                _check_rights(path, os.fstat(stream.fileno()))
            raw = stream.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name is no path"
        raise SecretMissing(f"{what} cannot be read: {path}: {why}", fix) from None
    if len(raw) > SIZE_LIMIT:
        raise SecretMissing(
            f"{what} has more than {SIZE_LIMIT // 1024} KiB: {path}", "is it the right file?"
        )
    return raw
