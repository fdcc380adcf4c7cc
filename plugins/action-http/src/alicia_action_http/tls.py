"""Whom to trust and who we are, made into contexts for TLS."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Contexts", "EncryptedKey", "Trust"]

MOST_CONTEXTS = 32

Stamp = tuple[tuple[int, int, int], ...]
"""Of each file: when it changed (nanoseconds), how long it is, which it is."""

RunSync = Callable[..., Awaitable["tuple[Stamp, ssl.SSLContext]"]]


class EncryptedKey(Exception):
    """The key needs a password, which nobody is there to type."""


class Trust(NamedTuple):
    """What a TLS connection is made with; the names are those of the event's fields."""

    verify: bool = True
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None


class Contexts:
    """Contexts for TLS, each made once and again when a file of it has changed.

    Making one reads the system's certificates, which takes some ten milliseconds: it is done in
    a thread, as is looking whether the files have changed.

    Args:
        run_sync: runs a function in a thread.
    """

    def __init__(self, run_sync: RunSync) -> None:
        self._run_sync = run_sync
        self._made: OrderedDict[Trust, tuple[Stamp, ssl.SSLContext]] = OrderedDict()

    async def get(self, trust: Trust) -> ssl.SSLContext:
        """The context for ``trust``: the same object as long as the files stay the same.

        Raises:
            EncryptedKey: the key has a password.
            OSError, ssl.SSLError: a file cannot be read.
        """
        known = self._made.get(trust)
        fresh = await self._run_sync(_renewed, trust, known)
        self._made[trust] = fresh
        self._made.move_to_end(trust)
        while len(self._made) > MOST_CONTEXTS:
            self._made.popitem(last=False)
        return fresh[1]


def _renewed(
    trust: Trust, known: tuple[Stamp, ssl.SSLContext] | None
) -> tuple[Stamp, ssl.SSLContext]:
    stamp = _stamp(trust)
    if known is not None and known[0] == stamp:
        return known
    context = ssl.create_default_context(cafile=trust.ca_file)
    if not trust.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if trust.cert_file is not None:
        context.load_cert_chain(trust.cert_file, trust.key_file, password=_no_password)
    return stamp, context


def _stamp(trust: Trust) -> Stamp:
    system = ssl.get_default_verify_paths().cafile if trust.ca_file is None else None
    files = (trust.ca_file, trust.cert_file, trust.key_file, system)
    found = [Path(file).stat() for file in files if file is not None]
    return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)


def _no_password() -> str:
    # Without a function OpenSSL asks on the terminal, and waits.
    raise EncryptedKey
