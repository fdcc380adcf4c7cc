"""Rules of what a plugin offers: its types, and their options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any, cast

from alicia_scheduler.config.shapes import Field, fields_of, forbids_unknown, is_object, metas_of
from alicia_scheduler.pluginchecks.rules import rule
from alicia_scheduler.pluginchecks.subject import Subject

LONGEST = 100
"""Most characters of a summary."""


@rule("ALP101", "Refuse options that do not exist")
def unknown_options(subject: Subject) -> Iterator[str]:
    for kind, item, options in _offers(subject):
        if not is_object(options) or not forbids_unknown(options):
            yield (
                f"the {kind} {item.name} takes options that do not exist: "
                f"make {options.__name__} a Struct with forbid_unknown_fields=True"
            )


@rule("ALP103", "Explain each option")
def explained(subject: Subject) -> Iterator[str]:
    for kind, item, options in _offers(subject):
        if not is_object(options):
            continue
        for field in fields_of(cast(Any, options)):
            if not _explained(options, field):
                yield (
                    f"the {kind} {item.name}: nothing explains {options.__name__}.{field.name}; "
                    "name it below 'Attributes:' in the docstring of the class"
                )


@rule("ALP104", "Say what each type is, in one line")
def summaries(subject: Subject) -> Iterator[str]:
    for kind, item, _ in _offers(subject):
        words = getattr(item, "summary", "")
        if not words.strip():
            yield f"the {kind} {item.name} has no summary: listings show it"
        elif "\n" in words or len(words) > LONGEST:
            yield f"the summary of {kind} {item.name} is no line of at most {LONGEST} characters"


@rule("ALP105", "Open with an async context manager")
def openers(subject: Subject) -> Iterator[str]:
    for kind, item, _ in _offers(subject):
        function = getattr(item, "open", None)
        if inspect.isasyncgenfunction(function):
            yield f"open of the {kind} {item.name} lacks @asynccontextmanager"
        elif inspect.iscoroutinefunction(function):
            yield (
                f"open of the {kind} {item.name} is a coroutine: "
                "give an async context manager (contextlib.asynccontextmanager)"
            )


@rule("ALP106", "Build schedules with a plain function")
def builders(subject: Subject) -> Iterator[str]:
    for kind, item, _ in _offers(subject):
        if inspect.iscoroutinefunction(getattr(item, "build", None)):
            yield f"build of the {kind} {item.name} is async: schedules never wait"


def _offers(subject: Subject) -> Iterator[tuple[str, Any, type[Any]]]:
    for plugin in subject.plugins:
        yield from plugin.offers()


def _explained(options: type[Any], field: Field) -> bool:
    if any(meta.description for meta in metas_of(field.annotation)):
        return True
    return any(
        re.search(rf"(^|[\s,`]){re.escape(field.name)}(`{{0,2}})(,[^:\n]*)?:", base.__doc__ or "")
        for base in options.__mro__
    )
