"""``alicia plugins``: what is installed, how it stands, and what to do about it.

Where a host runs, it is asked, as only it knows what went wrong since its start; otherwise the
answer is what a host would find at its start.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alicia_scheduler.cli.completion import complete_plugins
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.output import (
    EXIT_NO,
    EXIT_NO_HOST,
    complain,
    fail,
    json_option,
    print_json,
    print_table,
)
from alicia_scheduler.cli.plugincheck import check_plugin
from alicia_scheduler.cli.pluginnew import new_plugin
from alicia_scheduler.cli.state import audit

if TYPE_CHECKING:
    from alicia_scheduler.host.record import PluginRecord

__all__ = ["installed", "plugins"]

Wire = dict[str, Any]


@click.group()
def plugins() -> None:
    """Installed plugins."""


plugins.add_command(check_plugin)
plugins.add_command(new_plugin)


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@door_options
def list_plugins(as_json: bool, door: Door) -> None:
    """List every installed plugin with its status and, where it is not active, why."""
    found = _listed(door)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no plugins are installed; pip install 'alicia-scheduler[standard]'")
        return
    print_table(
        ["PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "IMPORT", "BRINGS"],
        [
            [
                plugin["name"],
                plugin["distribution"],
                plugin["version"],
                plugin["status"],
                _milliseconds(plugin) or "-",
                plugin["reason"] or _brings(plugin),
            ]
            for plugin in found
        ],
    )


@plugins.command()
@click.argument("name", shell_complete=complete_plugins)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@door_options
def show(name: str, as_json: bool, door: Door) -> None:
    """Show the plugin NAME: what it brings with which options, and what went wrong with it."""
    shown = _shown(door, name)
    if as_json:
        print_json(shown)
    else:
        _print_portrait(shown)


@plugins.command()
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@door_options
def doctor(as_json: bool, door: Door) -> None:
    """Say what to do about each plugin that is not as it should be.

    Exits 1 when there is any; one that somebody disabled is told and does not count.
    """
    findings = [plugin for plugin in _listed(door) if plugin["advice"] is not None]
    if as_json:
        print_json(findings)
    else:
        _print_findings(findings)
    refused = _refused_verbs()
    if refused:
        complain("\n".join(refused))
    if refused or any(plugin["status"] != "disabled" for plugin in findings):
        raise SystemExit(EXIT_NO)


@plugins.command()
@click.argument("name", shell_complete=complete_plugins)
@door_options
@json_option
def enable(name: str, door: Door, as_json: bool) -> None:
    """Use the plugin NAME again, which was disabled by command or quarantined."""
    _remember(name, door, enabled=True, as_json=as_json)


@plugins.command()
@click.argument("name", shell_complete=complete_plugins)
@door_options
@json_option
def disable(name: str, door: Door, as_json: bool) -> None:
    """Leave the plugin NAME alone: it is listed but not used, also after a restart.

    What needs its types waits, unresolved, until it is enabled.
    """
    _remember(name, door, enabled=False, as_json=as_json)


@plugins.command()
@door_options
@json_option
def rescan(door: Door, as_json: bool) -> None:
    """Have a running host look for what was installed since it started."""
    if not _asks_host(door):
        fail("no host runs; it finds what is installed when it starts", EXIT_NO_HOST)
    _tell_host(door, "plugins/rescan", as_json=as_json)


def installed(door: Door) -> list[PluginRecord]:
    """The records of all installed plugins, as a host with this configuration and this state would
    have them at its start."""
    from datetime import UTC, datetime

    from alicia_scheduler.config.load import load
    from alicia_scheduler.host.check import disabled_plugins
    from alicia_scheduler.host.discovery import find_candidates
    from alicia_scheduler.host.loader import load_plugins
    from alicia_scheduler.host.quarantine import Absence
    from alicia_scheduler.host.remembered import Remembered

    remembered = Remembered(door.folder)
    absence = Absence(
        disabled=remembered.disabled,
        quarantined=remembered.quarantined,
        now=datetime.now(UTC),
    )
    disabled = disabled_plugins(load(door.config)) if door.config is not None else set()
    return load_plugins(find_candidates(), disabled=disabled, left_out=absence)


def _listed(door: Door) -> list[Wire]:
    """The plugins in their wire form, each with ``advice``."""
    if _asks_host(door):
        found: list[Wire] = door.ask("plugins/list")["plugins"]
        return found
    from alicia_scheduler.host.portrait import advice

    return [{**record.to_wire(), "advice": advice(record)} for record in installed(door)]


def _shown(door: Door, name: str) -> Wire:
    if _asks_host(door):
        answer: Wire = door.ask("plugins/show", name=name)
        return answer
    from alicia_scheduler.host.portrait import portrait

    records = installed(door)
    found = [record for record in records if record.name == name]
    if not found:
        fail(_unknown(name, [record.name for record in records]))
    return portrait(next((record for record in found if record.in_use), found[0]))


def _print_findings(findings: list[Wire]) -> None:
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


def _refused_verbs() -> list[str]:
    """What plugins bring to this command line and cannot be used, as the name is another's."""
    from alicia_scheduler.cli.main import VERBS
    from alicia_scheduler.cli.pluginverbs import plugin_verbs

    return plugin_verbs(frozenset(VERBS)).refused


