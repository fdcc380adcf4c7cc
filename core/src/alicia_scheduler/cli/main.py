"""The root command. Each verb's module is imported when the verb is used."""

from __future__ import annotations

import importlib
import io
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from alicia_scheduler.cli.pluginverbs import Verbs

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
    "commands": ("health", "commands", "What a running host can be told."),
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
    """A group whose commands are imported on use, so that ``--help`` stays quick. Behind its own
    come those of plugins, which are looked for only where they may be meant."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """See :meth:`click.Command.make_context`; it comes before anything is printed."""
        _print_all_there_is()
        return super().make_context(*args, **options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Alicia's own verbs."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return _of_plugin(cmd_name, quiet=ctx.resilient_parsing)
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb. A plugin's that fails is told as that plugin's failure; what was typed and
        is no text is refused."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            verb = ctx.invoked_subcommand
            if verb is not None and verb not in VERBS:
                _blame(verb, error)
            if isinstance(error, UnicodeEncodeError):
                shown = repr(error.object[error.start : error.end])[1:-1]
                raise click.UsageError(f"{shown} in what was typed is not UTF-8") from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, _, summary) in VERBS.items()])
        from alicia_scheduler.cli.output import printable

        verbs = _plugin_verbs()
        if verbs.found:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(
                    [
                        (name, f"{verb.command.get_short_help_str(60)} ({verb.plugin})")
                        for name, verb in verbs.found.items()
                    ]
                )
        for sentence in (*verbs.refused, *verbs.absent):
            formatter.write_paragraph()
            formatter.write_text(f"Left out: {printable(sentence)}")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The verbs that begin so, without importing any of Alicia's own."""
        offered = {name: summary for name, (_, _, summary) in VERBS.items()}
        for name, verb in _plugin_verbs().found.items():
            offered[name] = verb.command.get_short_help_str()
        items = [
            CompletionItem(name, help=summary)
            for name, summary in offered.items()
            if name.startswith(incomplete)
        ]
        # The options, as for any command.
        return items + click.Command.shell_complete(self, ctx, incomplete)


def _print_all_there_is() -> None:
    """Make sure that what is printed arrives: a character that the terminal's encoding does not
    have as ``\\u2615``, and a line as a whole.

    With ``PYTHONUNBUFFERED``, as containers like to set it, Python forgets the rest of what a
    signal kept it from writing at once.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        raw = stream.buffer
        if isinstance(raw, io.RawIOBase):
            buffered = io.BufferedWriter(raw)
            stream = io.TextIOWrapper(buffered, encoding=stream.encoding, line_buffering=True)
            setattr(sys, name, stream)
        stream.reconfigure(errors="backslashreplace")


def _plugin_verbs() -> Verbs:
    from alicia_scheduler.cli.pluginverbs import plugin_verbs

    return plugin_verbs(frozenset(VERBS))


def _of_plugin(name: str, *, quiet: bool) -> click.Command | None:
    """The verb of a plugin; None when none brings it, after saying which one might have."""
    verbs = _plugin_verbs()
    verb = verbs.found.get(name)
    if verb is not None:
        return verb.command
    if not quiet and verbs.absent:
        from alicia_scheduler.cli.output import complain

        complain("\n".join(verbs.absent))
    return None


def _blame(name: str, error: Exception) -> NoReturn:
    import traceback

    from alicia_scheduler.cli.output import fail

    plugin = _plugin_verbs().found[name].plugin
    said = "".join(traceback.format_exception_only(error)).strip()
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    fail(f"the verb {name} of plugin {plugin} failed: {said}{place}")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="alicia-scheduler", prog_name="alicia")
def main() -> None:
    """Alicia Scheduler: events on time, on a headless device, for years."""
