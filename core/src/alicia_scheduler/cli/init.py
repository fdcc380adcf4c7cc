"""``alicia init``: a first configuration, from a few questions or from options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.cli.moments import seconds_of
from alicia_scheduler.cli.output import fail, printable
from alicia_scheduler.cli.tomltext import toml_key, toml_value
from alicia_scheduler.config.settings import local_timezone_name

__all__ = ["init"]

NO_BROKER = "none"


@click.command()
@click.argument("file", type=click.Path(), default="alicia.toml")
@click.option("--timezone", help="IANA name, e.g. Europe/Berlin; default: this machine's.")
@click.option(
    "--broker", help="Host of the MQTT broker, or none; default: localhost.", metavar="HOST"
)
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=1883, show_default=True, help="Its port."
)
@click.option("--state-dir", help="Where the host keeps its state; default: ./state.")
@click.option("--event", "event_id", help="Id of a first event; default: hello.")
@click.option("--every", help="How often it runs, e.g. 5m; default: 1m.")
@click.option("--topic", help="What it publishes to; default: home/<its id>.")
@click.option("--yes", is_flag=True, help="Ask nothing; take the defaults.")
def init(
    file: str,
    timezone: str | None,
    broker: str | None,
    port: int,
    state_dir: str | None,
    event_id: str | None,
    every: str | None,
    topic: str | None,
    yes: bool,
) -> None:
    """Write a commented configuration to FILE, alicia.toml by default.

    On a terminal it asks for what no option says. It never overwrites a file, and what it writes
    passes `alicia check`.
    """
    path = Path(file)
    if path.exists() or path.is_symlink():
        _there_already(path)
    ask = not yes and sys.stdin.isatty() and sys.stdout.isatty()

    def answer(given: str | None, question: str, default: str, check: Callable[[str], str]) -> str:
        if given is None and ask:
            return str(click.prompt(question, default=default, value_proc=_prompted(check)))
        try:
            return check(given if given is not None else default)
        except click.BadParameter as error:
            raise click.UsageError(error.message) from error

    zone = answer(timezone, "Time zone", local_timezone_name(), _zone)
    host = answer(broker, f"MQTT broker ({NO_BROKER} for no broker)", "localhost", _text)
    folder = answer(state_dir, "State directory", "./state", _text)
    first = answer(event_id, "Id of a first event", "hello", _event_id)
    often = answer(every, "How often it runs", "1m", _span)
    target = ""
    if host != NO_BROKER:
        target = answer(topic, "Topic that it publishes to", f"home/{first}", _text)
    text = _configuration(
        zone=zone,
        broker=host,
        port=port,
        folder=folder,
        event_id=first,
        every=often,
        topic=target,
    )
    _check(text, path)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        _there_already(path)
    except OSError as error:
        fail(f"{path} cannot be written: {error}")
    shown = printable(file)
    click.echo(f"{shown} is written. Next:\n  alicia check {shown}\n  alicia run {shown}")


def _there_already(path: Path) -> NoReturn:
    fail(f"{path} is there already, and is left as it is; name another FILE")


def _prompted(check: Callable[[str], str]) -> Callable[[Any], str]:
    return lambda value: check(str(value).strip())


def _zone(text: str) -> str:
    try:
        load_timezone(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from error
    return text


def _text(text: str) -> str:
    if not text or not text.isprintable():
        raise click.BadParameter("it must be text without control characters")
    return text


def _event_id(text: str) -> str:
    from alicia_scheduler.config.events import EVENT_ID

    if EVENT_ID.fullmatch(text) is None:
        raise click.BadParameter(f"{text!r}: 1 to 128 of A-Z a-z 0-9 . _ - are an id")
    return text


def _span(text: str) -> str:
    try:
        seconds_of(text, "--every")
    except click.UsageError as error:
        raise click.BadParameter(error.message) from error
    return text


def _configuration(
    *, zone: str, broker: str, port: int, folder: str, event_id: str, every: str, topic: str
) -> str:
    services = SERVICES.format(host=toml_value(broker), port=port) if topic else WITHOUT_SERVICES
    if topic:
        action = (
            f'{{ type = "mqtt_publish", topic = {toml_value(topic)}, '
            'message = { state = "ON" }, qos = 1 }'
        )
    else:
        action = '{ type = "script_execution", command = ["/bin/echo", "hello"] }'
    seconds = seconds_of(every, "--every")
    return TEMPLATE.format(
        zone=toml_value(zone),
        folder=toml_value(folder),
        services=services,
        key=toml_key(event_id),
        name=toml_value(event_id.replace("-", " ").capitalize()),
        seconds=int(seconds) if seconds == int(seconds) else seconds,
        every=every,
        action=action,
    )


def _check(text: str, path: Path) -> None:
    """Refuse to write what `alicia check` would refuse."""
    from alicia_scheduler.config.document import Document
    from alicia_scheduler.config.load import configuration
    from alicia_scheduler.host.check import check_configuration
    from alicia_scheduler.host.discovery import find_candidates
    from alicia_scheduler.host.loader import load_plugins
    from alicia_scheduler.host.registry import Registry

    registry = Registry(load_plugins(find_candidates()))
    loaded = configuration(Document.parse(text, str(path)))
    checked = check_configuration(loaded, registry, now=datetime.now(UTC))
    if checked.issues:
        fail(f"nothing was written: {'; '.join(issue.message for issue in checked.issues)}")
    for sentence in checked.unresolved:
        click.echo(f"warning: {printable(sentence)}", err=True)


TEMPLATE = """\
# Alicia Scheduler. `alicia check` names every mistake in here, `alicia run` runs it.

[scheduler]
timezone = {zone}   # of events that name none
state_dir = {folder}   # the database and the control socket; relative to this file

# How much of the past is kept: days, and executions of each event.
# [history]
# max_age = 2_592_000
# per_event = 1000
{services}
# An event: when (schedule), what (action), and by which rules.
# `alicia preview {key} --config FILE` shows when it runs, `alicia events test` what it would do.
[events.{key}]
name = {name}
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = {seconds} }}   # every {every}
action = {action}

# By the wall clock:
# schedule_type = "cron"
# schedule_config = {{ expression = "30 6 * * mon-fri" }}
#
# Once:
# schedule_type = "once"
# schedule_config = {{ run_at = 2030-12-24T18:00:00 }}
#
# What becomes of a slot that comes while the event still runs: single, restart, queued, parallel.
# mode = "single"
# What becomes of a slot that is noticed late: latest, all, skip.
# misfire = "latest"
"""

SERVICES = """
# The broker. A user and password come from [secrets], never from here:
# username = "scheduler"
# password = {{ secret = "broker-password" }}
[services.mqtt]
host = {host}
port = {port}

# [secrets]
# broker-password = {{ env = "MQTT_PASSWORD" }}

# What happens is told on the bus, below alicia/scheduler/, and in the log.
[sinks.mqtt]
[sinks.log]
"""

WITHOUT_SERVICES = """
# A broker, for events that publish:
# [services.mqtt]
# host = "localhost"

# What happens is told in the log.
[sinks.log]
"""
