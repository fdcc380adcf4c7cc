"""``alicia completion``, and what completes: ids from the store, names of plugins."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem, get_completion_class

__all__ = ["complete_events", "complete_executions", "complete_plugins", "completion"]

MOST = 1000
"""Names that are offered at the most; a shell asks before it shows that many."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes `alicia` in a shell.

    \b
    eval "$(alicia completion bash)"      in ~/.bashrc
    eval "$(alicia completion zsh)"       in ~/.zshrc
    alicia completion fish | source       in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"this version of click completes no {shell}")
    root = click.get_current_context().find_root().command
    # click asks bash itself for its version where its own class is asked; the script is the same.
    source = kind(root, {}, "alicia", "_ALICIA_COMPLETE")
    click.echo(source.source_template % source.source_vars())


def complete_events(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of the events of the store that begin so; none where it cannot be read."""
    return _from_store(context, incomplete, "events")


def complete_executions(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The ids of the newest executions that begin so; none where they cannot be read."""
    return _from_store(context, incomplete, "executions")


def complete_plugins(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The names of the installed plugins that begin so, without importing them."""
    from importlib.metadata import entry_points

    try:
        names = {point.name for point in entry_points(group="alicia_scheduler.plugins")}
    except Exception:  # noqa: BLE001 - a shell's prompt must never show a traceback
        return []
    return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


def _from_store(context: click.Context, incomplete: str, what: str) -> list[CompletionItem]:
    try:
        return [CompletionItem(name) for name in _names(context, incomplete, what)]
    except (Exception, SystemExit):  # noqa: BLE001 - as above
        return []


def _names(context: click.Context, incomplete: str, what: str) -> list[str]:
    from alicia_scheduler.cli.door import Door
    from alicia_scheduler.store.reader import open_reader

    door = Door(_option(context, "config"), _option(context, "state_dir"))
    found: list[str] = []
    with open_reader(door.folder) as store:
        if what == "executions":
            newest = store.list_executions(event_id=None, statuses=None, limit=MOST)
            return [run.execution_id for run in newest if run.execution_id.startswith(incomplete)]
        # Ids are read in their order, so everything before the first letters is passed over.
        after: str | None = None
        while len(found) < MOST:
            page = store.list_events(after_id=after, limit=MOST, origin=None)
            if not page:
                break
            after = page[-1].event.event_id
            found += [
                record.event.event_id
                for record in page
                if record.event.event_id.startswith(incomplete)
            ]
    return found[:MOST]


def _option(context: click.Context, name: str) -> str | None:
    """A path that was typed, or is in the environment, which completion does not look into."""
    import os

    value = context.params.get(name) or os.environ.get(f"ALICIA_{name.upper()}")
    return str(value) if value else None
