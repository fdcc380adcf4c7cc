"""The root command. Each verb's module is imported when the verb is used."""

from __future__ import annotations

import importlib
import os
import signal
from types import FrameType
from typing import NoReturn

import click

__all__ = ["main"]

PACKAGE = "alicia_scheduler.cli"

VERBS = {
    "run": ("run", "run", "Run a host in the foreground."),
    "check": ("check", "check", "Check a configuration file."),
    "init": ("init", "init", "Write a first configuration."),
    "events": ("events", "events", "Scheduled events."),
    "executions": ("executions", "executions", "The history of executions."),
    "preview": ("preview", "preview", "The next slots of an event or spec."),
    "explain": ("explain", "explain_command", "Why an event runs or not."),
    "simulate": ("simulate", "simulate", "Rehearse a configuration."),
    "tail": ("tail", "tail", "Follow what happens, live."),
    "top": ("top", "top", "What runs, what is next, what fails."),
    "stats": ("health", "stats", "Counts and rates of a running host."),
    "health": ("health", "health", "How a running host is."),
    "pause": ("scheduler", "pause", "Pause the whole schedule."),
    "resume": ("scheduler", "resume", "End the pause of the whole schedule."),
    "reload": ("scheduler", "reload", "Read the configuration again."),
    "backup": ("scheduler", "backup", "Copy the store of a running host."),
    "plugins": ("plugins", "plugins", "Installed plugins."),
    "tokens": ("tokens", "tokens", "Who may come in from elsewhere."),
    "import": ("importing", "import_group", "Schedules of other programs as events."),
    "service": ("service", "service", "Run under systemd."),
    "completion": ("completion", "completion", "Print the completion script of a shell."),
}
"""Name of each verb: its module here, the command in it, and what it is for."""


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
        if cmd_name == "run" and not ctx.resilient_parsing:
            # Until the host listens to signals itself, a stop finds nothing to stop: that is no
            # failure. The imports below take long enough for a supervisor to change its mind.
            signal.signal(signal.SIGTERM, _leave)
            signal.signal(signal.SIGINT, _leave)
            # It asks for the configuration to be read, which is about to happen.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        module, attribute, _ = VERBS[cmd_name]
        found = importlib.import_module(f"{PACKAGE}.{module}")
        command: click.Command = getattr(found, attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in VERBS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alicia-scheduler", prog_name="alicia")
def main() -> None:
    """Alicia Scheduler: events on time, on a headless device, for years."""
