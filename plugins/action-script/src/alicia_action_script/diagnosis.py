"""Why a program could not be started, in words that say what to do."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from alicia_scheduler.api import Permanent, Retryable

__all__ = ["start_failure"]

PASSING = {errno.EAGAIN, errno.ENOMEM, errno.ENFILE, errno.EMFILE, errno.ETXTBSY, errno.EIO}
"""Errors that may be gone at the next attempt: no room for now, or a file still being written."""


def start_failure(
    stage: str, code: int | None, detail: str | None, *, program: str, cwd: str, user: str | None
) -> Retryable | Permanent:
    """The failure to raise.

    Looks at files: to be called in a thread.

    Args:
        stage: what the launcher was doing: ``exec``, ``cwd``, ``user``, ``nice``, a limit, …
        code: the ``errno`` of the error, if it was one of the system.
        detail: the path that was executed, or what else is known.
        program: as the event names it.
    """
    said = os.strerror(code) if code is not None else detail or "unknown error"
    if code in PASSING:
        return Retryable(f"{program} could not be started: {said}", error_class="start")
    match stage:
        case "exec":
            return _exec_failure(code, detail, program, cwd, said)
        case "cwd":
            # It may be on a disk that is not mounted yet.
            return Retryable(f"cwd {cwd!r} cannot be entered: {said}", error_class="cwd")
        case "user" if code == errno.ESRCH:
            return Permanent(f"there is no user {user!r} on this machine", error_class="user")
        case "user":
            return Permanent(
                f"the host cannot become the user {user!r}: {said}; it must run as root to do so",
                error_class="user",
            )
        case "nice":
            return Permanent(
                f"limits.nice cannot be set: {said}; only root may go below 0", error_class="limits"
            )
        case _:
            return Permanent(
                f"{program} could not be started ({stage}): {said}", error_class="start"
            )


def _exec_failure(
    code: int | None, detail: str | None, program: str, cwd: str, said: str
) -> Permanent:
    if detail is None and "/" in program:
        detail = program
    if detail is None:
        return Permanent(
            f"there is no program {program!r} in the folders of PATH: install it, or write its"
            " absolute path",
            error_class="not_found",
        )
    path = Path(cwd, detail)
    if code in (errno.ENOENT, errno.ENOTDIR):
        if not os.path.lexists(path):
            return Permanent(f"there is no file {detail}", error_class="not_found")
        if not path.exists():
            return Permanent(f"{detail} is a link to nothing", error_class="not_found")
        return Permanent(_missing_interpreter(path, detail), error_class="bad_interpreter")
    if code == errno.EACCES:
        return _not_permitted(path, detail)
    if code == errno.ENOEXEC:
        return Permanent(_bad_format(path, detail), error_class="bad_interpreter")
    if code == errno.E2BIG:
        return Permanent(
            f"the arguments and variables of {detail} are too long together: give them in stdin",
            error_class="too_long",
        )
    return Permanent(f"{detail} cannot be executed: {said}", error_class="not_executable")


def _not_permitted(path: Path, detail: str) -> Permanent:
    try:
        mode = path.stat().st_mode
    except OSError:
        return Permanent(f"{detail} may not be reached by this user", error_class="not_executable")
    if stat.S_ISDIR(mode):
        problem = f"{detail} is a directory"
    elif not stat.S_ISREG(mode):
        problem = f"{detail} is no regular file"
    elif not mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        problem = f"{detail} is not executable: chmod +x {detail}"
    elif interpreter := _interpreter(path):
        return Permanent(
            f"{detail} or its interpreter {interpreter!r} may not be executed by this user",
            error_class="bad_interpreter",
        )
    else:
        problem = f"{detail} may not be executed by this user, or its disk is mounted noexec"
    return Permanent(problem, error_class="not_executable")


def _missing_interpreter(path: Path, detail: str) -> str:
    interpreter = _interpreter(path)
    if interpreter is None:
        return f"{detail} needs a program loader that is not on this machine: is it built for it?"
    if interpreter.endswith("\r"):
        return (
            f"the first line of {detail} ends as on Windows, so its interpreter is not found:"
            f" sed -i 's/\\r$//' {detail}"
        )
    return f"{detail} needs the interpreter {interpreter!r} (its first line), which is not there"


def _bad_format(path: Path, detail: str) -> str:
    start = _start_of(path)
    if not start:
        return f"{detail} is empty, or may not be read"
    if start.startswith(b"\x7fELF"):
        return f"{detail} is built for another kind of machine"
    return f"{detail} has no line that names its interpreter: begin it with #!/bin/sh"


def _interpreter(path: Path) -> str | None:
    """What the line ``#!`` names."""
    first = _start_of(path).split(b"\n", 1)[0]
    if not first.startswith(b"#!"):
        return None
    words = first[2:].strip(b" \t").split(b" ", 1)
    return words[0].decode(errors="replace")


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(256)
    except OSError:
        return b""
