"""Rules of the distribution: that it loads, and what its metadata says."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from alicia_scheduler.pluginchecks.rules import rule
from alicia_scheduler.pluginchecks.subject import Subject

CORE = "alicia-scheduler"

PRIVATE = "Private :: Do Not Upload"
"""The classifier by which package indexes refuse a distribution; it needs no licence."""


@rule("ALP001", "Be importable")
def importable(subject: Subject) -> Iterator[str]:
    for plugin in subject.plugins:
        if plugin.import_problem is not None:
            value = plugin.candidate.entry_point.value
            yield f"importing {value} fails: {plugin.import_problem}"


@rule("ALP002", "Have hooks that the host knows, with their signatures")
def hooks(subject: Subject) -> Iterator[str]:
    for plugin in subject.plugins:
        if plugin.hook_problem is not None:
            yield f"plugin {plugin.name}: {plugin.hook_problem}"


@rule("ALP003", "Offer types under names of your own namespace, each once")
def accepted(subject: Subject) -> Iterator[str]:
    for plugin in subject.plugins:
        if plugin.refusal is not None:
            yield f"plugin {plugin.name}: {plugin.refusal}"


@rule("ALP004", "Offer something")
def something(subject: Subject) -> Iterator[str]:
    for plugin in subject.plugins:
        whole = not (plugin.import_problem or plugin.hook_problem or plugin.refusal)
        offered = plugin.contributions
        if whole and not any(offered.by_kind().values()) and not offered.commands:
            yield f"plugin {plugin.name} offers no type and no command: yield one from a hook"


@rule("ALP201", "Say under which licence it may be used")
def licence(subject: Subject) -> Iterator[str]:
    found = [subject.metadata.get("License-Expression"), subject.metadata.get("License")]
    classifiers = _all(subject, "Classifier")
    if not any(found) and not any(
        each == PRIVATE or each.startswith("License ::") for each in classifiers
    ):
        yield f"no licence is named: set license in [project], or the classifier {PRIVATE!r}"


@rule("ALP202", "Say which Python it needs")
def python(subject: Subject) -> Iterator[str]:
    if not subject.metadata.get("Requires-Python"):
        yield 'no Python is named: set requires-python = ">=3.11" in [project]'


@rule("ALP203", "Describe itself in a line")
def summary(subject: Subject) -> Iterator[str]:
    if not (subject.metadata.get("Summary") or "").strip():
        yield "it has no description: set description in [project]"


@rule("ALP204", "Ask for a range of the core, open within and closed at the next major")
def core_range(subject: Subject) -> Iterator[str]:
    for requirement in subject.requires:
        name, specifier = _split(requirement)
        if name != CORE:
            continue
        if "==" in specifier and "*" not in specifier:
            yield f"it asks for exactly {requirement}: give a range, so that both can move"
        elif not (">=" in specifier or "~=" in specifier or "==" in specifier):
            yield f"{requirement} has no lower bound: ask for >= what it was tested with"
        elif not ("<" in specifier or "~=" in specifier or "==" in specifier):
            yield f"{requirement} has no upper bound: add < the next major"
        return
    yield f'it does not require {CORE}: add "{CORE}>=0.1,<1" to dependencies'


@rule("ALP205", "Ship py.typed, so that type checkers read its types")
def typed(subject: Subject) -> Iterator[str]:
    for package in subject.packages:
        if package.is_dir() and not (package / "py.typed").is_file():
            yield f"{package.name}/py.typed is missing: add the empty file"


@rule("ALP206", "Require what it imports")
def required(subject: Subject) -> Iterator[str]:
    owners = metadata.packages_distributions()
    required = {_normal(_split(each)[0]) for each in subject.distribution.requires or ()}
    ours = {package.stem for package in subject.packages}
    told: set[str] = set()
    for source in subject.sources:
        for node in ast.walk(source.tree):
            for name in imports_of(node):
                top = name.partition(".")[0]
                known = {_normal(owner) for owner in owners.get(top, ())}
                wanted = top not in sys.stdlib_module_names and top not in ours and known
                if wanted and not known & {*required, _normal(subject.name)} and top not in told:
                    told.add(top)
                    owner = min(known)
                    yield f"{source.name} imports {top}, and {owner} is not among dependencies"


def imports_of(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module]
    return []


def _all(subject: Subject, key: str) -> list[str]:
    return subject.distribution.metadata.get_all(key) or []


def _split(requirement: str) -> tuple[str, str]:
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^]]*\])?\s*([^;]*)", requirement)
    return (_normal(match[1]), match[2]) if match else (requirement, "")


def _normal(name: str) -> str:
    """A distribution's name in its one spelling (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
