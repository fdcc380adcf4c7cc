"""``alicia service``: run by systemd, from the next start of the machine on."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import click

from alicia_scheduler.cli.configured import load_checked
from alicia_scheduler.cli.output import fail
from alicia_scheduler.host.unit import UNIT_NAME, Unit

__all__ = ["service"]

SYSTEM_UNITS = Path("/etc/systemd/system")
SYSTEMD_RUNS = Path("/run/systemd/system")


@click.group()
def service() -> None:
    """Run under systemd."""


@service.command("install")
@click.argument("config", type=click.Path(path_type=Path))
@click.option(
    "--as",
    "user",
    help="System user who runs the host [default: the owner of the state directory, else alicia].",
)
@click.option(
    "--own", is_flag=True, help="A unit of your own (systemctl --user); needs no rights of root."
)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where units are kept [default: /etc/systemd/system, or yours with --own].",
)
@click.option("--print", "print_only", is_flag=True, help="Print the unit and write nothing.")
def install(
    config: Path, user: str | None, own: bool, directory: Path | None, print_only: bool
) -> None:
    """Write a hardened systemd unit that runs the configuration file CONFIG.

    It is written anew if it is there already; your drop-ins (systemctl edit) stay.
    """
    configuration, _, _ = load_checked(str(config))
    unit = Unit(
        program=_program(),
        config=config.resolve(),
        state_dir=configuration.state_dir,
        user=None if own else user or _owner(configuration.state_dir),
        drain_timeout=configuration.settings.drain_timeout,
    )
    if print_only:
        click.echo(unit.text(), nl=False)
        return
    path = _folder(own, directory) / UNIT_NAME
    if not unit.makes_state_directory:
        _make_state_directory(unit)
    _write(path, unit.text())
    click.echo(f"written: {path}")
    _reload_systemd(own, directory)
    manager = "systemctl --user" if own else "systemctl"
    if unit.user and not _exists(unit.user):
        click.echo(f"first make its user: useradd --system --user-group {unit.user}")
    click.echo(f"start it now and at each boot: {manager} enable --now alicia-scheduler")


@service.command("uninstall")
@click.option("--own", is_flag=True, help="The unit of your own (systemctl --user).")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), hidden=True)
def uninstall(own: bool, directory: Path | None) -> None:
    """Stop the unit and remove it. Configuration, state and drop-ins stay."""
    path = _folder(own, directory) / UNIT_NAME
    if not path.exists():
        fail(f"there is no {path}")
    _systemctl(own, directory, "disable", "--now", UNIT_NAME)
    try:
        path.unlink()
    except OSError as error:
        fail(f"{path} could not be removed: {error.strerror}")
    click.echo(f"removed: {path}")
    _reload_systemd(own, directory)


def _program() -> Path:
    """The ``alicia`` that runs now, as systemd can start it again."""
    beside = Path(sys.executable).parent / "alicia"
    found = str(beside) if beside.exists() else shutil.which("alicia")
    if found is None:
        fail("the program alicia is not on PATH; run this command by its full path")
    return Path(found).absolute()


def _owner(state_dir: Path) -> str:
    """Who owns the state directory, unless that is root: a host needs no rights of root."""
    try:
        status = state_dir.stat()
        return pwd.getpwuid(status.st_uid).pw_name if status.st_uid else "alicia"
    except (OSError, KeyError):
        return "alicia"


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def _folder(own: bool, directory: Path | None) -> Path:
    if directory is not None:
        return directory
    if not own:
        return SYSTEM_UNITS
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "systemd/user"


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(text)
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True) if beside.parent.is_dir() else None
        fail(
            f"{path} could not be written: {error.strerror}; as root it can, "
            "or write a unit of your own with --own"
        )


def _make_state_directory(unit: Unit) -> None:
    """The directory must be there: the unit can write in it alone, so not beside it."""
    if unit.state_dir.exists():
        return
    try:
        unit.state_dir.mkdir(mode=0o700, parents=True)
        if unit.user and _exists(unit.user):
            shutil.chown(unit.state_dir, unit.user)
    except OSError as error:
        fail(f"the state directory {unit.state_dir} could not be made: {error.strerror}")


def _reload_systemd(own: bool, directory: Path | None) -> None:
    _systemctl(own, directory, "daemon-reload")


def _systemctl(own: bool, directory: Path | None, *arguments: str) -> None:
    """Tell the running systemd, if it is ours to tell: not in a container or an image build."""
    program = shutil.which("systemctl")
    if program is None or directory is not None or not SYSTEMD_RUNS.exists():
        return
    command = [program, *(["--user"] if own else []), *arguments]
    done = subprocess.run(  # noqa: S603 - the program and its arguments are ours
        command, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        click.echo(f"warning: {' '.join(command[1:])}: {done.stderr.strip()}", err=True)
