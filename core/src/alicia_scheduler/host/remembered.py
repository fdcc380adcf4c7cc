"""What a host remembers about plugins across restarts: a small file in its state directory.

It is read before any plugin is imported and before the store is opened, as a plugin can be what
keeps the host from getting there. A file that cannot be read is put aside; one that cannot be
written leaves the host with its memory, as long as it runs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

__all__ = ["FILE", "FailedStarts", "Quarantine", "Remembered"]

logger = logging.getLogger(__name__)

FILE = "plugins.json"
"""Name of the file in the state directory."""

IMPORTING = "plugins.importing"
"""Name of the file beside it that holds the name of the plugin that is being imported."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

LAST = 8
"""So many of the last failed starts are remembered one by one."""

SIZE_LIMIT = 1024 * 1024

LIST_LIMIT = 1000
"""Names that are remembered at the most, of each kind."""


class Quarantine(msgspec.Struct, frozen=True):
    """A plugin that is left alone because of its faults.

    Attributes:
        since: when it was quarantined, epoch seconds.
        seconds: how long it is left alone.
        times: how often in a row it has been.
        reason: a sentence about the last fault.
        released: when it was released on probation, epoch seconds; None while it is quarantined.
    """

    since: float
    seconds: Annotated[float, Meta(ge=0, le=10 * 366 * 86_400)]
    times: int
    reason: str
    released: float | None = None

    def left(self, now: float) -> float:
        """Seconds until its release at ``now``. A clock that shows a time before ``since`` (a
        start without a clock battery) begins the quarantine anew, and no longer than that."""
        if self.released is not None:
            return 0.0
        passed = now - self.since
        return self.seconds if passed < 0 else max(0.0, self.seconds - passed)


class FailedStarts(msgspec.Struct, frozen=True):
    """Starts of the host in a row that came to nothing.

    Attributes:
        count: how many; the one under way counts until it is known to be good.
        importing: the plugin that was being imported when each of the last ones ended, or an
            empty string.
        boot: what the machine's boot is known by, in which they were. A start that another boot
            follows ended with the machine, and says nothing about plugins.
    """

    count: int = 0
    importing: tuple[str, ...] = ()
    boot: str = ""


class _Content(msgspec.Struct):
    disabled: list[str] = []
    quarantined: dict[str, Quarantine] = {}
    starts: FailedStarts = FailedStarts()
    types: list[str] = []


