"""From the path of a configuration file to what may run: shared by ``run`` and ``check``."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import click

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.cli.output import fail
from alicia_scheduler.config.load import Configuration, load
from alicia_scheduler.foresight.lint import Finding, lint
from alicia_scheduler.host.check import Checked, check_configuration, disabled_plugins
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import PluginStatus, load_plugins
from alicia_scheduler.host.outlines import Outlines
from alicia_scheduler.host.quarantine import Absence
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.remembered import FailedStarts, Remembered

__all__ = ["Start", "findings_of", "load_checked", "warnings_of"]

SAFE_MODE = "plugins are left out below; a restart tries them again"


class Start:
    """A start of a host, which counts as failed until it is known to be good, or to have ended for
    a reason that is no plugin's."""

    def __init__(self) -> None:
        self.remembered: Remembered | None = None
        self.outlines = Outlines()

    def begin(self, remembered: Remembered, outlines: Outlines) -> FailedStarts:
        """Count it; returns those before it that came to nothing."""
        self.remembered, self.outlines = remembered, outlines
        return remembered.begin_start()

    def ended(self, ready: bool) -> None:
        """The host stopped in order.

        Args:
            ready: whether its schedule had run.
        """
        if not ready:
            self.withdraw()
        elif self.remembered is not None:
            self.remembered.start_is_good()

    def withdraw(self) -> None:
        """It ended in order before the schedule ran."""
        if self.remembered is not None:
            self.remembered.withdraw_start()


def load_checked(
    path: str, *, without: Collection[str] = (), start: Start | None = None
) -> tuple[Configuration, Registry, Checked]:
    """Read and check a configuration; with mistakes, print each and exit 1.

    Args:
        without: names of plugins that are left out, ``*`` for all but Alicia's own.
        start: of a host, which may be in safe mode and imports only what it needs; None where
            none starts, and all is looked at.
    """
    try:
        configuration = load(path)
    except ConfigError as error:
        fail(str(error))
    remembered = Remembered(configuration.state_dir)
    outlines, failed = None, FailedStarts()
    if start is not None:
        outlines = Outlines(configuration.state_dir)
        failed = start.begin(remembered, outlines)
    absence = Absence(
        disabled=remembered.disabled,
        quarantined=remembered.quarantined,
        starts=failed if configuration.settings.safe_mode else FailedStarts(),
        without=without,
        now=datetime.now(UTC),
    )
    if start is not None and absence.safe_mode is not None:
        click.echo(f"warning: {absence.safe_mode}; {SAFE_MODE}", err=True)
    records = load_plugins(
        find_candidates(),
        disabled=disabled_plugins(configuration),
        left_out=absence,
        watch=remembered.importing if start is not None else lambda _name: None,
        outlines=outlines,
    )
    registry = Registry(records)
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
    lines += [f"plugin {each.name}: {said}" for each in registry.plugins for said in each.warnings]
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
