"""``alicia top``: what runs, what is next, what fails, live in the terminal."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import trio

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.keyboard import Keyboard
from alicia_scheduler.cli.output import (
    console,
    fail,
    json_option,
    print_json,
    print_table,
    printable,
    styled,
)
from alicia_scheduler.cli.snapshot import Section, Snapshot, header, sections, taken
from alicia_scheduler.cli.tail import until_signal
from alicia_scheduler.control.client import NoHost, connected

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

__all__ = ["top"]

ROWS_AROUND = 3
"""Lines of a section that are not its rows: title, headings, space."""

LEAST_ROWS = 1

WIDE = 90
"""Columns from which on exact times find a place beside the relative ones."""


@click.command()
@click.option(
    "--interval",
    type=click.FloatRange(0.2, 3600),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
@click.option("--once", is_flag=True, help="Print how it stands now, and end.")
@door_options
@json_option
def top(interval: float, once: bool, door: Door, as_json: bool) -> None:
    """Show what runs and for how long, what is next, what fails, until q or Ctrl-C.

    In a terminal it keeps up to date, in a pipe and with --json it prints one snapshot. Needs a
    running host.
    """
    if once or as_json or not sys.stdout.isatty():
        snapshot = trio.run(_one, door)
        if isinstance(snapshot, NoHost):
            door.no_host(snapshot)
        if isinstance(snapshot, CommandError):
            fail(str(snapshot))
        if as_json:
            print_json(snapshot.to_wire())
        else:
            _print(snapshot)
        return
    screen = _Screen(door, interval)
    trio.run(screen.run)
    if screen.absent is not None:
        door.no_host(screen.absent)
    if screen.refused is not None:
        fail(str(screen.refused))


async def _one(door: Door) -> Snapshot | NoHost | CommandError:
    try:
        async with connected(door.where) as session:
            return await taken(session, door)
    except (NoHost, CommandError) as error:
        return error


def _print(snapshot: Snapshot) -> None:
    now = datetime.now(UTC)
    click.echo(printable("".join(text for text, _ in header(snapshot, now))))
    for section in sections(snapshot, now):
        click.echo(f"\n{section.title}")
        if section.rows:
            print_table(section.headings, section.rows)
        else:
            click.echo(section.nothing)


class _Screen:
    """The picture in the terminal's second buffer, which leaves the first as it was.

    Attributes:
        absent: that there was no host to begin with, at the end.
        refused: why the host will not have us, at the end.
    """

    def __init__(self, door: Door, interval: float) -> None:
        self.absent: NoHost | None = None
        self.refused: CommandError | None = None
        self._door = door
        self._interval = interval
        self._snapshot: Snapshot | None = None
        self._away: NoHost | None = None
        self._console: Console = console()
        self._keyboard = Keyboard()

    async def run(self) -> None:
        from rich.live import Live

        async with until_signal():
            if not await self._look_once():
                return
            live = Live(console=self._console, screen=True, auto_refresh=False)
            terminal = ExitStack()

            def enter() -> None:
                terminal.enter_context(self._keyboard.by_keys())
                terminal.enter_context(live)

            with terminal:
                enter()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._follow_size, live)
                    nursery.start_soon(self._tick, live)
                    nursery.start_soon(self._keyboard.stop_on_demand, terminal.close, enter)
                    nursery.start_soon(self._quit_on_key, nursery.cancel_scope)
                    while self.refused is None:
                        await self._look_on()
                    nursery.cancel_scope.cancel()

    async def _quit_on_key(self, scope: trio.CancelScope) -> None:
        await self._keyboard.until("qQ")
        scope.cancel()

    async def _look_once(self) -> bool:
        """The first look, before anything is drawn; whether there was anything to see."""
        found = await _one(self._door)
        if isinstance(found, Snapshot):
            self._snapshot = found
        elif isinstance(found, NoHost):
            self.absent = found
        else:
            self.refused = found
        return isinstance(found, Snapshot)

    async def _look_on(self) -> None:
        """Look again and again until the connection ends."""
        try:
            async with connected(self._door.where) as session:
                while True:
                    with trio.fail_after(30):
                        self._snapshot = await taken(session, self._door)
                    self._away = None
                    await trio.sleep(self._interval)
        except NoHost as error:
            self._away = error
        except trio.TooSlowError:
            self._away = NoHost("the host has not answered for 30 s")
        except CommandError as error:
            # While it starts or stops it cannot answer yet or any more.
            if error.code == "unavailable":
                self._away = NoHost(str(error))
            else:
                self.refused = error
        await trio.sleep(self._interval)

    async def _tick(self, live: Live) -> None:
        while True:
            live.update(self._picture(), refresh=True)
            await trio.sleep(min(self._interval, 1.0))

    async def _follow_size(self, live: Live) -> None:
        with trio.open_signal_receiver(signal.SIGWINCH) as received:
            async for _ in received:
                live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        snapshot, now = self._snapshot, datetime.now(UTC)
        if snapshot is None:
            return Text("")
        parts: list[Any] = [
            Text.assemble(*((printable(text), style) for text, style in header(snapshot, now)))
        ]
        if self._away is not None:
            parts.append(Text(printable(f"{self._away}; waiting for it"), style="bold red"))
        found = list(sections(snapshot, now, exact=self._console.size.width >= WIDE))
        rows = (self._console.size.height - len(parts)) // len(found) - ROWS_AROUND
        parts += [_drawn(section, max(rows, LEAST_ROWS)) for section in found]
        return Group(*parts)


def _drawn(section: Section, most: int) -> Any:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    title = Text(f"\n{section.title}", style="bold")
    if not section.rows:
        return Group(title, Text(section.nothing, style="dim"))
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in section.headings:
        table.add_column(heading, no_wrap=True, overflow="ellipsis")
    for row in section.rows[:most]:
        table.add_row(*map(styled, row, section.headings))
    return Group(title, table)
