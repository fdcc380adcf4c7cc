"""What the sources say that no import shows: which notifications are emitted, with which keys,
and which words tell errors apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["emitted_keys", "emitted_types", "error_classes", "refusal_codes", "trouble_classes"]

ROOT = Path(__file__).parents[2]
TELLERS = {"emit", "Told", "about_event"}
EVENT_TYPE = re.compile(r"(event|execution|scheduler|host)_[a-z_]*(ed|ing|out|output)")
"""What else in the kernel and the host is an event type, where it goes through a variable."""


def emitted_types() -> set[str]:
    """Every ``event_type`` that the sources can emit."""
    return {name for name, _ in _told()} | {
        node.value
        for room in ("kernel", "host")
        for tree in _trees(f"core/src/alicia_scheduler/{room}")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and EVENT_TYPE.fullmatch(node.value)
    }


def emitted_keys() -> dict[str, set[str]]:
    """The keys of the data of each type that is emitted with a table in place; those that are
    spread into it are not among them."""
    found: dict[str, set[str]] = {}
    for name, data in _told():
        if isinstance(data, ast.Dict):
            keys = {key.value for key in data.keys if isinstance(key, ast.Constant)}
            found.setdefault(name, set()).update(map(str, keys))
    return found


def error_classes() -> dict[str, set[str]]:
    """Each ``error_class`` of a failed execution that a literal names, with who uses it."""
    found: dict[str, set[str]] = {}
    for project in ("core", *(f"plugins/{path.name}" for path in (ROOT / "plugins").iterdir())):
        owner = "core" if project == "core" else project.partition("/")[2]
        for tree in _trees(f"{project}/src"):
            for name in _classes(tree):
                found.setdefault(name, set()).add(owner)
    return found


def refusal_codes() -> set[str]:
    """Every code of a refused command that the sources of the core name."""
    found = _calls({"CommandError"})
    return {name for call in found if call.args for name in _texts(call.args[0])}


def trouble_classes() -> set[str]:
    """Every ``class`` of a notification ``error``."""
    kinds = {
        name
        for call in _calls({"error", "about_error"})
        for keyword in call.keywords
        if keyword.arg == "kind"
        for name in _texts(keyword.value)
    }
    tables = [data for name, data in _told() if name == "error" and isinstance(data, ast.Dict)]
    for table in tables:
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == "class":
                kinds.update(_texts(value))
    return kinds


def _calls(names: set[str]) -> Iterator[ast.Call]:
    for tree in _trees("core/src/alicia_scheduler"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if called in names:
                    yield node


def _classes(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "error_class":
            yield from _texts(node.value)
        elif isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if names & {"default_class", "error_class"}:
                yield from _texts(node.value)
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "default_class":
            yield from _texts(node.value or ast.Constant(None))


def _texts(node: ast.expr) -> Iterator[str]:
    branches = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    for branch in branches:
        if isinstance(branch, ast.Constant) and isinstance(branch.value, str):
            yield branch.value


def _told() -> Iterator[tuple[str, ast.expr | None]]:
    for call in _calls(TELLERS):
        for name in _texts(call.args[0]) if call.args else ():
            yield name, call.args[1] if len(call.args) > 1 else None


def _trees(folder: str) -> Iterator[ast.Module]:
    for module in sorted((ROOT / folder).rglob("*.py")):
        if "testing" not in module.parts:
            yield ast.parse(module.read_text("utf-8"))
