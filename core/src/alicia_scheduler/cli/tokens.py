"""``alicia tokens``: who may come in from elsewhere, and to do what."""

from __future__ import annotations

from datetime import timedelta

import click

from alicia_scheduler.api.control import Permission
from alicia_scheduler.api.errors import AliciaError
from alicia_scheduler.api.model import to_wire
from alicia_scheduler.cli.moments import span
from alicia_scheduler.cli.output import fail, json_option, print_json, print_table, printable
from alicia_scheduler.cli.relative import told_time
from alicia_scheduler.cli.state import audit, directory, state_options

__all__ = ["tokens"]


@click.group()
def tokens() -> None:
    """Tokens for the TCP door: who may come in from elsewhere, and to do what."""


@tokens.command("create")
@click.argument("name")
@click.option(
    "--permission",
    type=click.Choice([item.value for item in Permission]),
    default=Permission.READ.value,
    show_default=True,
    help="What its holder may do; each includes those before it.",
)
@click.option(
    "--expires-in", "length", callback=span, help="For how long: 24h, 30d; default: ever."
)
@state_options
@json_option
def create(
    name: str,
    permission: str,
    length: timedelta | None,
    config: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Make a token called NAME and print its secret, which is shown only this once.

    Needs no running host; one that runs takes it at once.
    """
    from alicia_scheduler.control.tokens import create_token

    folder = directory(config, state_dir)
    expires = length.total_seconds() if length is not None else None
    try:
        secret = create_token(folder, name, Permission(permission), expires_in=expires)
    except AliciaError as error:
        audit(folder, "tokens/create", "refused", name=name, permission=permission)
        fail(str(error))
    audit(folder, "tokens/create", name=name, permission=permission)
    if as_json:
        print_json({"name": name, "permission": permission, "secret": secret})
        return
    click.echo(secret)
    click.echo(
        f"token {printable(name)} ({permission}): keep the secret, it is not shown again. Use it "
        "as ALICIA_TOKEN or with --token-file, beside --url",
        err=True,
    )


@tokens.command("list")
@state_options
@json_option
def list_all(config: str | None, state_dir: str | None, as_json: bool) -> None:
    """List the tokens, without their secrets. Needs no running host."""
    from alicia_scheduler.control.tokens import list_tokens

    try:
        found = list_tokens(directory(config, state_dir))
    except AliciaError as error:
        fail(str(error))
    if as_json:
        shown = ("name", "permission", "created", "expires", "last_used")
        print_json([{key: to_wire(getattr(token, key)) for key in shown} for token in found])
        return
    if not found:
        click.echo("no tokens; `alicia tokens create NAME` makes one")
        return
    print_table(
        ["NAME", "PERMISSION", "CREATED", "EXPIRES", "LAST USED"],
        [
            [
                token.name,
                token.permission.value,
                told_time(token.created),
                told_time(token.expires) if token.expires else "never",
                told_time(token.last_used) if token.last_used else "never",
            ]
            for token in found
        ],
    )


@tokens.command("revoke")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@state_options
@json_option
def revoke(
    names: tuple[str, ...], config: str | None, state_dir: str | None, as_json: bool
) -> None:
    """Take tokens back; who came in with one is out within seconds. Needs no running host."""
    from alicia_scheduler.control.tokens import revoke_token

    folder, done, refused = directory(config, state_dir), [], []
    for name in names:
        try:
            revoke_token(folder, name)
        except AliciaError as error:
            refused.append(f"{name}: {error}")
            audit(folder, "tokens/revoke", "refused", name=name)
        else:
            done.append(name)
            audit(folder, "tokens/revoke", name=name)
    if as_json:
        print_json({"revoked": done})
    else:
        for name in done:
            click.echo(f"{printable(name)}: revoked")
    if refused:
        fail("\n".join(refused))
