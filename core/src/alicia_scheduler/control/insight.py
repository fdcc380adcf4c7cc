"""``stats``, ``health`` and ``commands/list``: what the host says about itself."""

from __future__ import annotations

import resource
import sys
from collections import Counter
from datetime import datetime
from typing import Any, Literal

from alicia_scheduler.api.control import Permission
from alicia_scheduler.control.command import Answer, Command, Nothing, Request
from alicia_scheduler.host.loader import PluginStatus, host_info
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.listing import page_of_events

__all__ = ["INSIGHT"]

COUNT_LIMIT = 100_000
"""Events that are counted one by one; of more, only that there are more is said."""

TROUBLED = frozenset(
    (
        PluginStatus.BROKEN,
        PluginStatus.CONFLICT,
        PluginStatus.INCOMPATIBLE,
        PluginStatus.QUARANTINED,
    )
)


class EventCounts(Answer, frozen=True):
    """How many events there are.

    Attributes:
        total: all of them.
        enabled: those that are enabled.
        paused: the enabled ones that are paused at present.
        failing: those whose last execution failed for good.
        complete: false when there are more than were counted.
    """

    total: int = 0
    enabled: int = 0
    paused: int = 0
    failing: int = 0
    complete: bool = True


class ExecutionCounts(Answer, frozen=True):
    """What is under way, and what ended since the host started.

    Attributes:
        running: executions that hold a place.
        waiting: executions that wait for their event, a limit or a place.
        retrying: executions that wait for their next attempt.
        stuck: attempts that have ignored their cancellation so far.
        ended: how many ended since the start, by status.
    """

    running: int
    waiting: int
    retrying: int
    stuck: int
    ended: dict[str, int]


class Lateness(Answer, frozen=True):
    """How long after their slots executions started, since the host started.

    Attributes:
        count: executions that this is about: those that ran on schedule.
        mean: seconds on average; null when there are none.
        max: seconds of the latest; null when there are none.
    """

    count: int = 0
    mean: float | None = None
    max: float | None = None


class StoreFigures(Answer, frozen=True):
    """How the store stands.

    Attributes:
        durable: whether what is recorded outlives the process.
        problem: why it cannot be written at present; null while it can.
        waiting: changes that wait in memory to be written.
        lost: changes that were given up because too many waited.
        starts: how often a host has started on it.
        unclean_starts: how often the run before had not stopped in order.
    """

    durable: bool
    problem: str | None
    waiting: int
    lost: int
    starts: int
    unclean_starts: int


class AuditFigures(Answer, frozen=True):
    """The audit log.

    Attributes:
        written: lines written since the start.
        lost: lines that were given up, because too many waited or the file could not be written.
    """

    written: int
    lost: int


class Stats(Answer, frozen=True):
    """Figures of the host.

    Attributes:
        instance: its name.
        version: its version.
        started_at: since when it runs, epoch seconds.
        uptime: for how many seconds it runs.
        paused_until: up to when the whole schedule is paused; null when it is not.
        events: how many events there are.
        executions: what is under way and what ended.
        lateness: how punctual it is.
        notifications: the number of the last notification.
        store: how the store stands.
        audit: the audit log.
        plugins: how many plugins there are, by status.
        peak_memory: the most memory that the process has used, in bytes.
    """

    instance: str
    version: str
    started_at: datetime
    uptime: float
    paused_until: datetime | None
    events: EventCounts
    executions: ExecutionCounts
    lateness: Lateness
    notifications: int
    store: StoreFigures
    audit: AuditFigures
    plugins: dict[str, int]
    peak_memory: int


class Problem(Answer, frozen=True):
    """Something that is not as it should be.

    Attributes:
        kind: `store`, `service`, `plugin`, `action` or `audit`.
        subject: which one.
        message: what is wrong, in a sentence.
    """

    kind: str
    subject: str
    message: str


class Health(Answer, frozen=True):
    """Whether the host is well.

    Attributes:
        status: `healthy`; `degraded` when a part does not work; `unhealthy` when what runs cannot
            be recorded.
        instance: its name.
        version: its version.
        uptime: for how many seconds it runs.
        paused_until: up to when the whole schedule is paused; null when it is not.
        problems: what is wrong.
    """

    status: Literal["healthy", "degraded", "unhealthy"]
    instance: str
    version: str
    uptime: float
    paused_until: datetime | None
    problems: tuple[Problem, ...] = ()


class CommandDescription(Answer, frozen=True):
    """One command.

    Attributes:
        name: its name, which is the `type` of a message.
        summary: what it does, in a line.
        permission: what the caller must have: `read`, `operate` or `admin`.
        arguments: the JSON Schema of its arguments.
        answer: the JSON Schema of its answer.
    """

    name: str
    summary: str
    permission: str
    arguments: dict[str, Any]
    answer: dict[str, Any]


