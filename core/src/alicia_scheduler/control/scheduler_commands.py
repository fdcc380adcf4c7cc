"""``scheduler/pause``, ``resume``, ``reload`` and ``backup``: the host as a whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import trio
from msgspec import Meta

from alicia_scheduler.api.control import CommandError, Permission
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.control.command import Answer, Arguments, Command, Nothing, Request
from alicia_scheduler.control.event_steering import PauseSeconds, ends_at, one_end
from alicia_scheduler.host.reload import ReloadPlan
from alicia_scheduler.kernel import halting

__all__ = ["SCHEDULER"]

BACKUPS = "backups"
"""The folder of backups in the state directory."""


class PauseScheduler(Arguments, frozen=True):
    """For how long no slot of any event runs.

    Attributes:
        until: up to this instant.
        duration: seconds from now on. With neither, until it is resumed, also over a restart.
    """

    until: datetime | None = None
    duration: PauseSeconds | None = None

    def __post_init__(self) -> None:
        one_end(self.until, self.duration)


class PausedScheduler(Answer, frozen=True):
    """Whether the whole schedule is paused.

    Attributes:
        paused_until: up to when, epoch seconds; null when it is not.
    """

    paused_until: datetime | None = None


class Reload(Arguments, frozen=True):
    """How to reload.

    Attributes:
        dry_run: only say what would change.
    """

    dry_run: bool = False


class Backup(Arguments, frozen=True):
    """Where to put the copy.

    Attributes:
        path: a file that does not exist: absolute, or in the state directory. By default a new
            one in the folder `backups` of the state directory.
    """

    path: Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[^\0]+\Z")] | None = None


class BackupAnswer(Answer, frozen=True):
    """The copy that was made.

    Attributes:
        path: the absolute path of the file.
        size: its size in bytes.
    """

    path: str
    size: int


async def _pause(request: Request, arguments: PauseScheduler) -> PausedScheduler:
    kernel = request.kernel
    until = ends_at(arguments.until, arguments.duration, kernel.clock.now())
    await halting.halt(kernel, until)
    return PausedScheduler(paused_until=until)


async def _resume(request: Request, _: Nothing) -> PausedScheduler:
    await halting.proceed(request.kernel)
    return PausedScheduler()


async def _reload(request: Request, arguments: Reload) -> ReloadPlan:
    return await request.host.reload(dry_run=arguments.dry_run)


async def _backup(request: Request, arguments: Backup) -> BackupAnswer:
    state_dir = request.host.state_dir
    copy: Callable[[Path], Awaitable[None]] | None = getattr(request.kernel.store, "backup", None)
    if state_dir is None or copy is None:
        raise ValueError("this host keeps nothing on disk, so there is nothing to copy")
    now = request.kernel.clock.now()
    to = await trio.to_thread.run_sync(_target, state_dir, arguments.path, now)
    await copy(to)
    size = (await trio.Path(to).stat()).st_size
    return BackupAnswer(path=str(to), size=size)


def _target(state_dir: Path, wanted: str | None, now: datetime) -> Path:
    """The absolute path of the file to make; its directory exists and the file does not."""
    state_dir = state_dir.resolve()
    if wanted is None:
        folder = state_dir / BACKUPS
        folder.mkdir(mode=0o700, exist_ok=True)
        to = folder / f"alicia-{now:%Y%m%dT%H%M%S.%fZ}.db"
    else:
        to = (state_dir / wanted).resolve()
        if not Path(wanted).is_absolute() and state_dir not in to.parents:
            hint = "give an absolute path for a place elsewhere"
            raise ConfigError("leads out of the state directory", path=("path",), hint=hint)
    if not to.parent.is_dir():
        hint = "make the directory first"
        raise ConfigError(f"{to.parent} is no directory", path=("path",), hint=hint)
    if to.exists() or to.is_symlink():
        message = f"{to} exists already"
        raise CommandError("conflict", message, hint="name another file", path=("path",))
    return to


SCHEDULER = (
    Command(
        "scheduler/pause",
        PauseScheduler,
        PausedScheduler,
        Permission.OPERATE,
        _pause,
        "Let no slot of any event run; each is recorded as skipped.",
    ),
    Command(
        "scheduler/resume",
        Nothing,
        PausedScheduler,
        Permission.OPERATE,
        _resume,
        "Let the schedule run again.",
    ),
    Command(
        "scheduler/reload",
        Reload,
        ReloadPlan,
        Permission.ADMIN,
        _reload,
        "Read the configuration again and apply what differs.",
    ),
    Command(
        "backup",
        Backup,
        BackupAnswer,
        Permission.ADMIN,
        _backup,
        "Copy the store to a file while it is used.",
    ),
)
