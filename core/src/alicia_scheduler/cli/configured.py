"""From the path of a configuration file to what may run: shared by ``run`` and ``check``."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.cli.output import fail
from alicia_scheduler.config.load import Configuration, load
from alicia_scheduler.foresight.lint import Finding, lint
from alicia_scheduler.host.check import Checked, check_configuration, disabled_plugins
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import PluginStatus, load_plugins
from alicia_scheduler.host.registry import Registry

__all__ = ["findings_of", "load_checked", "warnings_of"]


def load_checked(path: str) -> tuple[Configuration, Registry, Checked]:
    """Read and check a configuration; with mistakes, print each and exit 1."""
    try:
        configuration = load(path)
    except ConfigError as error:
        fail(str(error))
    registry = Registry(load_plugins(find_candidates(), disabled=disabled_plugins(configuration)))
    checked = check_configuration(configuration, registry, now=datetime.now(UTC))
    if checked.issues:
        for issue in checked.issues:
            click.echo(str(issue), err=True)
        count = len(checked.issues)
        noun = "mistake" if count == 1 else "mistakes"
        fail(f"{count} {noun} in {path}; nothing was started")
    return configuration, registry, checked


def warnings_of(registry: Registry, checked: Checked) -> list[str]:
    """What does not stop the host but must be said: plugins and types that are not there."""
    lines = [
        f"plugin {record.name} ({record.distribution} {record.version}) is "
        f"{record.status.value}: {record.reason}"
        for record in registry.plugins
        if record.status is not PluginStatus.ACTIVE
    ]
    return [*lines, *(f"unresolved: {sentence}" for sentence in checked.unresolved)]


def findings_of(
    configuration: Configuration, registry: Registry, checked: Checked
) -> list[Finding]:
    """What may surprise about the events: clock changes to come, schedules that never fire."""
    return lint(
        checked.events,
        registry,
        configuration.settings,
        checked.calendars,
        now=datetime.now(UTC),
    )