def _print_portrait(shown: Wire) -> None:
    from alicia_scheduler.host.portrait import options_of

    plugin = shown["plugin"]
    click.echo(f"{plugin['name']}: {plugin['distribution']} {plugin['version']}")
    reason = f": {plugin['reason']}" if plugin["reason"] else ""
    imported = f", imported in {took}" if (took := _milliseconds(plugin)) else ""
    click.echo(f"  {plugin['status']}{reason}{imported}")
    for when in ("first_error", "last_error"):
        if plugin[when] is not None:
            click.echo(f"  {when.replace('_', ' ')}: {plugin[when]['message']}")
    for warning in plugin["warnings"]:
        click.echo(f"  warning: {warning}")
    if plugin["advice"] is not None:
        click.echo(f"  → {plugin['advice']}")
    for item in shown["types"]:
        summary = f": {item['summary']}" if item["summary"] else ""
        click.echo(f"\n{item['kind']} {item['name']}{summary}")
        _print_options(options_of(item["config"] or {}))
    if shown["settings"] is not None:
        click.echo(f"\nsettings, in [plugins.{plugin['name']}]")
        _print_options(options_of(shown["settings"]))


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


def _brings(plugin: Wire) -> str:
    """What a plugin contributes, by kind: ``action type lamp.blink, sink lamp.sink``."""
    return ", ".join(
        f"{kind.removesuffix('s').replace('_', ' ')} {name}"
        for kind, names in plugin["contributions"].items()
        for name in names
    )


def _milliseconds(plugin: Wire) -> str | None:
    seconds = plugin["import_time"]
    return None if seconds is None else f"{seconds * 1000:.0f} ms"


def _remember(name: str, door: Door, *, enabled: bool, as_json: bool) -> None:
    from alicia_scheduler.host.discovery import find_candidates
    from alicia_scheduler.host.remembered import Remembered

    word = "enable" if enabled else "disable"
    if _asks_host(door):
        _tell_host(door, f"plugins/{word}", name=name, as_json=as_json)
        return
    remembered = Remembered(door.folder)
    known = {candidate.name for candidate in find_candidates()} | remembered.disabled
    if name not in known | remembered.quarantined.keys():
        fail(_unknown(name, sorted(known)))
    if enabled:
        remembered.enable(name)
    else:
        remembered.disable(name)
    outcome = "ok" if remembered.problem is None else "refused"
    audit(door.folder, f"plugins/{word}", outcome, name=name)
    if remembered.problem is not None:
        fail(remembered.problem)
    said = f"plugin {name} is {word}d; no host runs, so this counts from its next start on"
    click.echo(said, err=as_json)


def _tell_host(door: Door, command: str, *, as_json: bool, **arguments: Any) -> None:
    answer = door.ask(command, **arguments)
    if as_json:
        print_json(answer)
        return
    lines = {key: value for key, value in answer.items() if value and key != "plugins"}
    for what, names in lines.items():
        click.echo(f"{what.replace('_', ' ')}: {', '.join(names)}")
    if not lines:
        click.echo("nothing else has changed" if arguments else "nothing has changed")
    for plugin in answer["plugins"]:
        if plugin["name"] in (*answer["added"], *answer["restart_needed"], arguments.get("name")):
            reason = f": {plugin['reason']}" if plugin["reason"] else ""
            click.echo(f"plugin {plugin['name']} is {plugin['status']}{reason}")


def _asks_host(door: Door) -> bool:
    return door.remote or _host_runs(door.folder)


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


def _unknown(name: str, names: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "alicia plugins list has them all"
    return f"there is no plugin {name!r} ({hint})"
