"""``alicia plugins new``: a first plugin, from the template that comes with this package."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from alicia_scheduler.api import ConfigError
from alicia_scheduler.plugintemplate import KINDS, LICENCES, Answers, render, write

__all__ = ["new_plugin"]


@click.command("new")
@click.argument("name")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="What it brings.")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="Folder of the project.")
@click.option("--distribution", help="What pip installs. Default: alicia-NAME.")
@click.option("--description", help="What it does, in a line.")
@click.option("--author", help="Who writes it.")
@click.option("--licence", type=click.Choice(LICENCES), help="Private: it is never published.")
@click.option("--source", help="Git address of the template, for a later 'copier update'.")
@click.option("--yes", is_flag=True, help="Ask nothing: take the default of what is not given.")
def new_plugin(
    name: str,
    kinds: tuple[str, ...],
    folder: Path | None,
    distribution: str | None,
    description: str | None,
    author: str | None,
    licence: str | None,
    source: str | None,
    *,
    yes: bool,
) -> None:
    """Make a new plugin NAME: a whole project that works, to change from there.

    NAME is the first half of its types' names: the action of "lamp" is lamp.send. --kind may be
    given several times. Nothing is fetched from anywhere.
    """
    given = {
        "distribution": distribution,
        "description": description,
        "author": author,
        "licence": licence,
    }
    try:
        answers = _asked(Answers(plugin=name, kinds=kinds or ("action",)), kinds, given, yes=yes)
        files = render(answers, version=version("alicia-scheduler"), source=source)
        folder = folder or Path(answers.distribution)
        write(files, folder)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    except ImportError as error:
        raise click.ClickException(
            "the template needs Jinja2: pip install 'alicia-scheduler[testing]'"
        ) from error
    except OSError as error:
        raise click.ClickException(f"the project cannot be written: {error}") from error
    click.echo(f"{folder}: {len(files)} files, {', '.join(answers.kinds)}. What comes next:")
    click.echo(f"  cd {folder}\n  pip install -e '.[test]'\n  pytest\n  alicia plugins list")


def _asked(
    defaults: Answers, kinds: tuple[str, ...], given: dict[str, str | None], *, yes: bool
) -> Answers:
    """The answers: what is given, what somebody types, and the defaults."""
    answers: dict[str, Any] = {name: text for name, text in given.items() if text is not None}
    if not yes:
        if not kinds:
            typed = click.prompt(f"Kinds ({', '.join(KINDS)})", default="action")
            kinds = tuple(dict.fromkeys(typed.replace(",", " ").split()))
        for question in given:
            if question not in answers:
                # What was answered before may be part of the default.
                default = getattr(Answers(plugin=defaults.plugin, **answers), question)
                choice = click.Choice(LICENCES) if question == "licence" else None
                answers[question] = click.prompt(
                    question.capitalize(), default=default, type=choice
                )
    return Answers(plugin=defaults.plugin, kinds=kinds or defaults.kinds, **answers)
