"""``alicia plugins check``: an installed plugin against the rules."""

from __future__ import annotations

import click

from alicia_scheduler.cli.output import print_json
from alicia_scheduler.pluginchecks import NotAPlugin, address_of, check_distribution

__all__ = ["check_plugin"]


@click.command("check")
@click.argument("distribution")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
@click.pass_context
def check_plugin(context: click.Context, distribution: str, as_json: bool) -> None:
    """Check the installed plugin DISTRIBUTION, such as alicia-action-mqtt, against the rules.

    Exits with 0 when it keeps them all and with 1 when it does not. The rules are told in
    docs/reference/plugin-rules.md.
    """
    try:
        report = check_distribution(distribution)
    except NotAPlugin as error:
        raise click.BadParameter(str(error), param_hint="DISTRIBUTION") from error
    if as_json:
        print_json(report.to_wire())
    else:
        for finding in report.findings:
            click.echo(f"{finding}\n       see {address_of(finding.code)}")
        for what in report.unseen:
            click.echo(f"not looked at: {what}")
        count = len(report.findings)
        noun = "finding" if count == 1 else "findings"
        click.echo(f"{report.distribution} {report.version}: {count or 'no'} {noun}")
    if report.findings:
        context.exit(1)
