"""``alicia import``: schedules of other programs as events."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.cli.crontab import Crontab, Entry, Problem, read_crontab
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.output import EXIT_NO, complain, fail, json_option, print_json, printable
from alicia_scheduler.cli.tomltext import toml_key, toml_lines

if TYPE_CHECKING:
    from alicia_scheduler.config.load import Configuration

__all__ = ["import_group"]

MAX_BYTES = 4 * 1024 * 1024

SHELL_NOTE = """\
# Some of these commands need a shell. The host's own configuration has to allow that:
#     [plugins.action-script]
#     shell = true
"""


@click.group("import")
def import_group() -> None:
    """Turn schedules of other programs into events."""


@import_group.command("crontab")
@click.argument("file", type=click.Path())
@click.option("--system", is_flag=True, help="Each line names a user, as in /etc/crontab.")
@click.option("--add", is_flag=True, help="Create the events in the running host.")
@click.option("--output", type=click.Path(), help="Write the TOML to this new file.")
@door_options
@json_option
def import_crontab(
    file: str, system: bool, add: bool, output: str | None, door: Door, as_json: bool
) -> None:
    """Turn the crontab FILE (or - for standard input) into events, as TOML.

    \b
    crontab -l | alicia import crontab - --output events.d/crontab.toml
    alicia import crontab /etc/crontab --system --add

    Each line that cannot be taken over is named on standard error with the reason, and the exit
    code is 1 then; all the others are written. With --add the running host gets them.
    """
    if add and output:
        raise click.UsageError("give --add or --output, not both")
    crontab = _read(file, system)
    _check(crontab)
    done: list[str] = [entry.event["event_id"] for entry in crontab.entries]
    if add:
        done = _create(crontab, door)
    elif output is not None:
        _write(Path(output), _toml(crontab, file))
    if as_json:
        print_json(
            {
                "events": [
                    {"line": entry.line, **entry.event}
                    for entry in crontab.entries
                    if entry.event["event_id"] in done
                ],
                "problems": [
                    {"line": problem.line, "text": _clean(problem.text), "why": problem.why}
                    for problem in crontab.problems
                ],
            }
        )
    elif add:
        for event_id in done:
            click.echo(f"{event_id}: created")
    elif output is not None:
        click.echo(f"{output}: {len(done)} {'event' if len(done) == 1 else 'events'}")
    else:
        click.echo(_toml(crontab, file), nl=False)
    for problem in sorted(crontab.problems, key=lambda found: found.line):
        complain(f"{printable(file)}, {printable(str(problem))}")
    if crontab.problems:
        sys.exit(EXIT_NO)


def _read(file: str, system: bool) -> Crontab:
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        fail(f"{file} cannot be read: {error}")
    if len(raw) > MAX_BYTES:
        fail(f"{file} is larger than {MAX_BYTES // 1024 // 1024} MiB: is it a crontab?")
    text = raw.decode("utf-8", "surrogateescape")
    return read_crontab(text, system=system, home=_home(), home_of=_home_of)


def _home() -> str | None:
    try:
        return str(Path.home())
    except RuntimeError:
        return None


def _home_of(user: str) -> str | None:
    import pwd

    try:
        return pwd.getpwnam(user).pw_dir
    except (KeyError, ValueError, UnicodeError):
        return None


def _check(crontab: Crontab) -> None:
    """Hold the events against the installed types; what these refuse becomes a problem."""
    from alicia_scheduler.config.document import Document
    from alicia_scheduler.config.load import configuration
    from alicia_scheduler.host.check import check_configuration
    from alicia_scheduler.host.discovery import find_candidates
    from alicia_scheduler.host.loader import load_plugins
    from alicia_scheduler.host.registry import Registry

    text = "[plugins.action-script]\nshell = true\n" + "".join(map(_table, crontab.entries))
    loaded: Configuration = configuration(Document.parse(text))
    registry = Registry(load_plugins(find_candidates()))
    checked = check_configuration(loaded, registry, now=datetime.now(UTC))
    for sentence in sorted({said.partition(": ")[2] for said in checked.unresolved}):
        complain(f"warning: {sentence}")
    refused: dict[str, str] = {}
    for issue in checked.issues:
        if issue.path[:1] == ("events",) and len(issue.path) > 1:
            field = ".".join(map(str, issue.path[2:]))
            hint = f" ({issue.hint})" if issue.hint else ""
            refused.setdefault(str(issue.path[1]), f"{field}: {issue.message}{hint}")
    _take_out(crontab, refused)


def _create(crontab: Crontab, door: Door) -> list[str]:
    """Create the events in the host; which it took."""
    done: list[str] = []
    refused: dict[str, str] = {}
    with click.progressbar(
        crontab.entries, label="creating", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as entries:
        for entry in entries:
            event_id = entry.event["event_id"]
            try:
                door.answer("events/create", event=entry.event)
            except CommandError as error:
                refused[event_id] = str(error)
            else:
                done.append(event_id)
    _take_out(crontab, refused)
    return done


def _take_out(crontab: Crontab, refused: dict[str, str]) -> None:
    for entry in list(crontab.entries):
        why = refused.get(entry.event["event_id"])
        if why is not None:
            crontab.entries.remove(entry)
            crontab.problems.append(Problem(entry.line, entry.text, why))


def _toml(crontab: Crontab, file: str) -> str:
    source = "a crontab" if file == "-" else printable(file)
    head = f"# Made from {source} by `alicia import crontab`.\n"
    if any(entry.event["action"].get("shell") for entry in crontab.entries):
        head += SHELL_NOTE
    return head + "".join(map(_table, crontab.entries))


def _table(entry: Entry) -> str:
    fields: dict[str, Any] = {
        key: value for key, value in entry.event.items() if key not in ("event_id", "action")
    }
    key = toml_key(entry.event["event_id"])
    lines = [f"\n# {printable(entry.text.strip())}", f"[events.{key}]", *toml_lines(fields)]
    lines += [f"\n[events.{key}.action]", *toml_lines(entry.event["action"])]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        fail(f"{path} is there already, and is left as it is; choose another name")
    except OSError as error:
        fail(f"{path} cannot be written: {error}")


def _clean(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
