"""The template with answers becomes the files of a project, as copier would make them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from alicia_scheduler.plugintemplate.questions import Answers

__all__ = ["ANSWERS_FILE", "render", "write"]

PROJECT = Path(__file__).parent / "project"
SUFFIX = ".jinja"
ANSWERS_FILE = ".copier-answers.yml"
"""Where a project remembers its template and the answers; ``copier update`` reads it."""


def render(
    answers: Answers, *, version: str, source: str | None = None, template: Path = PROJECT
) -> dict[str, bytes]:
    """The content of each file of the project, by its path in it.

    Args:
        answers: to the questions.
        version: of the template, which is the core's.
        source: address of the git repository that newer versions of the template come from.
        template: folder of the template.

    Raises:
        ImportError: Jinja2 is not installed.
    """
    import jinja2

    # What copier sets too: the rest of its environment is Jinja's default.
    environment = jinja2.Environment(  # noqa: S701 - source text and no HTML
        keep_trailing_newline=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["to_nice_yaml"] = _yaml
    remembered = {"_commit": f"v{version}", "_src_path": source} if source is not None else {}
    names = {
        **answers.asked(),
        "package": answers.package,
        "_copier_conf": SimpleNamespace(answers_file=ANSWERS_FILE),
        "_copier_answers": {**remembered, **answers.asked()},
    }

    def text(template: str) -> str:
        return environment.from_string(template).render(names)

    files: dict[str, bytes] = {}
    for path in sorted(template.rglob("*")):
        if path.is_dir():
            continue
        name = text(path.relative_to(template).as_posix().removesuffix(SUFFIX))
        if name.endswith("/"):
            continue  # of a kind that was not chosen
        content = path.read_bytes()
        files[name] = text(content.decode()).encode() if path.suffix == SUFFIX else content
    return files


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Make a project of its files.

    Raises:
        FileExistsError: there is something in the folder already.
        OSError: it cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists and is not empty")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _yaml(values: Mapping[str, Any]) -> str:
    """Texts and lists of texts as YAML, of which JSON's strings are a part."""
    lines = []
    for key in sorted(values):
        value = values[key]
        if isinstance(value, list):
            lines += [f"{key}:", *(f"    - {json.dumps(each)}" for each in value)]
        else:
            lines.append(f"{key}: {json.dumps(value)}")
    return "\n".join(lines)
