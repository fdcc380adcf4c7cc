"""``alicia check``."""

from __future__ import annotations

import click

from alicia_scheduler.cli.configured import findings_of, load_checked, warnings_of
from alicia_scheduler.cli.output import print_json

__all__ = ["check"]


@click.command()
@click.argument("config", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def check(config: str, as_json: bool) -> None:
    """Check the configuration file CONFIG without running it.

    Prints every mistake with its line and exits 1 if there is any. Warns of events that never
    run or come faster than min_interval, and of the clock changes of the next 24 months at which
    an event's time does not exist or comes twice.
    """
    configuration, registry, checked = load_checked(config)
    warnings = warnings_of(registry, checked)
    findings = findings_of(configuration, registry, checked)
    if as_json:
        print_json(
            {
                "file": config,
                "events": len(checked.events),
                "warnings": warnings,
                "findings": [finding.to_wire() for finding in findings],
            }
        )
        return
    for warning in [*warnings, *map(str, findings)]:
        click.echo(f"warning: {warning}", err=True)
    parts = f"{len(checked.services)} services, {len(checked.sinks)} sinks"
    click.echo(f"{configuration.file}: ok, {len(checked.events)} events, {parts}")