class Remembered:
    """The content of the file, and changes to it.

    Args:
        state_dir: None remembers nothing beyond this process.

    Attributes:
        problem: why the file could not be read or written, as a sentence; None while it can be.
    """

    def __init__(self, state_dir: Path | None = None) -> None:
        self.problem: str | None = None
        self._before = FailedStarts()
        self._made: list[Path] = []
        self._path = None if state_dir is None else state_dir / FILE
        self._content = self._read()

    @property
    def disabled(self) -> frozenset[str]:
        """Names of the plugins that somebody disabled by command."""
        return frozenset(self._content.disabled)

    @property
    def quarantined(self) -> dict[str, Quarantine]:
        """The quarantines by name, those on probation too."""
        return dict(self._content.quarantined)

    @property
    def starts(self) -> FailedStarts:
        """The failed starts in a row."""
        return self._content.starts

    @property
    def types(self) -> frozenset[str]:
        """The types that were there when the host last ran, each as kind and name."""
        return frozenset(self._content.types)

    def know_types(self, types: Iterable[str]) -> None:
        """Remember the types that are there."""
        ordered = sorted(types)[: LIST_LIMIT * 10]
        if ordered != self._content.types:
            self._content.types = ordered
            self._write()

    def disable(self, name: str) -> None:
        """Remember that somebody disabled a plugin."""
        if name not in self._content.disabled:
            self._content.disabled = sorted([*self._content.disabled, name])[:LIST_LIMIT]
            self._write()

    def enable(self, name: str) -> None:
        """Forget that a plugin was disabled or quarantined."""
        if name in self._content.disabled or name in self._content.quarantined:
            self._content.disabled = [each for each in self._content.disabled if each != name]
            self._content.quarantined.pop(name, None)
            self._write()

    def quarantine(self, name: str, quarantine: Quarantine | None) -> None:
        """Remember a quarantine, or that it is over."""
        self._content.quarantined.pop(name, None)
        if quarantine is not None and len(self._content.quarantined) < LIST_LIMIT:
            self._content.quarantined[name] = quarantine
        self._write()

    def begin_start(self) -> FailedStarts:
        """A start of the host begins; it counts as failed until :meth:`start_is_good`.

        Returns:
            the failed ones before it.
        """
        if self._path is not None:
            self._made = [path for path in (self._path, self._path.parent) if not path.exists()]
        known, boot = self._content.starts, _boot()
        if known.boot != boot:
            known = FailedStarts(boot=boot)
        if known.count:
            importing = (*known.importing, self._was_importing())[-LAST:]
            known = FailedStarts(known.count, importing, boot)
        self._before = known
        self._content.starts = FailedStarts(known.count + 1, known.importing, boot)
        self.importing(None)
        self._write()
        return known

    def importing(self, name: str | None) -> None:
        """Remember which plugin is being imported, for the case that the process ends with it."""
        if self._path is None:
            return
        # Not forced to the disk: only a power cut takes it from the system's memory, and after one
        # nobody is to blame.
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._path.with_name(IMPORTING), flags, 0o600)
            try:
                os.write(handle, (name or "").encode())
            finally:
                os.close(handle)

    def _was_importing(self) -> str:
        if self._path is None:
            return ""
        try:
            return self._path.with_name(IMPORTING).read_bytes()[:200].decode(errors="replace")
        except OSError:
            return ""

    def withdraw_start(self) -> None:
        """The start under way ended for a reason that is known; it says nothing about plugins. What
        it made in the state directory goes again, as if nothing had been started."""
        if self._content.starts == self._before:
            return
        self._content.starts = self._before
        if self._path is None or self._path not in self._made:
            self._write()
            return
        with suppress(OSError):
            self._path.unlink()
            self._path.with_name(IMPORTING).unlink(missing_ok=True)
            if self._path.parent in self._made:
                self._path.parent.rmdir()

    def start_is_good(self) -> None:
        """The start under way, or its end, was in order."""
        if self._content.starts != FailedStarts():
            self._content.starts = FailedStarts()
            self._write()

    def _read(self) -> _Content:
        if self._path is None:
            return _Content()
        try:
            with self._path.open("rb") as stream:
                raw = stream.read(SIZE_LIMIT + 1)
            return msgspec.json.decode(raw, type=_Content)
        except FileNotFoundError:
            return _Content()
        except OSError as error:
            self.problem = f"{self._path} cannot be read: {error.strerror or error}"
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            aside = self._path.with_name(f"{FILE}.damaged")
            with suppress(OSError):
                self._path.replace(aside)
            self.problem = (
                f"{self._path} is damaged ({error}) and was put aside as {aside.name}: "
                "plugins that were disabled by command are enabled again"
            )
        logger.warning("%s", self.problem)
        return _Content()

    def _write(self) -> None:
        if self._path is None:
            return
        body = msgspec.json.format(msgspec.json.encode(self._content), indent=2)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(self._path, body)
        except OSError as error:
            problem = f"{self._path} cannot be written: {error.strerror or error}"
            if problem != self.problem:
                logger.warning("%s; what is said about plugins lasts until the host ends", problem)
            self.problem = problem
        else:
            self.problem = None


def _boot() -> str:
    """What the present boot of the machine is known by (random(4)); empty where none is said."""
    try:
        return BOOT_ID.read_text("ascii").strip()[:100]
    except (OSError, ValueError):
        return ""


def _replace(path: Path, body: bytes) -> None:
    """The file has the new content or the old one, whenever the power fails."""
    new = path.with_name(f"{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(new, flags, 0o600)
    try:
        os.write(handle, body)
        os.fsync(handle)
    finally:
        os.close(handle)
    new.replace(path)
