"""Rules of what is written about a plugin, and of its tests."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, cast

from alicia_scheduler.config.shapes import fields_of, is_object
from alicia_scheduler.pluginchecks.rules import rule
from alicia_scheduler.pluginchecks.subject import Subject

CONTRACTS = {
    "schedule type": "ScheduleContract",
    "action type": "ActionContract",
    "sink": "SinkContract",
    "service": "ServiceContract",
    "store": "StoreContract",
}
"""The class of the kit that tests a kind."""


@rule("ALP401", "Name each type in the README")
def types_in_readme(subject: Subject) -> Iterator[str]:
    for plugin in subject.plugins:
        for kind, item, _ in plugin.offers():
            if item.name not in subject.readme:
                yield f"the README does not name the {kind} {item.name}"


@rule("ALP402", "Name each option in the README")
def options_in_readme(subject: Subject) -> Iterator[str]:
    for plugin in subject.plugins:
        for kind, item, options in plugin.offers():
            fields = fields_of(cast(Any, options)) if is_object(options) else ()
            missing = [each.key for each in fields if f"`{each.key}`" not in subject.readme]
            if missing:
                yield f"the README does not tell of {', '.join(missing)} of the {kind} {item.name}"


@rule("ALP501", "Test each kind with its contract from alicia_scheduler.testing")
def contracts(subject: Subject) -> Iterator[str]:
    if subject.tests is None:
        return
    bases = {
        ast.unparse(base).rpartition(".")[2]
        for tree in subject.tests
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    for plugin in subject.plugins:
        for kind, items in plugin.contributions.by_kind().items():
            contract = CONTRACTS.get(kind)
            if items and contract is not None and contract not in bases:
                yield f"no test subclasses {contract}, which tests what every {kind} keeps"
