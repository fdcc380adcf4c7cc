"""``include = ["events.d/*.toml"]``: further files, read as if they stood in the main one.

They lie in the directory of the main file or below it, whatever a link says, so that who may write
there is who may change what runs. What they hold is what comes in numbers: events, and what these
refer to by name. How the host runs, and whom it talks to, stays in the one main file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.wording import found, quote

__all__ = ["INCLUDE", "INCLUDED_TABLES", "merged", "read_included"]

INCLUDE = "include"
"""The key of the main file."""

INCLUDED_TABLES = ("events", "calendars", "limits", "secrets")
"""The tables that an included file may hold."""

MOST_FILES = 1000


def read_included(main: Document, issues: list[ConfigError]) -> list[Document]:
    """The files that a document includes, in order of the patterns and then of their names.

    Mistakes are added to ``issues``: a pattern that leads out of the directory, a file that is
    missing or cannot be read. A pattern with ``*``, ``?`` or ``[`` may match nothing.
    """
    documents: list[Document] = []
    for path in _files(main, issues):
        if len(documents) == MOST_FILES:
            message = f"more than {MOST_FILES} files are included"
            issues.append(ConfigError(message, path=(INCLUDE,), hint="join some of them"))
            break
        try:
            documents.append(Document.load(path))
        except ConfigError as error:
            issues.append(error)
    return documents


def merged(
    main: Document, included: Sequence[Document], issues: list[ConfigError]
) -> dict[str, Any]:
    """The tables of all files as one document's. A name that two files define is a mistake of the
    later one, and a table that belongs into the main file is one too."""
    data = dict(main.data)
    data.pop(INCLUDE, None)
    for document in included:
        for group, tables in document.data.items():
            if group not in INCLUDED_TABLES:
                what = "table" if isinstance(tables, dict) else "key"
                _refuse(document, (group,), f"the {what} {quote(group)} is not read here", issues)
            elif not isinstance(tables, dict):
                _refuse(document, (group,), f"must be a table, not {found(tables)}", issues)
            else:
                _join(data, document, group, tables, (main, *included), issues)
    return data


def _refuse(
    document: Document, path: tuple[str, ...], message: str, issues: list[ConfigError]
) -> None:
    hint = f"an included file holds {', '.join(INCLUDED_TABLES)}; the rest is the main file's"
    issue = ConfigError(message, path=path, hint=hint)
    issues.append(issue.located(document.name, document.line_of(path)))


def _join(
    data: dict[str, Any],
    document: Document,
    group: str,
    tables: dict[str, Any],
    documents: Sequence[Document],
    issues: list[ConfigError],
) -> None:
    known = data.get(group, {})
    if not isinstance(known, dict):
        return  # said where it is written
    joined = dict(known)
    for name, table in tables.items():
        if name not in joined:
            joined[name] = table
            continue
        first = next(each for each in documents if each.defines((group, name)))
        place = f"{first.name}:{first.line_of((group, name))}"
        issue = ConfigError(
            f"{group}.{name} is defined already at {place}",
            path=(group, name),
            hint="remove one of the two, or give it another name",
        )
        issues.append(issue.located(document.name, document.line_of((group, name))))
    data[group] = joined


def _files(main: Document, issues: list[ConfigError]) -> Iterator[Path]:
    folder = Path(main.name).parent
    seen: set[Path] = set()
    for index, pattern in enumerate(_patterns(main, issues)):
        place = (INCLUDE, index)
        parts = PurePosixPath(pattern).parts
        if pattern.startswith(("/", "~")) or ".." in parts or "\0" in pattern:
            message = f"{quote(pattern)} leads out of the configuration's directory"
            hint = 'name files below it, as "events.d/*.toml"'
            issues.append(ConfigError(message, path=place, hint=hint))
            continue
        many = any(character in pattern for character in "*?[")
        matches = sorted(path for path in folder.glob(pattern) if path.is_file()) if many else []
        for path in matches if many else [folder / pattern]:
            name = path.relative_to(folder)
            if not path.resolve().is_relative_to(folder.resolve()):
                message = f"{name} is a link that leads out of the configuration's directory"
                hint = "put the file itself there"
                issues.append(ConfigError(message, path=place, hint=hint))
            elif path.resolve() == Path(main.name).resolve():
                if not many:
                    issues.append(ConfigError("a file does not include itself", path=place))
            elif path.resolve() not in seen:
                seen.add(path.resolve())
                yield path


def _patterns(main: Document, issues: list[ConfigError]) -> list[str]:
    raw = main.data.get(INCLUDE, [])
    if isinstance(raw, list) and all(isinstance(item, str) for item in raw):
        return raw
    hint = 'as include = ["events.d/*.toml"]'
    issues.append(ConfigError("must be a list of file names", path=(INCLUDE,), hint=hint))
    return []
