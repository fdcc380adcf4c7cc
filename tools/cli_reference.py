"""Writes docs/reference/cli.md from the commands themselves; with --check only compares.

A test runs the comparison, so the page is never out of step.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from alicia_scheduler.cli.main import main

PAGE = Path(__file__).parent.parent / "docs/reference/cli.md"

HEAD = """\
# The command line

<!-- Made by tools/cli_reference.py from the commands themselves. Change them, then run
`make reference`. -->

Exit codes: 0 ok, 1 the answer is no, 2 wrong usage, 3 no host answers.

Every verb that speaks to a host finds it by `--state-dir` or by the `state_dir` of `--config`
(the variables `ALICIA_STATE_DIR` and `ALICIA_CONFIG`; `./state` without either): its Unix socket is
in there. A host elsewhere is named by `--url` (`ALICIA_URL`), with a token in `ALICIA_TOKEN` or a
`--token-file`; `alicia tokens create` makes one.

`--json` prints what the command of the host answers, as its JSON Schema describes it. `events
list` and `executions list` print the list alone, `events show` and `executions show` the one
object. A refusal is the object `error` with `code`, `message`, `hint`, `path` and `details`, as
every door gives it, and exit code 1; its sentence is on standard error as well. Times in JSON are
epoch seconds. For people times are shown as
`in 5 min (2026-11-27 18:00:00+01:00)`, in the zone of the terminal. Colour and tables as wide as
the window come on a terminal only, no colour where `NO_COLOR` is set; a pipe gets plain columns.
"""


def page() -> str:
    """The whole page."""
    context = click.Context(main, info_name="alicia")
    return HEAD + "".join(_group(main, context, "alicia"))


def _group(group: click.Group, context: click.Context, path: str) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield f"\n## {path} {name}\n\n{_prose(command.help or '')}\n"
            yield from _group(command, inner, f"{path} {name}")
        else:
            yield _command(command, inner, f"{path} {name}")


def _command(command: click.Command, context: click.Context, path: str) -> str:
    level = "##" if path.count(" ") == 1 else "###"
    usage = " ".join([path, *command.collect_usage_pieces(context)])
    lines = [f"\n{level} {path}\n\n```text\n{usage}\n```\n\n{_prose(command.help or '')}\n"]
    rows = [_option(item, context) for item in command.get_params(context)]
    table = [row for row in rows if row is not None]
    if table:
        lines.append("\n| option | meaning |\n| --- | --- |\n")
        lines += [f"| {names} | {meaning} |\n" for names, meaning in table]
    return "".join(lines)


def _option(item: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    record = item.get_help_record(context)
    if record is None or "--help" in item.opts or not record[1]:
        return None
    names, meaning = record
    return f"`{names}`".replace("|", "\\|"), " ".join(meaning.split()).replace("|", "\\|")


def _prose(text: str) -> str:
    """click's help text as Markdown: what is not to be re-wrapped there is code here."""
    paragraphs = []
    for paragraph in map(inspect.cleandoc, re.split(r"\n\s*\n", inspect.cleandoc(text))):
        if paragraph.startswith("\b"):
            lines = [line.strip() for line in paragraph.splitlines()[1:]]
            paragraphs.append("```text\n" + "\n".join(lines) + "\n```")
        else:
            paragraphs.append("\n".join(line.strip() for line in paragraph.splitlines()))
    return "\n\n".join(paragraphs)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text() != page())
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
