"""``alicia tail``: what the host tells, as it happens."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import click
import trio

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.cli.completion import complete_events
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.notices import notice_parts
from alicia_scheduler.cli.output import complain, console, escaped_json, fail
from alicia_scheduler.control.client import HostSession, NoHost, connected

__all__ = ["tail", "until_signal"]

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds between two attempts to reach a host that went away."""

PING_EVERY, PING_TIMEOUT = 30.0, 10.0
"""Seconds: a host that is gone without a word is noticed after their sum."""


@click.command()
@click.option(
    "--event",
    "events",
    multiple=True,
    shell_complete=complete_events,
    help="Only of this event, or of those that match (*, ?, […]); repeatable.",
)
@click.option("--tag", "tags", multiple=True, help="Only of events with this tag; repeatable.")
@click.option(
    "--type",
    "types",
    multiple=True,
    help="Only this type, e.g. execution_failed; repeatable.",
)
@click.option(
    "--after",
    type=click.IntRange(0),
    help="Begin behind this sequence number, with what is kept; 0 is all of it.",
)
@door_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def tail(
    events: tuple[str, ...],
    tags: tuple[str, ...],
    types: tuple[str, ...],
    after: int | None,
    door: Door,
    as_json: bool,
) -> None:
    """Follow what happens, live, until Ctrl-C.

    When the host goes away it is waited for, and what happened meanwhile is shown then: whatever
    is lost is said. Needs a running host to begin with.
    """
    filters = {
        key: list(value)
        for key, value in (("event_id", events), ("tag", tags), ("event_type", types))
        if value
    }
    following = _Following(door, filters, after, _Printer(as_json))
    trio.run(following.run)
    if following.refused is not None:
        fail(str(following.refused))
    if following.absent is not None:
        door.no_host(following.absent)


class _PipeClosed(Exception):
    """Whoever read what we print reads no more."""


class _Printer:
    """Prints a notification as a line: for machines, for a terminal, for a pipe."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._console = console() if sys.stdout.isatty() and not as_json else None

    def show(self, notification: Mapping[str, Any]) -> None:
        try:
            self._show(notification)
        except BrokenPipeError:
            # What Python flushes at its end must find a place.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise _PipeClosed from None

    def _show(self, notification: Mapping[str, Any]) -> None:
        if self._as_json:
            click.echo(escaped_json(json.dumps(notification, ensure_ascii=False)))
            return
        at, word, style, rest = notice_parts(notification)
        if self._console is None:
            click.echo(f"{at}  {word:<13}  {rest}".rstrip())
            return
        from rich.text import Text

        line = Text.assemble((at, "dim"), "  ", (f"{word:<13}", style), "  ", rest)
        self._console.print(line, soft_wrap=True)


@dataclass
class _Following:
    """Goes on with the notifications of a host over all its interruptions.

    Attributes:
        after: the sequence number of the last notification that was shown; None before the first.
        refused: why the host will not have us, at the end.
        absent: that there was no host to begin with, at the end.
    """

    door: Door
    filters: dict[str, list[str]]
    after: int | None
    printer: _Printer
    refused: CommandError | None = None
    absent: NoHost | None = None
    _met: bool = False
    _wait: float = FIRST_WAIT
    _missed: bool = False

    async def run(self) -> None:
        async with until_signal():
            while await self._once():
                await trio.sleep(self._wait * random.uniform(0.5, 1.0))
                self._wait = min(self._wait * 2, LONGEST_WAIT)

    async def _once(self) -> bool:
        """Follow until the connection ends; whether to try again."""
        try:
            async with connected(self.door.where) as session, _watched(session):
                await self._follow(session)
        except _PipeClosed:
            return False
        except NoHost as error:
            if not self._met:
                self.absent = error
                return False
            if not self._missed:
                complain(f"{error}; waiting for it to come back")
            self._missed = True
        except CommandError as error:
            if error.code != "too_slow":
                self.refused = error
                return False
            complain(f"{error}; going on behind {self.after}")
        return True

    async def _follow(self, session: HostSession) -> None:
        subscription = await session.subscribe(**self.filters, after=self.after)
        if self.after is not None and subscription.next <= self.after:
            complain("the host counts anew: its store is another one; showing all of it")
            await session.unsubscribe(subscription)
            self.after = 0
            subscription = await session.subscribe(**self.filters, after=0)
        if subscription.lost and self.after is not None:
            complain(
                f"lost: notifications {self.after + 1} to {subscription.next - 1}, "
                "which are kept no more"
            )
        if self._missed:
            complain("the host is back")
        self._met, self._missed, self._wait = True, False, FIRST_WAIT
        self.after = max(self.after or 0, subscription.next - 1)
        async for notification in subscription:
            self.printer.show(notification)
            self.after = int(notification["sequence"])


@asynccontextmanager
async def _watched(session: HostSession) -> AsyncIterator[None]:
    """Notice a host that is gone without closing the connection."""
    gone: NoHost | None = None

    async def ping(scope: trio.CancelScope) -> None:
        nonlocal gone
        while True:
            await trio.sleep(PING_EVERY)
            with trio.move_on_after(PING_TIMEOUT) as patience:
                try:
                    await session.request("ping")
                except (NoHost, CommandError):
                    return  # the subscription says it
            if patience.cancelled_caught:
                gone = NoHost("the host has not answered for a while")
                scope.cancel()
                return

    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ping, nursery.cancel_scope)
        try:
            yield
        except (NoHost, CommandError, _PipeClosed) as error:
            failure = error
        nursery.cancel_scope.cancel()
    ended = failure or gone
    if ended is not None:
        raise ended


@asynccontextmanager
async def until_signal() -> AsyncIterator[None]:
    """Run the block until it ends or SIGINT or SIGTERM comes, either of which is a good end."""
    async with trio.open_nursery() as nursery:

        async def obey() -> None:
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
                async for _ in received:
                    nursery.cancel_scope.cancel()

        nursery.start_soon(obey)
        yield
        nursery.cancel_scope.cancel()