class CommandsAnswer(Answer, frozen=True):
    """What the host can be told.

    Attributes:
        commands: every command, in order of name.
    """

    commands: tuple[CommandDescription, ...]


async def _stats(request: Request, _: Nothing) -> Stats:
    kernel, tally = request.kernel, request.control.tally
    records, runner = kernel.records, kernel.runner
    audit = request.host.audit
    plugins = Counter(record.status.value for record in request.host.registry.plugins)
    return Stats(
        instance=request.host.settings.instance,
        version=host_info().version,
        started_at=tally.started_at,
        uptime=tally.uptime,
        paused_until=_paused_until(kernel),
        events=await _counted(kernel),
        executions=ExecutionCounts(
            running=runner.running,
            waiting=runner.waiting,
            retrying=len(runner.retries.all()),
            stuck=runner.stuck,
            ended=dict(sorted(tally.ended.items())),
        ),
        lateness=Lateness(count=tally.punctual, mean=tally.mean_lateness, max=tally.max_lateness),
        notifications=kernel.notifier.last,
        store=StoreFigures(
            durable=kernel.store.durable,
            problem=records.degraded,
            waiting=records.waiting,
            lost=records.lost,
            starts=records.starts.count,
            unclean_starts=records.starts.unclean,
        ),
        audit=AuditFigures(written=audit.written, lost=audit.lost),
        plugins=dict(sorted(plugins.items())),
        peak_memory=_peak_memory(),
    )


async def _counted(kernel: Kernel) -> EventCounts:
    now = kernel.clock.now()
    total = enabled = paused = failing = 0
    after_id: str | None = None
    while True:
        page, after_id = await page_of_events(kernel, after_id=after_id)
        for event, state in ((record.event, record.state) for record in page):
            total += 1
            enabled += event.enabled
            pausing = state.paused_until is not None and state.paused_until > now
            paused += event.enabled and pausing
            failing += state.failing_since is not None
        if after_id is None or total >= COUNT_LIMIT:
            break
    return EventCounts(
        total=total,
        enabled=enabled,
        paused=paused,
        failing=failing,
        complete=after_id is None,
    )


def _paused_until(kernel: Kernel) -> datetime | None:
    until = kernel.paused_until
    return until if until is not None and until > kernel.clock.now() else None


def _peak_memory() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


async def _health(request: Request, _: Nothing) -> Health:
    kernel = request.kernel
    problems = list(_problems(request))
    unrecorded = kernel.records.degraded is not None or kernel.store.makeshift
    return Health(
        status="unhealthy" if unrecorded else "degraded" if problems else "healthy",
        instance=request.host.settings.instance,
        version=host_info().version,
        uptime=request.control.tally.uptime,
        paused_until=_paused_until(kernel),
        problems=tuple(problems),
    )


def _problems(request: Request) -> list[Problem]:
    host, kernel = request.host, request.kernel
    found = []
    if kernel.records.degraded is not None:
        found.append(Problem(kind="store", subject="store", message=kernel.records.degraded))
    elif kernel.store.makeshift:
        message = "it is in memory only, because its place cannot be written"
        found.append(Problem(kind="store", subject="store", message=message))
    found += [
        Problem(kind="service", subject=name, message=problem)
        for name, problem in sorted(host.service_problems().items())
    ]
    found += [
        Problem(kind="plugin", subject=record.name, message=record.reason or record.status.value)
        for record in host.registry.plugins
        if record.status in TROUBLED
    ]
    if kernel.runner.stuck:
        message = f"{kernel.runner.stuck} attempts have ignored their cancellation"
        found.append(Problem(kind="action", subject="attempts", message=message))
    if host.audit.problem is not None:
        found.append(Problem(kind="audit", subject="audit log", message=host.audit.problem))
    return found


async def _commands(request: Request, _: Nothing) -> CommandsAnswer:
    # The table is made of this module too.
    from alicia_scheduler.control.commands import COMMANDS
    from alicia_scheduler.control.schema import answer_schema, arguments_schema

    return CommandsAnswer(
        commands=tuple(
            CommandDescription(
                name=command.name,
                summary=command.summary,
                permission=command.permission.value,
                arguments=arguments_schema(command),
                answer=answer_schema(command),
            )
            for command in sorted(COMMANDS.values(), key=lambda command: command.name)
        )
    )


INSIGHT = (
    Command("stats", Nothing, Stats, Permission.READ, _stats, "Show figures of the host."),
    Command("health", Nothing, Health, Permission.READ, _health, "Say whether the host is well."),
    Command(
        "commands/list",
        Nothing,
        CommandsAnswer,
        Permission.READ,
        _commands,
        "List the commands with the JSON Schemas of their arguments and answers.",
    ),
)
