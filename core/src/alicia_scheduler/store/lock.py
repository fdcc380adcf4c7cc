"""One host per state directory: the lock that is taken before the store is opened.

Two schedulers on one store is the best-known way to run everything twice. The order matters as
well: a second host that looked into the store first would close the first one's executions as
interrupted.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType

from alicia_scheduler.api.errors import StoreError

__all__ = ["LOCK_FILE", "StateLock"]

LOCK_FILE = "alicia.lock"
"""Name of the lock file in the state directory. It stays behind; only its lock counts."""

_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC)


class StateLock:
    """Exclusive use of a state directory, which is created (rights 0700) when it is missing.

    The kernel drops the lock with the process, however that ends, so a file left by a crash is
    no obstacle.

    Args:
        state_dir: the directory.
        started_at: when this host started (aware); shown to a second host.

    Entering raises:
        StoreError: another host has the lock, or the directory cannot be used.
    """

    def __init__(self, state_dir: Path, started_at: datetime) -> None:
        self._state_dir = state_dir
        self._started_at = started_at
        self._handle: int | None = None

    def __enter__(self) -> StateLock:
        self._handle = self._acquired()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _acquired(self) -> int:
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = self._opened()
        except OSError as error:
            raise self._unusable(error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # On a disk that is full or read-only, the lock counts without its owner's name.
            with suppress(OSError):
                os.ftruncate(handle, 0)
                os.pwrite(handle, f"{os.getpid()} {self._started_at.isoformat()}\n".encode(), 0)
        except BlockingIOError:
            owner = _owner(handle)
            os.close(handle)
            raise StoreError(
                f"another host ({owner}) is using {self._state_dir}; stop that one first, or give "
                "this one its own state_dir"
            ) from None
        except OSError as error:
            os.close(handle)
            raise self._unusable(error) from error
        return handle

    def _opened(self) -> int:
        # A link planted in a directory that others may write must not lead the truncation astray.
        path = self._state_dir / LOCK_FILE
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
        # A host on a disk that may not be written keeps the lock that is there, or its directory.
        return os.open(path if path.exists() else self._state_dir, flags | os.O_RDONLY)

    def _unusable(self, error: OSError) -> StoreError:
        if error.errno == errno.ELOOP:
            place = self._state_dir / LOCK_FILE
            return StoreError(f"{place} is a symbolic link, which is refused; remove it")
        reason = error.strerror or error
        return StoreError(
            f"the state directory {self._state_dir} cannot be used: {reason}; check its rights, or "
            "set state_dir to a directory that this user may write"
        )


def _owner(handle: int) -> str:
    """Who has the lock, as it wrote itself down."""
    with suppress(OSError, ValueError):
        pid, since = os.pread(handle, 200, 0).decode().split()
        return f"process {int(pid)}, running since {datetime.fromisoformat(since)}"
    return "process unknown"
