"""``alicia events add``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import Misfire, Mode, from_epoch
from alicia_scheduler.cli.definition import (
    assigned,
    definitions_in,
    read_setting,
    schedule_of,
    wanted_action,
)
from alicia_scheduler.cli.door import Door, door_and_target_options
from alicia_scheduler.cli.moments import seconds_of
from alicia_scheduler.cli.output import EXIT_NO, complain, fail, json_option, print_json, printable
from alicia_scheduler.cli.relative import told_time

__all__ = ["add"]


@click.command("add")
@click.argument("event", required=False)
@click.option("--file", "file", type=click.Path(), help="TOML or JSON with events; - is stdin.")
@click.option("--name", help="Name for people.")
@click.option("--description", help="More about it.")
@click.option("--tag", "tags", multiple=True, help="A tag; repeatable.")
@click.option("--every", metavar="SPAN", help="Interval, as 30s, 5m, 1h30m.")
@click.option("--cron", metavar="EXPRESSION", help="Crontab expression, as '30 6 * * mon-fri'.")
@click.option("--at", "at", metavar="INSTANT", help="Once, as 2026-12-24T18:00.")
@click.option("--daily", metavar="HH:MM", multiple=True, help="Every day at a time; repeatable.")
@click.option("--timezone", help="IANA name; default: the host's.")
@click.option("--topic", help="Publish to this MQTT topic.")
@click.option("--message", help="What is published, or the body of the request: JSON or text.")
@click.option("--qos", type=click.IntRange(0, 2), help="Quality of service of the message.")
@click.option("--retain", is_flag=True, help="The broker keeps the message.")
@click.option("--method", help="Method of the request; default GET, with --message POST.")
@click.option("--command", help="Run this program; quoted as in a shell, but no shell runs.")
@click.option("--timeout", metavar="SPAN", help="Longest run of an attempt.")
@click.option("--max-retries", type=click.IntRange(0), help="Attempts after the first.")
@click.option("--mode", type=click.Choice([mode.value for mode in Mode]), help="Overlap.")
@click.option("--misfire", type=click.Choice([item.value for item in Misfire]), help="Late slots.")
@click.option("--jitter", metavar="SPAN", help="Spread of the start.")
@click.option("--disabled", is_flag=True, help="It runs when it is enabled.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other field.")
@click.option(
    "--allow-unresolved", is_flag=True, help="Also with a type that is not installed yet."
)
@door_and_target_options
@json_option
def add(
    event: str | None,
    file: str | None,
    settings: tuple[str, ...],
    allow_unresolved: bool,
    door: Door,
    as_json: bool,
    **options: Any,
) -> None:
    """Create the event EVENT, or the events of --file, in the running host.

    \b
    alicia events add lamp --daily 07:30 --topic home/lamp/set --message '{"state": "ON"}'
    alicia events add report --cron '0 7 * * mon' --url https://example.org/report
    alicia events add backup --every 6h --command '/usr/local/bin/backup --all' --timeout 30m
    alicia events add --file events.toml

    Without EVENT the host makes up an id. --set takes what no option has, e.g.
    --set action.qos=1 or --set 'on_failure=["alarm"]'.
    """
    described = _described(options)
    if file is not None:
        if described:
            raise click.UsageError("--file says it all; change it with --set")
        try:
            found = definitions_in(file)
        except ConfigError as error:
            fail(str(error))
        if event is not None:
            if len(found) != 1:
                raise click.UsageError(f"{file} defines {len(found)} events; leave EVENT out")
            found = {event: next(iter(found.values()))}
    else:
        found = {event: described}
    wanted = [read_setting(text) for text in settings]
    definitions = [
        {**({"event_id": event_id} if event_id is not None else {}), **assigned(fields, wanted)}
        for event_id, fields in found.items()
    ]
    if file is None and "schedule_type" not in definitions[0]:
        raise click.UsageError("say when it runs: --every, --cron, --at, --daily or --file")
    if file is None and "action" not in definitions[0]:
        raise click.UsageError("say what it does: --topic, --url, --command or --file")
    _create(door, definitions, allow_unresolved=allow_unresolved, as_json=as_json)


def _described(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that the options say."""
    fields = schedule_of(options["every"], options["cron"], options["at"], options["daily"])
    action = wanted_action(
        topic=options["topic"],
        message=options["message"],
        qos=options["qos"],
        retain=options["retain"],
        target=options["target"],
        method=options["method"],
        command=options["command"],
    )
    if action is not None:
        fields["action"] = action
    for name in ("name", "description", "timezone", "max_retries", "mode", "misfire"):
        if options[name] is not None:
            fields[name] = options[name]
    for name in ("timeout", "jitter"):
        if options[name] is not None:
            fields[name] = seconds_of(options[name], f"--{name}")
    if options["tags"]:
        fields["tags"] = list(options["tags"])
    if options["disabled"]:
        fields["enabled"] = False
    return fields


def _create(
    door: Door, definitions: list[dict[str, Any]], *, allow_unresolved: bool, as_json: bool
) -> None:
    more = {"allow_unresolved": True} if allow_unresolved else {}
    answers: list[dict[str, Any]] = []
    refused = False
    for definition in definitions:
        try:
            answer = door.answer("events/create", event=definition, **more)
        except CommandError as error:
            refused = True
            complain(f"{definition.get('event_id', 'the event')}: {_why(error)}")
            answers.append({"error": error.to_json()})
            continue
        answers.append(answer)
        if not as_json:
            _say(answer)
    if as_json:
        print_json(answers if len(definitions) != 1 else answers[0])
    if refused:
        sys.exit(EXIT_NO)


def _why(error: CommandError) -> str:
    if error.code == "conflict":
        return "there is an event of this id already; change it with `alicia events edit`"
    return explained(error)


def explained(error: CommandError) -> str:
    """A refusal with every mistake that it tells of."""
    issues = error.details.get("issues", ())
    lines = [
        f"{'.'.join(map(str, issue['path']))}: {issue['message']}"
        + (f" ({issue['hint']})" if issue.get("hint") else "")
        for issue in issues
    ]
    return "\n".join(lines) or str(error)


def _say(answer: Mapping[str, Any]) -> None:
    event = answer["event"]
    following = event["next_run"]
    when = f"runs {told_time(from_epoch(following))}" if following else "has no slot to come"
    if not event["enabled"]:
        when = "disabled"
    click.echo(f"{printable(event['event_id'])}: created; {when}")
    for warning in answer["warnings"]:
        click.echo(f"warning: {printable(warning)}", err=True)
