"""Whoever writes a plugin sees the type of every name, with any type checker: nothing in
``alicia_scheduler.api`` is left to be inferred. ``make types`` asks pyright for the same."""

import ast
from pathlib import Path

import pytest

API = Path(__file__).parents[1] / "core/src/alicia_scheduler/api"

PLAIN = (ast.Constant, ast.Name, ast.Attribute, ast.JoinedStr)
"""What every type checker infers alike."""


def public(name):
    return not name.startswith("_")


def untyped(source):
    """The public names, as ``name`` or ``Class.name``, whose type is left to be inferred."""
    found = []
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.Assign) and not _is_type_variable(node.value):
            found += _inferred(node)
    for cls in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        told = {each.target.id for each in cls.body if isinstance(each, ast.AnnAssign)}
        enum = any("Enum" in ast.unparse(base) for base in cls.bases)
        for node in () if enum else cls.body:
            if isinstance(node, ast.Assign):
                # A subclass may give an attribute another value, but a new one needs its type.
                found += [f"{cls.name}.{target.id}" for target in node.targets if not cls.bases]
        for node in ast.walk(cls):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
                target = node.targets[0]
                if public(target.attr) and target.attr not in told:
                    found += [] if isinstance(node.value, PLAIN) else [f"{cls.name}.{target.attr}"]
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
            public(node.name) or node.name == "__init__"
        ):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            every += [each for each in (node.args.vararg, node.args.kwarg) if each]
            bare = [a.arg for a in every if a.annotation is None and a.arg not in ("self", "cls")]
            found += [f"{node.name}({name})" for name in bare]
            found += [] if node.returns is not None else [f"{node.name}()"]
    return found


def _is_type_variable(value):
    return isinstance(value, ast.Call) and ast.unparse(value.func) in ("TypeVar", "ParamSpec")


def _inferred(node):
    if isinstance(node.value, (*PLAIN, ast.BinOp, ast.Subscript)):  # the latter two are aliases
        return []
    names = [each.id for each in node.targets if isinstance(each, ast.Name)]
    return [name for name in names if public(name) and not name.isupper()]  # constants are final


@pytest.mark.parametrize("module", sorted(path.name for path in API.glob("*.py")))
def test_the_type_of_every_public_name_of_the_api_is_written_down(module):
    assert untyped(API.joinpath(module).read_text()) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("hookimpl = Marker('x')", "hookimpl"),
        ("class A:\n    def __init__(self) -> None:\n        self.x = dict()", "A.x"),
        ("class A:\n    word = 'x'", "A.word"),
        ("def f(x) -> None: ...", "f(x)"),
        ("def f(): ...", "f()"),
    ],
)
def test_a_name_without_a_type_is_found(source, name):
    assert untyped(source) == [name]
