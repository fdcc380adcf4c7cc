"""``alicia events edit``: some fields by options, or all of them in an editor."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import click

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import from_epoch
from alicia_scheduler.cli.adding import explained
from alicia_scheduler.cli.completion import complete_events
from alicia_scheduler.cli.definition import assigned, read_setting
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.output import fail, json_option, print_json, printable, refuse
from alicia_scheduler.cli.relative import told_time
from alicia_scheduler.cli.tomltext import toml_lines
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.events import EventTable
from alicia_scheduler.config.plain import plain

__all__ = ["edit"]

FIELDS = EventTable.__struct_fields__
INSTANTS = ("starts_at", "ends_at")


@click.command("edit")
@click.argument("event", shell_complete=complete_events)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A field; repeatable.")
@click.option("--unset", "unset", multiple=True, metavar="KEY", help="A field back to its default.")
@click.option(
    "--revision",
    type=click.IntRange(1),
    help="Only if the event is still at this revision; default: the one that is there now.",
)
@click.option("--allow-unresolved", is_flag=True, help="Also with a type that is not installed.")
@door_options
@json_option
def edit(
    event: str,
    settings: tuple[str, ...],
    unset: tuple[str, ...],
    revision: int | None,
    allow_unresolved: bool,
    door: Door,
    as_json: bool,
) -> None:
    """Change EVENT in the running host: by --set, or in $EDITOR on a terminal.

    \b
    alicia events edit lamp --set action.topic=home/lamp2/set --set jitter=5
    alicia events edit lamp --set 'schedule_config={ expression = "0 7 * * *" }'

    What somebody else changed meanwhile is not overwritten: the edit is refused then.
    """
    record = door.ask("events/get", event_id=event)["event"]
    before = _written(record)
    seen = revision or record["revision"]
    more = {"allow_unresolved": True} if allow_unresolved else {}
    if settings or unset:
        changes = _by_options(before, settings, unset)
        try:
            saved = door.answer(
                "events/update", event_id=event, revision=seen, changes=changes, **more
            )
        except CommandError as error:
            _refused(event, error)
    elif sys.stdin.isatty() and sys.stdout.isatty():
        edited = _in_editor(door, event, before, seen, more)
        if edited is None:
            click.echo(f"{printable(event)}: nothing is changed")
            return
        saved = edited
    else:
        raise click.UsageError("say what to change with --set KEY=VALUE; there is no terminal here")
    if as_json:
        print_json(saved)
        return
    following = saved["event"]["next_run"]
    when = f", runs {told_time(from_epoch(following))}" if following else ""
    click.echo(f"{printable(event)}: revision {saved['event']['revision']}{when}")
    for warning in saved["warnings"]:
        click.echo(f"warning: {printable(warning)}", err=True)


def _written(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a user writes, as one writes them."""
    found = {name: record[name] for name in FIELDS if name in record}
    for name in INSTANTS:
        if found.get(name) is not None:
            found[name] = from_epoch(found[name]).isoformat()
    return found


def _by_options(
    before: Mapping[str, Any], settings: tuple[str, ...], unset: tuple[str, ...]
) -> dict[str, Any]:
    wanted = [read_setting(text) for text in settings]
    after = assigned(before, wanted)
    changes = {setting.path[0]: after[setting.path[0]] for setting in wanted}
    for key in unset:
        path = read_setting(f"{key}=0").path
        if len(path) == 1:
            changes[path[0]] = _default(path[0])
            continue
        table = after
        for step in path[:-1]:
            table = table.get(step, {})
            if not isinstance(table, dict):
                raise click.UsageError(f"--unset {key}: {step} is no table")
        table.pop(path[-1], None)
        changes[path[0]] = after.get(path[0])
    return changes


def _default(name: str) -> Any:
    import msgspec

    fields = {item.name: item for item in msgspec.structs.fields(EventTable)}
    if name not in fields:
        raise click.UsageError(f"--unset {name}: an event has no such field")
    default = fields[name].default
    if default is msgspec.NODEFAULT:
        raise click.UsageError(f"--unset {name}: every event has one; change it with --set")
    return msgspec.to_builtins(default)


def _refused(event: str, error: CommandError) -> NoReturn:
    if error.code == "conflict":
        refuse(
            error,
            f"{event} was changed by somebody else meanwhile, and is left as it is: {error}\n"
            f"look at it with `alicia events show {event}`, and edit it again",
        )
    refuse(error, explained(error))


def _in_editor(
    door: Door, event: str, before: Mapping[str, Any], revision: int, more: Mapping[str, Any]
) -> Any:
    """The answer of the host when it took what the editor left; None when nothing was changed."""
    text = _text(event, before)
    while True:
        edited = click.edit(text, extension=".toml")
        if edited is None or edited.strip() == "":
            return None
        try:
            after = plain(Document.parse(edited, "the event").data)
            changes = _difference(before, after)
            if not changes:
                return None
            return door.answer(
                "events/update", event_id=event, revision=revision, changes=changes, **more
            )
        except (ConfigError, click.UsageError) as error:
            why = str(error)
        except CommandError as error:
            if error.code == "conflict":
                kept = _kept(event, edited)
                _refused(event, CommandError(error.code, f"{error}; your text is in {kept}"))
            why = explained(error)
        click.echo("\n".join(map(printable, why.splitlines())), err=True)
        if not click.confirm("Edit it again?", default=True, err=True):
            fail(f"{event} is left as it is; your text is in {_kept(event, edited)}")
        text = edited


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that differ; what is no more written goes back to its default."""
    changes = {name: value for name, value in after.items() if before.get(name) != value}
    for name, value in before.items():
        if name not in after and value is not None and value != (default := _default(name)):
            changes[name] = default
    return changes


def _text(event: str, before: Mapping[str, Any]) -> str:
    head = f"# The event {event}. Save and close to change it; empty the file to leave it.\n"
    return head + "\n".join(toml_lines(before)) + "\n"


def _kept(event: str, text: str) -> str:
    """The name of a file that keeps what somebody wrote."""
    import tempfile

    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"alicia-{stamp}-", suffix=".toml", delete=False, encoding="utf-8"
    ) as stream:
        stream.write(text)
    return stream.name
