"""``alicia run``: the host in the foreground, until a signal."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import NoReturn

import click
import trio

from alicia_scheduler.api.control import Caller, CommandError, Permission
from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import Notification
from alicia_scheduler.cli.configured import Start, findings_of, load_checked, warnings_of
from alicia_scheduler.cli.loglines import LineFormatter
from alicia_scheduler.cli.output import fail
from alicia_scheduler.config.load import Configuration
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.doors import doors_open
from alicia_scheduler.foresight.lint import Finding
from alicia_scheduler.host.host import Host
from alicia_scheduler.host.lastresort import LastResort
from alicia_scheduler.host.quarantine import ALL
from alicia_scheduler.host.secrets.redaction import keep_secrets_out
from alicia_scheduler.host.servicemanager import ServiceManager

__all__ = ["run"]

CLOSING = 15.0
"""Seconds beyond drain_timeout after which a stop counts as hung."""

CANCELLED = 1.0
"""Seconds after a second signal that recording what was cancelled, and closing, may take."""

AT_ONCE = 2.0
"""Seconds after a second signal after which the process ends, whatever is still open."""

logger = logging.getLogger(__name__)

ENDS = {
    "execution_completed": "completed",
    "execution_failed": "failed",
    "execution_timed_out": "timed out",
    "execution_cancelled": "cancelled",
    "execution_interrupted": "interrupted",
    "execution_skipped": "skipped",
    "execution_missed": "missed",
}


class RunCommand(click.Command):
    """``--no-plugins`` may stand alone or with names; click knows only one of the two."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        alone = "--no-plugins"
        return super().parse_args(ctx, [f"{alone}={ALL}" if arg == alone else arg for arg in args])


@click.command(cls=RunCommand)
@click.argument("config", type=click.Path())
@click.option(
    "--no-plugins",
    "without",
    metavar="[=NAME,...]",
    envvar="ALICIA_NO_PLUGINS",
    default="",
    help="Leave out these plugins; without names, all but Alicia's own.",
)
def run(config: str, without: str) -> None:
    """Run the events of the configuration file CONFIG until SIGINT (Ctrl-C) or SIGTERM.

    On a signal nothing new starts, running executions get drain_timeout to end, and the exit
    code is 0. A second signal cancels what still runs and ends the host at once.
    """
    start = Start()
    names = [name.strip() for name in without.split(",") if name.strip()]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, partial(_leave, start))
    try:
        _run(config, names, start)
    except (SystemExit, click.ClickException):
        # Whatever kept it from starting was said, and is no plugin's fault.
        start.withdraw()
        raise


def _leave(start: Start, _number: int, _frame: FrameType | None) -> NoReturn:
    """A signal before the host listens to them: nothing runs yet, and nobody is to blame."""
    try:
        start.withdraw()
    finally:
        os._exit(0)


def _run(config: str, without: list[str], start: Start) -> None:
    configuration, registry, checked = load_checked(config, without=without, start=start)
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(LineFormatter())
    logging.basicConfig(level=configuration.settings.log_level.upper(), handlers=[lines])
    keep_secrets_out(checked.secrets.redactor)
    for warning in warnings_of(registry, checked):
        click.echo(f"warning: {warning}", err=True)
    # sqlite3 gives the interpreter away at every row, so beside a busy loop the store's thread
    # waits a switch interval a row: at Python's 5 ms a commit of 100 rows took over a second.
    sys.setswitchinterval(0.0005)
    host = Host(
        configuration.settings,
        checked,
        registry,
        state_dir=configuration.state_dir,
        history=configuration.history,
        configuration=configuration,
        remembered=start.remembered,
    )
    tally: Counter[str] = Counter()
    host.notifier.listen(lambda notification: _count(tally, notification))
    try:
        look_ahead = partial(findings_of, configuration, registry, checked)
        # Closing sinks, actions and services has bounds of its own beyond the drain.
        manager = ServiceManager.of_environment()
        resort = LastResort(configuration.settings.drain_timeout + CLOSING, host.still_open)
        keep = start.outlines.save
        trio.run(_until_signal, host, configuration, look_ahead, keep, resort, manager)
    except* StoreError as group:
        fail("; ".join(str(error) for error in _leaves(group)))
    start.ended(host.started.is_set())
    ended = ", ".join(f"{count} {word}" for word, count in tally.items())
    click.echo(f"stopped; executions in this run: {ended or 'none'}", err=True)


async def _until_signal(
    host: Host,
    configuration: Configuration,
    look_ahead: Callable[[], list[Finding]],
    keep: Callable[[], None],
    resort: LastResort,
    manager: ServiceManager,
) -> None:
    control = Control(host)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_obey_signals, host, nursery, resort, manager)
        nursery.start_soon(_obey_hangups, control, manager)
        nursery.start_soon(_tell_manager, control, manager)
        nursery.start_soon(doors_open, control, configuration.control, configuration.state_dir)
        nursery.start_soon(_once_started, host, look_ahead, keep)
        await host.run()
        resort.cancel()
        nursery.cancel_scope.cancel()


async def _once_started(
    host: Host, look_ahead: Callable[[], list[Finding]], keep: Callable[[], None]
) -> None:
    """Remember what the plugins offer, and log what may surprise about the events, which may be
    long to find."""
    await host.started.wait()
    await trio.to_thread.run_sync(keep)
    for finding in await trio.to_thread.run_sync(look_ahead, abandon_on_cancel=True):
        logger.warning("%s", finding)


async def _tell_manager(control: Control, manager: ServiceManager) -> None:
    await control.host.started.wait()
    await manager.accompany(control.kernel, control.answering, "the schedule runs")


async def _obey_hangups(control: Control, manager: ServiceManager) -> None:
    """Reload the configuration at each SIGHUP."""
    caller = Caller(door="signal", name="SIGHUP", permission=Permission.ADMIN)
    with trio.open_signal_receiver(signal.SIGHUP) as received:
        async for _ in received:
            await control.host.started.wait()
            manager.reloading()
            status = "the schedule runs, by the configuration of the last reload"
            try:
                await control.execute(caller, "scheduler/reload", {})
            except CommandError as error:
                status = f"the schedule runs, and the last reload was refused: {error}"
                logger.error("the configuration was not reloaded: %s", error)
                control.host.notifier.error(
                    f"the configuration was not reloaded: {error}", kind="configuration"
                )
            manager.ready(status)


async def _obey_signals(
    host: Host, nursery: trio.Nursery, resort: LastResort, manager: ServiceManager
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
        host_told = False
        async for _ in received:
            if host_told:
                host.hurry()
                nursery.cancel_scope.deadline = trio.current_time() + CANCELLED
                resort.hurry(AT_ONCE)
            else:
                manager.stopping()
                resort.start(host.drain_timeout + CLOSING)
                host.stop()
            host_told = True


def _count(tally: Counter[str], notification: Notification) -> None:
    word = ENDS.get(notification.event_type)
    if word is not None:
        tally[word] += 1


def _leaves(group: BaseExceptionGroup[StoreError]) -> list[StoreError]:
    found: list[StoreError] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
