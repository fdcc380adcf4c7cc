"""Tokens for the TCP door: who may come in from elsewhere, by what name, to do what.

A token's secret is shown once, when it is made. Kept is its SHA-256 digest: the secret has 256
random bits, so nothing is gained by a slower hash. All tokens are in one file of the state
directory that nobody but its owner can read, replaced as a whole at every change; a running host
looks at it whenever somebody comes in, and every few seconds for those who are.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from alicia_scheduler.api.control import Permission
from alicia_scheduler.api.errors import AliciaError
from alicia_scheduler.api.model import from_epoch, to_epoch

__all__ = [
    "TOKENS_FILE",
    "Token",
    "TokenError",
    "Tokens",
    "create_token",
    "list_tokens",
    "revoke_token",
]

TOKENS_FILE = "tokens.json"

PREFIX = "alicia_"
"""Begins every secret, so that scanners for leaked secrets know one."""

USED_STEP = 3600.0
"""Seconds in steps of which the time of last use is kept: precise enough, and spares the disk."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MAX_TOKENS = 1000


class TokenError(AliciaError):
    """Tokens cannot be read or changed so; the message says what to do."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret.

    Attributes:
        name: what logs and the audit call its holder.
        permission: what its holder may do.
        digest: SHA-256 of the secret, in hexadecimal.
        created: when it was made.
        expires: from when on it no longer counts, or None.
        last_used: when somebody last came in with it, in steps of an hour, or None.
    """

    name: str
    permission: Permission
    digest: str
    created: datetime
    expires: datetime | None = None
    last_used: datetime | None = None


def create_token(
    state_dir: Path,
    name: str,
    permission: Permission = Permission.READ,
    *,
    expires_in: float | None = None,
) -> str:
    """Make a token and return its secret, which cannot be had again. Needs no running host; one
    that runs takes it at once.

    Args:
        name: 1 to 64 of ``A-Z a-z 0-9 _ . -``, not in use yet.
        expires_in: seconds after which it no longer counts.

    Raises:
        TokenError: the name is taken or none, or the file cannot be read or written.
    """
    if NAME.fullmatch(name) is None:
        raise TokenError(f"{name!r} cannot be the name of a token: 1 to 64 of A-Z a-z 0-9 _ . -")
    if expires_in is not None and not 0 < expires_in <= 100 * 366 * 86_400:
        raise TokenError("a token expires after some seconds, a hundred years at the most")
    now = datetime.now(UTC)
    secret = PREFIX + secrets.token_urlsafe(32)
    made = Token(
        name=name,
        permission=permission,
        digest=_digest(secret),
        created=now,
        expires=None if expires_in is None else now + timedelta(seconds=expires_in),
    )
    with _changing(state_dir) as tokens:
        if any(token.name == name for token in tokens):
            raise TokenError(f"there is a token {name!r} already: revoke it, or take another name")
        if len(tokens) >= MAX_TOKENS:
            raise TokenError(f"there are {MAX_TOKENS} tokens already: revoke some")
        tokens.append(made)
    return secret


def list_tokens(state_dir: Path) -> list[Token]:
    """All tokens, by name, those that have expired as well.

    Raises:
        TokenError: the file cannot be read.
    """
    return sorted(_read(state_dir / TOKENS_FILE), key=lambda token: token.name)


def revoke_token(state_dir: Path, name: str) -> None:
    """Take a token back. A running host ends the sessions that were opened with it within seconds.

    Raises:
        TokenError: there is none of this name, or the file cannot be written.
    """
    with _changing(state_dir) as tokens:
        left = [token for token in tokens if token.name != name]
        if len(left) == len(tokens):
            raise TokenError(f"there is no token {name!r}: see alicia tokens list")
        tokens[:] = left


class Tokens:
    """The tokens as a running host sees them: what the file says now.

    A file that cannot be read lets nobody in.
    """

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._seen: tuple[int, ...] | None = None
        self._tokens: list[Token] = []

    def of(self, secret: str, now: datetime) -> Token | None:
        """The token that has this secret, if there is one and it has not expired.

        Takes as long whichever token it is, and whether or not it is one.

        Raises:
            TokenError: the file cannot be read.
        """
        self.look()
        digest = _digest(secret)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return None if found is None or _expired(found, now) else found

    def holds(self, token: Token, now: datetime) -> bool:
        """True while ``token`` has neither been revoked nor expired.

        Raises:
            TokenError: the file cannot be read.
        """
        self.look()
        known = any(hmac.compare_digest(item.digest, token.digest) for item in self._tokens)
        return known and not _expired(token, now)

    def look(self) -> None:
        """Read the file again if it is another one."""
        path = self._state_dir / TOKENS_FILE
        try:
            stat = path.stat()
        except FileNotFoundError:
            self._tokens, self._seen = [], None
            return
        except OSError as error:
            raise TokenError(f"{path} cannot be read: {error}") from error
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._tokens, self._seen = _read(path), seen

    def note_use(self, used: Token, now: datetime) -> None:
        """Keep when a token was last used, in steps. Blocking.

        Raises:
            TokenError: the file cannot be written.
        """
        step = from_epoch(to_epoch(now) // USED_STEP * USED_STEP)
        if used.last_used is not None and used.last_used >= step:
            return
        with _changing(self._state_dir) as tokens:
            tokens[:] = [
                msgspec.structs.replace(token, last_used=step)
                if token.digest == used.digest
                else token
                for token in tokens
            ]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _expired(token: Token, now: datetime) -> bool:
    return token.expires is not None and now >= token.expires


def _read(path: Path) -> list[Token]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Token])
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise TokenError(
            f"{path} cannot be read: {error}; remove it to begin with no tokens"
        ) from error


@contextmanager
def _changing(state_dir: Path) -> Iterator[list[Token]]:
    """The tokens to change, by one process at a time; written when the block ends."""
    path = state_dir / TOKENS_FILE
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (state_dir / f"{TOKENS_FILE}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = _read(path)
            yield tokens
            _replace(path, tokens)
    except OSError as error:
        raise TokenError(f"{path} cannot be written: {error}") from error


def _replace(path: Path, tokens: Sequence[Token]) -> None:
    """Write the file anew beside the old one, for its owner alone, and put it in its place."""
    fresh = path.with_suffix(".new")
    with suppress(FileNotFoundError):
        fresh.unlink()
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(tokens), indent=2))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
