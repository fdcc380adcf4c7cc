"""``alicia plugins``: what is installed, how it stands, and what to do about it. Without a host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alicia_scheduler.cli.output import EXIT_NO, EXIT_NO_HOST, fail, print_json, print_table
from alicia_scheduler.cli.state import directory, state_options

if TYPE_CHECKING:
    from alicia_scheduler.host.record import PluginRecord

__all__ = ["installed", "plugins"]


@click.group()
def plugins() -> None:
    """Installed plugins."""


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@state_options
def list_plugins(as_json: bool, config: str | None, state_dir: str | None) -> None:
    """List every installed plugin with its status and, where it is not active, why."""
    records = installed(config, state_dir)
    if as_json:
        print_json([record.to_wire() for record in records])
        return
    if not records:
        click.echo("no plugins are installed; pip install 'alicia-scheduler[standard]'")
        return
    print_table(
        ["PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "IMPORT", "BRINGS"],
        [
            [
                record.name,
                record.distribution,
                record.version,
                record.status,
                "-" if record.import_time is None else f"{record.import_time * 1000:.0f} ms",
                _brings(record),
            ]
            for record in records
        ],
    )


@plugins.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@state_options
def show(name: str, as_json: bool, config: str | None, state_dir: str | None) -> None:
    """Show the plugin NAME: what it brings with which options, and what went wrong with it."""
    from alicia_scheduler.host.portrait import portrait

    found = [record for record in installed(config, state_dir) if record.name == name]
    if not found:
        fail(_unknown(name, installed(config, state_dir)))
    if as_json:
        print_json([portrait(record) for record in found])
        return
    for record in found:
        print_portrait(portrait(record))


@plugins.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@state_options
def doctor(as_json: bool, config: str | None, state_dir: str | None) -> None:
    """Say what to do about each plugin that is not as it should be.

    Exits 1 when there is any; one that somebody disabled is told and does not count.
    """
    records = installed(config, state_dir)
    findings = findings_of([record.to_wire() | {"advice": _advice(record)} for record in records])
    if as_json:
        print_json(findings)
    else:
        print_findings(findings)
    if any(finding["status"] != "disabled" for finding in findings):
        raise SystemExit(EXIT_NO)


@plugins.command()
@click.argument("name")
@state_options
def enable(name: str, config: str | None, state_dir: str | None) -> None:
    """Use the plugin NAME again, which was disabled by command or quarantined."""
    _remember(name, config, state_dir, enabled=True)


@plugins.command()
@click.argument("name")
@state_options
def disable(name: str, config: str | None, state_dir: str | None) -> None:
    """Leave the plugin NAME alone: it is listed but not imported, from the next start on."""
    _remember(name, config, state_dir, enabled=False)


@plugins.command()
@state_options
def rescan(config: str | None, state_dir: str | None) -> None:
    """Have a running host look for what was installed since it started."""
    place = directory(config, state_dir)
    if not _host_runs(place):
        fail("no host runs; it finds what is installed when it starts", EXIT_NO_HOST)
    _tell_host(config, state_dir, "plugins/rescan")


def installed(config: str | None, state_dir: str | None) -> list[PluginRecord]:
    """The records of all installed plugins, as a host with this configuration and this state would
    have them at its start."""
    from datetime import UTC, datetime

    from alicia_scheduler.config.load import load
    from alicia_scheduler.host.check import disabled_plugins
    from alicia_scheduler.host.discovery import find_candidates
    from alicia_scheduler.host.loader import load_plugins
    from alicia_scheduler.host.quarantine import Absence
    from alicia_scheduler.host.remembered import Remembered

    remembered = Remembered(directory(config, state_dir))
    absence = Absence(
        disabled=remembered.disabled,
        quarantined=remembered.quarantined,
        now=datetime.now(UTC),
    )
    disabled = disabled_plugins(load(config)) if config is not None else set()
    return load_plugins(find_candidates(), disabled=disabled, left_out=absence)


def findings_of(shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those plugins, as their wire form with ``advice``, about which there is something to do."""
    keys = ("name", "distribution", "version", "status", "reason", "warnings", "advice")
    return [{key: plugin[key] for key in keys} for plugin in shown if plugin["advice"] is not None]


def print_findings(findings: list[dict[str, Any]]) -> None:
    """One paragraph for each plugin that needs something."""
    if not findings:
        click.echo("all plugins are as they should be")
    for plugin in findings:
        who = f"{plugin['name']} ({plugin['distribution']} {plugin['version']})"
        click.echo(f"{who} is {plugin['status']}")
        for line in [plugin["reason"], *plugin["warnings"]]:
            if line is not None:
                click.echo(f"  {line}")
        click.echo(f"  → {plugin['advice']}")


