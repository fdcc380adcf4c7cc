"""The root command. Each verb's module is imported when the verb is used."""

from __future__ import annotations

import importlib
import os
import signal
from types import FrameType
from typing import NoReturn

import click

__all__ = ["main"]

VERBS = {
    "run": ("alicia_scheduler.cli.run", "run", "Run a host in the foreground."),
    "check": ("alicia_scheduler.cli.check", "check", "Check a configuration file."),
    "plugins": ("alicia_scheduler.cli.plugins", "plugins", "Installed plugins."),
    "events": ("alicia_scheduler.cli.events", "events", "Scheduled events."),
    "executions": ("alicia_scheduler.cli.executions", "executions", "The history of executions."),
    "preview": ("alicia_scheduler.cli.preview", "preview", "The next slots of an event or spec."),
    "explain": ("alicia_scheduler.cli.explain", "explain_command", "Why an event runs or not."),
    "simulate": ("alicia_scheduler.cli.simulate", "simulate", "Rehearse a configuration."),
}


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    # Not by an exception: a plugin that is being imported just then would be blamed for it, and
    # the signal be lost.
    os._exit(0)


class LazyGroup(click.Group):
    """A group whose commands are imported on use, so that ``--help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        if cmd_name == "run":
            # Until the host listens to signals itself, a stop finds nothing to stop: that is no
            # failure. The imports below take long enough for a supervisor to change its mind.
            signal.signal(signal.SIGTERM, _leave)
            signal.signal(signal.SIGINT, _leave)
            # It asks for the configuration to be read, which is about to happen.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        module, attribute, _ = VERBS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alicia-scheduler", prog_name="alicia")
def main() -> None:
    """Alicia Scheduler: events on time, on a headless device, for years."""
