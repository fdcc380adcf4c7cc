"""``alicia plugins``: what is installed and how it stands."""

from __future__ import annotations

import click

from alicia_scheduler.cli.output import print_json, print_table
from alicia_scheduler.cli.plugincheck import check_plugin
from alicia_scheduler.cli.pluginnew import new_plugin
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import PluginRecord, load_plugins

__all__ = ["plugins"]


@click.group()
def plugins() -> None:
    """Installed plugins."""


plugins.add_command(check_plugin)
plugins.add_command(new_plugin)


@plugins.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def list_plugins(as_json: bool) -> None:
    """List every installed plugin with its status and, where it is not active, why."""
    records = load_plugins(find_candidates())
    if as_json:
        print_json([record.to_wire() for record in records])
        return
    if not records:
        click.echo("no plugins are installed; pip install 'alicia-scheduler[standard]'")
        return
    print_table(
        ["PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "BRINGS"],
        [
            [record.name, record.distribution, record.version, record.status, _brings(record)]
            for record in records
        ],
    )


def _brings(record: PluginRecord) -> str:
    if record.reason is not None:
        return record.reason
    return ", ".join(
        f"{kind} {item.name}"
        for kind, items in record.contributions.by_kind().items()
        for item in items
    )