def print_portrait(plugin: dict[str, Any]) -> None:
    """A plugin's portrait (:func:`alicia_scheduler.host.portrait.portrait`) for people."""
    click.echo(f"{plugin['name']}: {plugin['distribution']} {plugin['version']}")
    reason = f": {plugin['reason']}" if plugin["reason"] else ""
    click.echo(f"  {plugin['status']}{reason}")
    if plugin["import_time"] is not None:
        click.echo(f"  imported in {plugin['import_time'] * 1000:.0f} ms")
    for when in ("first_error", "last_error"):
        if plugin[when] is not None:
            click.echo(f"  {when.replace('_', ' ')}: {plugin[when]['message']}")
    for warning in plugin["warnings"]:
        click.echo(f"  warning: {warning}")
    if plugin["advice"] is not None:
        click.echo(f"  → {plugin['advice']}")
    for item in plugin["contributions"]:
        summary = f": {item['summary']}" if item["summary"] else ""
        click.echo(f"\n{item['kind']} {item['name']}{summary}")
        _print_options(item["options"])
    if plugin["settings"]:
        click.echo(f"\nsettings [plugins.{plugin['name']}]")
        _print_options(plugin["settings"])
    if plugin["commands"]:
        click.echo(f"\ncommands: {', '.join(plugin['commands'])}")


def _print_options(options: list[dict[str, Any]]) -> None:
    if not options:
        click.echo("  no options")
        return
    rows = [
        [
            f"  {option['name']}",
            option["type"],
            "required" if option["required"] else _default(option),
            option["summary"],
        ]
        for option in options
    ]
    print_table(["  OPTION", "TYPE", "DEFAULT", "MEANING"], rows)


def _default(option: dict[str, Any]) -> str:
    import msgspec

    value = option.get("default")
    return "-" if value is None else msgspec.json.encode(value).decode()


def _brings(record: PluginRecord) -> str:
    if record.reason is not None:
        return record.reason
    return ", ".join(
        f"{kind} {item.name}"
        for kind, items in record.contributions.by_kind().items()
        for item in items
    )


def _advice(record: PluginRecord) -> str | None:
    from alicia_scheduler.host.portrait import advice

    return advice(record)


def _remember(name: str, config: str | None, state_dir: str | None, *, enabled: bool) -> None:
    from alicia_scheduler.host.discovery import find_candidates
    from alicia_scheduler.host.remembered import Remembered

    word = "enable" if enabled else "disable"
    place = directory(config, state_dir)
    if _host_runs(place):
        _tell_host(config, state_dir, f"plugins/{word}", name=name)
        return
    remembered = Remembered(place)
    known = {candidate.name for candidate in find_candidates()} | remembered.disabled
    if name not in known | remembered.quarantined.keys():
        fail(f"there is no plugin {name!r}; alicia plugins list has them all")
    if enabled:
        remembered.enable(name)
    else:
        remembered.disable(name)
    if remembered.problem is not None:
        fail(remembered.problem)
    click.echo(f"plugin {name} is {word}d; no host runs, so this counts from its next start on")


def _tell_host(config: str | None, state_dir: str | None, command: str, **arguments: Any) -> None:
    from alicia_scheduler.cli.state import told_host

    answer = told_host(config, state_dir, command, **arguments)
    lines = {key: value for key, value in answer.items() if value}
    for what, names in lines.items():
        click.echo(f"{what.replace('_', ' ')}: {', '.join(names)}")
    if not lines:
        click.echo("nothing has changed")


def _host_runs(place: Path) -> bool:
    """Whether a host has the state directory. Nothing is made where there is none."""
    from datetime import UTC, datetime

    from alicia_scheduler.api.errors import StoreError
    from alicia_scheduler.store.lock import LOCK_FILE, StateLock

    if not (place / LOCK_FILE).exists():
        return False
    try:
        with StateLock(place, datetime.now(UTC)):
            return False
    except StoreError:
        return True


def _unknown(name: str, records: list[PluginRecord]) -> str:
    import difflib

    near = difflib.get_close_matches(name, [record.name for record in records], n=1)
    hint = f"did you mean {near[0]!r}?" if near else "alicia plugins list has them all"
    return f"there is no plugin {name!r} ({hint})"
