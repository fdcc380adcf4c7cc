"""``executions/list``, ``get``, ``cancel``, ``retry``: the history, and what is under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from msgspec import Meta

from alicia_scheduler.api.control import CommandError, Permission
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventExecution, Status, from_epoch, to_epoch
from alicia_scheduler.api.store import ExecutionPlace
from alicia_scheduler.control.command import Answer, Arguments, Command, Request
from alicia_scheduler.control.refusals import refusals
from alicia_scheduler.control.selection import (
    Selection,
    as_tuple,
    is_glob,
    matches,
    selected_ids,
)
from alicia_scheduler.kernel import rerun, steering
from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["EXECUTIONS"]

T = TypeVar("T")

PAGE = 1000
SCAN_LIMIT = 20_000
"""Executions that one listing looks at; a page can be short, also empty, and yet not be the
last."""

AGAIN = (Status.FAILED, Status.INTERRUPTED)
"""How an execution has ended that is run again when its event is named."""

RAN = tuple(status for status in Status if status not in (Status.SKIPPED, Status.MISSED))
"""What executions are; the others are records of slots that had none."""

ExecutionId = Annotated[str, Meta(min_length=1, max_length=256)]
ExecutionIds = Annotated[tuple[ExecutionId, ...], Meta(min_length=1, max_length=10_000)]


class ListExecutions(Selection, frozen=True):
    """Which executions to list.

    Attributes:
        event_id: only those of an event: an id, a pattern, or a list of ids and patterns. The
            history of events that were deleted can be asked for as well.
        tag: only those of events that have this tag, or one of a list of tags.
        status: only executions with this status, or one of a list.
        final: true for those that have ended, false for those that have not.
        after: where the page begins: the `next` of the page before.
        limit: how many executions a page has at the most.
    """

    status: Status | tuple[Status, ...] | None = None
    final: bool | None = None
    after: Annotated[str, Meta(max_length=400)] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class ExecutionsPage(Answer, frozen=True):
    """A page of executions, the newest slot first.

    Attributes:
        executions: the executions; there can be fewer than `limit` though more pages follow.
        next: give it as `after` for the next page; null behind the last.
    """

    executions: tuple[EventExecution, ...]
    next: str | None = None


class GetExecution(Arguments, frozen=True):
    """One execution.

    Attributes:
        execution_id: its id.
    """

    execution_id: ExecutionId


class ExecutionAnswer(Answer, frozen=True):
    """One execution.

    Attributes:
        execution: the execution as it stands, with its steps.
    """

    execution: EventExecution


class CancelExecutions(Selection, frozen=True):
    """The executions to cancel: some by their ids, or all of events that are under way.

    Attributes:
        execution_id: the id of an execution, or a list of ids.
    """

    execution_id: ExecutionId | ExecutionIds | None = None

    def __post_init__(self) -> None:
        _one_way(self, "cancelled")


class RetryExecutions(Selection, frozen=True):
    """The executions to run again: some by their ids, or of each event that is meant the last one,
    where that failed or was interrupted.

    Attributes:
        execution_id: the id of an execution that has ended, or a list of ids.
    """

    execution_id: ExecutionId | ExecutionIds | None = None

    def __post_init__(self) -> None:
        _one_way(self, "run again")


def _one_way(arguments: CancelExecutions | RetryExecutions, verb: str) -> None:
    """Refuse a selection by events and by executions at once, and none at all."""
    by_event = arguments.event_id is not None or arguments.tag is not None
    if by_event is (arguments.execution_id is not None):
        raise ConfigError(
            f"which executions are to be {verb} is not said",
            path=("event_id",),
            hint="give event_id or execution_id, and not both",
        )


class CancelledExecution(Answer, frozen=True):
    """An execution that was cancelled.

    Attributes:
        execution_id: its id.
        event_id: its event.
        ended: true when it is over; false while the action that runs takes its time to stop.
    """

    execution_id: str
    event_id: str
    ended: bool


class RetriedExecution(Answer, frozen=True):
    """An execution that was run again.

    Attributes:
        execution_id: the one that had ended.
        executions: what came of it: the new execution, or the record of why there is none.
    """

    execution_id: str
    executions: tuple[EventExecution, ...]


class ExecutionFailure(Answer, frozen=True):
    """One execution that the command could not be done to.

    Attributes:
        execution_id: the execution.
        code: the stable word of a refusal.
        message: one plain sentence for people.
        hint: what to do instead, if there is anything.
    """

    execution_id: str
    code: str
    message: str
    hint: str | None = None


class Cancelled(Answer, frozen=True):
    """What became of each execution that was meant.

    Attributes:
        done: those that were cancelled.
        failed: those that could not be, with the reason.
    """

    done: tuple[CancelledExecution, ...]
    failed: tuple[ExecutionFailure, ...] = ()


class Retried(Answer, frozen=True):
    """What became of each execution that was meant.

    Attributes:
        done: those that were run again.
        failed: those that could not be, with the reason.
    """

    done: tuple[RetriedExecution, ...]
    failed: tuple[ExecutionFailure, ...] = ()


async def _list(request: Request, arguments: ListExecutions) -> ExecutionsPage:
    kernel = request.kernel
    event_id = arguments.event_id
    single = event_id if isinstance(event_id, str) and not is_glob(event_id) else None
    statuses = _statuses(arguments)
    tagged: frozenset[str] | None = None
    if arguments.tag is not None:
        tagged = frozenset((await selected_ids(kernel, arguments))[0])
    after = _place(arguments.after)
    found: list[EventExecution] = []
    for _ in range(SCAN_LIMIT // PAGE):
        page = await kernel.store.list_executions(
            event_id=single, statuses=statuses, after=after, limit=PAGE
        )
        for execution in page:
            if not matches(arguments, execution.event_id):
                continue
            if tagged is not None and execution.event_id not in tagged:
                continue
            if len(found) == arguments.limit:
                return ExecutionsPage(executions=tuple(found), next=_cursor(found[-1]))
            found.append(execution)
        if len(page) < PAGE:
            return ExecutionsPage(executions=tuple(found))
        after = ExecutionPlace(page[-1].scheduled_time, page[-1].execution_id)
    return ExecutionsPage(executions=tuple(found), next=_cursor(page[-1]))


def _statuses(arguments: ListExecutions) -> list[Status] | None:
    status = arguments.status
    if status is None and arguments.final is None:
        return None
    chosen = list(Status) if status is None else [status] if isinstance(status, Status) else status
    return [each for each in chosen if arguments.final is None or each.final is arguments.final]


def _cursor(execution: EventExecution) -> str:
    return f"{to_epoch(execution.scheduled_time)!r}/{execution.execution_id}"


def _place(cursor: str | None) -> ExecutionPlace | None:
    if cursor is None:
        return None
    seconds, _, execution_id = cursor.partition("/")
    try:
        return ExecutionPlace(from_epoch(float(seconds)), execution_id)
    except (ValueError, OverflowError, OSError):
        hint = "give the next of the page before as it is"
        raise ConfigError("is no place in the listing", path=("after",), hint=hint) from None


async def _get(request: Request, arguments: GetExecution) -> ExecutionAnswer:
    kernel, execution_id = request.kernel, arguments.execution_id
    execution = _under_way(kernel).get(execution_id) or await kernel.store.execution(execution_id)
    if execution is None:
        raise KeyError(execution_id)
    return ExecutionAnswer(execution=execution)


def _under_way(kernel: Kernel) -> dict[str, EventExecution]:
    return {execution.execution_id: execution for execution in kernel.runner.under_way()}


async def _cancel(request: Request, arguments: CancelExecutions) -> Cancelled:
    kernel, spare = request.kernel, request.caller.execution
    if arguments.execution_id is None:
        return Cancelled(done=tuple(await _cancel_of_events(request, arguments)))
    under_way = _under_way(kernel)

    async def cancel(execution_id: str) -> CancelledExecution:
        if spare is not None and execution_id == spare.execution_id:
            raise ValueError("an execution does not cancel itself")
        execution = under_way.get(execution_id)
        if execution is None or not await kernel.cancel(execution_id, "cancelled"):
            raise KeyError(execution_id)
        return _cancelled(kernel, execution_id, execution.event_id)

    done, failed = await _on_each(arguments.execution_id, cancel)
    return Cancelled(done=done, failed=failed)


def _cancelled(kernel: Kernel, execution_id: str, event_id: str) -> CancelledExecution:
    return CancelledExecution(
        execution_id=execution_id,
        event_id=event_id,
        ended=not kernel.runner.knows(execution_id),
    )


async def _cancel_of_events(
    request: Request, arguments: CancelExecutions
) -> list[CancelledExecution]:
    event_ids, missing = await selected_ids(request.kernel, arguments)
    if not event_ids:
        raise KeyError(missing[0])
    return [
        _cancelled(request.kernel, execution_id, event_id)
        for event_id in event_ids
        for execution_id in await steering.cancel_event(
            request.kernel, event_id, spare=request.caller.execution
        )
    ]


async def _retry(request: Request, arguments: RetryExecutions) -> Retried:
    async def retry(execution_id: str) -> RetriedExecution:
        executions = await rerun.rerun(request.kernel, execution_id)
        return RetriedExecution(execution_id=execution_id, executions=tuple(executions))

    wanted = arguments.execution_id
    if wanted is None:
        wanted = await _failed_last(request.kernel, arguments)
    done, failed = await _on_each(wanted, retry)
    return Retried(done=done, failed=failed)


async def _failed_last(kernel: Kernel, selection: Selection) -> tuple[str, ...]:
    """Of each event that is meant the last execution, where that failed or was interrupted: what
    was run again already, and ended well, is not found any more.

    Raises:
        KeyError: no event is meant.
        ValueError: none of them failed last.
    """
    event_ids, missing = await selected_ids(kernel, selection)
    if not event_ids:
        raise KeyError(missing[0])
    found = []
    for event_id in event_ids:
        last = await kernel.store.list_executions(event_id=event_id, statuses=RAN, limit=1)
        found += [each.execution_id for each in last if each.status in AGAIN]
    if not found:
        raise ValueError("none of these events failed when it last ran")
    return tuple(found)


async def _on_each(
    wanted: str | tuple[str, ...], verb: Callable[[str], Awaitable[T]]
) -> tuple[tuple[T, ...], tuple[ExecutionFailure, ...]]:
    """Do something to each, in the order in which they are named, each once."""
    if isinstance(wanted, str):
        return (await verb(wanted),), ()
    done: list[T] = []
    failed: list[ExecutionFailure] = []
    for execution_id in dict.fromkeys(as_tuple(wanted)):
        try:
            with refusals():
                done.append(await verb(execution_id))
        except CommandError as error:
            failed.append(
                ExecutionFailure(
                    execution_id=execution_id,
                    code=error.code,
                    message=error.message,
                    hint=error.hint,
                )
            )
    return tuple(done), tuple(failed)


EXECUTIONS = (
    Command(
        "executions/list",
        ListExecutions,
        ExecutionsPage,
        Permission.READ,
        _list,
        "List executions, the newest slot first, page by page.",
    ),
    Command(
        "executions/get",
        GetExecution,
        ExecutionAnswer,
        Permission.READ,
        _get,
        "Show one execution with its steps.",
    ),
    Command(
        "executions/cancel",
        CancelExecutions,
        Cancelled,
        Permission.OPERATE,
        _cancel,
        "Stop executions that run, or wait to run or to be retried.",
    ),
    Command(
        "executions/retry",
        RetryExecutions,
        Retried,
        Permission.OPERATE,
        _retry,
        "Run executions that have ended again: the same slots, as new executions.",
    ),
)
