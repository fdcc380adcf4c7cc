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
        self._handles: list[int] = []

    def __enter__(self) -> StateLock:
        try:
            self._acquire()
        except BaseException:
            self._release()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()

    def _release(self) -> None:
        while self._handles:
            os.close(self._handles.pop())

    def _acquire(self) -> None:
        file: int | None = None
        try:
            self._state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._opened()
            self._lock_directory(required=file is None)
            if file is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another host ({_owner(file)}) is using {self._state_dir}; stop that one first, "
                "or give this one its own state_dir"
            ) from None
        except OSError as error:
            raise self._unusable(error) from error
        if file is not None:
            # On a disk that is full or read-only, the lock counts without its owner's name.
            with suppress(OSError):
                os.ftruncate(file, 0)
                os.pwrite(file, f"{os.getpid()} {self._started_at.isoformat()}\n".encode(), 0)

    def _lock_directory(self, *, required: bool) -> None:
        """Lock the directory too. It is all that a host can lock which starts where the lock file
        cannot be made, and such a host goes on when the file can be made by a second one."""
        try:
            handle = os.open(self._state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._handles.append(handle)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            # There are file systems that lock files only.
            if required:
                raise

    def _opened(self) -> int | None:
        """The lock file; None where there is none and it cannot be made."""
        # A link planted in a directory that others may write must not lead the truncation astray.
        path = self._state_dir / LOCK_FILE
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            if not path.exists():
                return None
            handle = os.open(path, flags | os.O_RDONLY)
        self._handles.append(handle)
        return handle

    def _unusable(self, error: OSError) -> StoreError:
        if error.errno == errno.ELOOP:
            place = self._state_dir / LOCK_FILE
            return StoreError(f"{place} is a symbolic link, which is refused; remove it")
        reason = error.strerror or error
        return StoreError(
            f"the state directory {self._state_dir} cannot be used: {reason}; check its rights, or "
            "set state_dir to a directory that this user may write"
        )


def _owner(handle: int | None) -> str:
    """Who has the lock, as it wrote itself down."""
    if handle is None:
        return "process unknown"
    with suppress(OSError, ValueError):
        pid, since = os.pread(handle, 200, 0).decode().split()
        return f"process {int(pid)}, running since {datetime.fromisoformat(since)}"
    return "process unknown"
