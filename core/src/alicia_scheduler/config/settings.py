"""The table ``[scheduler]``: what the host itself can be told."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from alicia_scheduler.api import ConfigError
from alicia_scheduler.api.walltime import load_timezone

__all__ = ["HistorySettings", "LogLevel", "Settings", "check_timezone", "local_timezone_name"]

LogLevel = Literal["debug", "info", "warning", "error"]
Durability = Literal["full", "flash"]


def local_timezone_name(environ: Mapping[str, str] | None = None, root: Path = Path("/")) -> str:
    """IANA name of this machine's time zone: what ``TZ`` says, else ``/etc/localtime``, else
    Debian's ``/etc/timezone``; ``UTC`` when none of them names a zone.

    Args:
        environ: the environment; the process's own by default.
        root: directory that holds ``etc``.
    """
    environ = os.environ if environ is None else environ
    candidates = [environ.get("TZ", "").removeprefix(":")]
    localtime = root / "etc/localtime"
    with contextlib.suppress(OSError, RuntimeError):  # a loop of links raises either
        # The link's own text first: resolving it further would turn US/Pacific into another name.
        candidates += [str(localtime.readlink()), str(localtime.resolve())]
    with contextlib.suppress(OSError, ValueError):
        candidates.append((root / "etc/timezone").read_text("utf-8").strip())
    for candidate in candidates:
        name = candidate.rpartition("zoneinfo/")[2]
        name = name.removeprefix("posix/").removeprefix("right/")
        if name:
            with contextlib.suppress(ConfigError):
                load_timezone(name)
                return name
    return "UTC"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[scheduler]``. Durations are seconds.

    Attributes:
        timezone: IANA name of the zone for events that set none; this machine's by default.
        state_dir: directory of database, lock and socket; relative to the configuration file's.
        instance: name of this host on the network, the same after every restart.
        max_concurrent: executions that may run at once, over all events.
        max_waiting: executions that may wait to run, over all events; when so many do, the next
            ones are skipped with the reason ``queue_full``.
        min_interval: seconds between two slots of an event; faster ones are skipped, and told.
        drain_timeout: seconds that running executions have to end when the host stops.
        log_level: least important level that is logged.
        latitude: degrees north of the host's place, for schedules of the sun.
        longitude: degrees east of the host's place.
        safe_mode: whether a start leaves plugins out that are not Alicia's own, after several in a
            row that came to nothing.
        wait_for_clock: seconds that slots of the calendar are held back at start at the most,
            while the machine's clock is not known to be right; 0 does not wait.
        durability: ``full`` writes each start and end to the disk at once; ``flash`` writes them
            together to spare a flash card, and at once only what must not happen twice.
        loss_window: seconds that ``flash`` gathers; so much a power cut can take back.
    """

    timezone: str = msgspec.field(default_factory=local_timezone_name)
    state_dir: Annotated[str, Meta(pattern=r"^[^\0]+\Z", description="the path of a directory")] = (
        "./state"
    )
    instance: Annotated[
        str,
        Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z", description="1 to 64 of A-Z a-z 0-9 _ -"),
    ] = "alicia"
    max_concurrent: Annotated[int, Meta(ge=1, le=10_000)] = 100
    max_waiting: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    min_interval: Annotated[float, Meta(ge=0.01, le=3600)] = 0.1
    drain_timeout: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    log_level: LogLevel = "info"
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    safe_mode: bool = True
    wait_for_clock: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    durability: Durability = "full"
    loss_window: Annotated[float, Meta(ge=0.1, le=3600)] = 10.0


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[history]``: how much of the past is kept. 0 means no limit.

    Attributes:
        max_age: seconds after which an execution may go.
        per_event: executions of each event that stay.
        keep_per_status: of each outcome of each event the newest so many stay in any case, so
            that a rare failure is not pushed out by frequent successes.
        max_size: size of the store in bytes beyond which the oldest executions go.
    """

    max_age: Annotated[float, Meta(ge=0, le=3_162_240_000)] = 30 * 86_400.0
    per_event: Annotated[int, Meta(ge=0, le=100_000_000)] = 1000
    keep_per_status: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    max_size: Annotated[int, Meta(ge=0, le=2**50)] = 50_000_000


def check_timezone(
    table: object, issues: list[ConfigError], *, path: tuple[str | int, ...]
) -> None:
    """Add to ``issues`` when the ``timezone`` of a raw table is no time zone.

    Text only: a value of another type is the business of the table's conversion.
    """
    name = table.get("timezone") if isinstance(table, dict) else None
    if isinstance(name, str):
        try:
            load_timezone(name)
        except ConfigError as error:
            issues.append(error.under(*path, "timezone"))
