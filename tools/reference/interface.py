"""Pages about ``alicia_scheduler.api``: every public name with its docstring, fields and members."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec
from tools.reference.docstrings import attributes, flat, prose_of

import alicia_scheduler.api

__all__ = ["PAGES", "interface_pages", "public_names"]

PAGES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "hooks.md": (
        "Hooks and descriptors",
        "A plugin implements the hooks it needs, as plain functions marked with `@hookimpl` in the "
        "module that its entry point in the group `alicia_scheduler.plugins` names. Each yields "
        "descriptors, does no I/O, and may leave out `info`. "
        "[The first plugin](../tutorial/first-plugin.md) shows one whole.",
        ("hookspecs", "descriptors"),
    ),
    "contracts.md": (
        "Contracts",
        "What runs: the objects that descriptors open, what the host hands to them, and what "
        "services provide to each other. All are protocols, so a plugin's class needs no base. "
        "What waits is `async`, runs on trio, and must let `trio.Cancelled` pass.",
        ("contracts", "control", "completion", "mqtt", "store"),
    ),
    "model.md": (
        "Data model",
        "Fields have the same names in JSON, TOML, on the command line and in Python. Instants are "
        "epoch seconds on the wire and aware UTC datetimes in Python; durations are seconds.",
        ("model",),
    ),
    "errors.md": (
        "Errors",
        "What is raised on purpose, the codes of refused commands, and how the command line exits.",
        ("errors",),
    ),
    "wall-time.md": (
        "Wall time",
        "For schedule types: from readings of a wall clock to instants and back, with daylight "
        "saving by rule.",
        ("walltime", "zones"),
    ),
}
"""Each page: its title, what it begins with, and the modules of the API that it is about."""

PLAIN = ("<class 'inspect._empty'>", "<factory>")


def public_names(module: ModuleType) -> list[str]:
    """What a module of the API offers, and does not only pass on."""
    names = list(module.__all__)
    if module.__name__.endswith(".hookspecs"):
        # The hooks themselves are called by pluggy and imported by nobody.
        names += [name for name in vars(module) if name.startswith("alicia_")]
    return [name for name in names if not _passed_on(getattr(module, name), module)]


def _passed_on(thing: Any, module: ModuleType) -> bool:
    home = str(getattr(thing, "__module__", ""))
    return home.startswith("alicia_scheduler.") and home != module.__name__


def interface_pages() -> dict[str, str]:
    """Every page about the API.

    Raises:
        LookupError: a module of the API is on no page.
    """
    there = {module.name for module in pkgutil.iter_modules(alicia_scheduler.api.__path__)}
    paged = {module for _, _, modules in PAGES.values() for module in modules}
    lost = {name for name in there - paged if not name.startswith("_")}
    if lost:
        raise LookupError(f"modules of the API on no page of {__name__}.PAGES: {sorted(lost)}")
    return {name: _page(*page) for name, page in PAGES.items()}


def _page(title: str, introduction: str, modules: tuple[str, ...]) -> str:
    parts = [f"# {title}", introduction]
    for name in modules:
        if importlib.util.find_spec(f"alicia_scheduler.api.{name}") is None:
            continue
        module = importlib.import_module(f"alicia_scheduler.api.{name}")
        names = public_names(module)
        if name == "hookspecs":
            names.sort(key=lambda each: not each.startswith("alicia_"))
        for public in names:
            parts += _section(public, getattr(module, public), module)
    return "\n\n".join(parts)


def _section(name: str, thing: Any, module: ModuleType) -> Iterator[str]:
    yield f"## {name}"
    if not (inspect.isclass(thing) or inspect.isfunction(thing)):
        yield f"`{module.__name__}.{name}`"
        yield _meaning_of_constant(name, module)
        return
    prose = prose_of(thing)
    if inspect.isfunction(thing):
        yield _signature(name, thing)
    yield prose.text or _meaning_of_constant(name, module)
    yield from _arguments(prose.sections)
    if inspect.isclass(thing):
        if issubclass(thing, enum.Enum):
            yield _choices(thing)
        else:
            yield from _fields(thing)
        yield from _members(name, thing)


def _meaning_of_constant(name: str, module: ModuleType) -> str:
    """The string that stands below an assignment, or what a marker of pluggy's is for."""
    if name == "hookimpl":
        return "Marks a function of a plugin as the implementation of the hook it is named after."
    if name == "hookspec":
        return "Marks a hook of the host. Plugins need it not."
    found = re.search(rf'(?ms)^{name}(?::[^\n]*?)? = .*?\n"""(.*?)"""', inspect.getsource(module))
    if found:
        return flat(found[1])
    return f"`{getattr(module, name)!r}`"


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    word = "async def" if inspect.iscoroutinefunction(function) else "def"
    text = str(signature).replace("(self, ", "(").replace("(self)", "()")
    # Annotations are strings, which a signature shows in quotes.
    return f"```text\n{word} {name}{text.replace(chr(39), '')}\n```"


def _arguments(sections: dict[str, list[tuple[str, str]]]) -> Iterator[str]:
    for section, items in sections.items():
        if section == "Attributes":
            continue
        title = {"Args": "Arguments", "Returns": "Answers"}.get(section, section)
        if len(items) == 1 and not items[0][0]:
            yield f"{title}: {items[0][1]}"
        else:
            yield f"{title}:\n\n" + "\n".join(f"- `{name}`: {text}" for name, text in items)


def _choices(kind: type[enum.Enum]) -> str:
    meanings = attributes(kind) | _texts_below(kind)
    rows = "\n".join(f"| `{each.value}` | {_upper(meanings.get(each.name, ''))} |" for each in kind)
    if not any(each.name in meanings for each in kind):
        return "Values: " + ", ".join(f"`{each.value}`" for each in kind) + "."
    return f"| value | meaning |\n| --- | --- |\n{rows}"


def _texts_below(kind: type[Any]) -> dict[str, str]:
    source = inspect.cleandoc(inspect.getsource(kind).partition("\n")[2])
    return {
        name: flat(text)
        for name, text in re.findall(r'(?ms)^\s*(\w+) = [^\n]+\n\s*"""(.*?)"""', source)
    }


def _fields(cls: type[Any]) -> Iterator[str]:
    defaults = _defaults(cls)
    meanings = attributes(cls)
    if not defaults and not meanings:
        return
    types = {name: kind for base in reversed(cls.__mro__) for name, kind in _annotations(base)}
    rows = []
    for name in dict.fromkeys((*defaults, *meanings)):
        kind = f"`{_type(types[name])}`" if name in types else ""
        default = defaults.get(name, "")
        rows.append(f"| `{name}` | {kind} | {default} | {_upper(meanings.get(name, ''))} |")
    yield "| field | type | default | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows)


def _annotations(base: type[Any]) -> Iterator[tuple[str, Any]]:
    yield from vars(base).get("__annotations__", {}).items()


def _defaults(cls: type[Any]) -> dict[str, str]:
    """The default of each field, in Markdown; ``required`` when it has none."""
    if issubclass(cls, msgspec.Struct):
        return {
            field.name: _default(field.default, field.default_factory, msgspec.NODEFAULT)
            for field in msgspec.structs.fields(cls)
        }
    if dataclasses.is_dataclass(cls):
        return {
            field.name: _default(field.default, field.default_factory, dataclasses.MISSING)
            for field in dataclasses.fields(cls)
        }
    return {}


def _default(value: Any, factory: Any, missing: Any) -> str:
    if value is not missing:
        return f"`{value.value!r}`" if isinstance(value, enum.Enum) else f"`{value!r}`"
    return "required" if factory is missing else f"`{factory()!r}`"


def _members(name: str, cls: type[Any]) -> Iterator[str]:
    """The methods and properties of a class that say what they are for."""
    for member, thing in vars(cls).items():
        if member.startswith("_"):
            continue
        function = getattr(thing, "__func__", None) or getattr(thing, "fget", None) or thing
        if not inspect.isfunction(function) or not function.__doc__:
            continue
        prose = prose_of(function)
        yield f"### {name}.{member}"
        if isinstance(thing, property):
            kind = function.__annotations__.get("return", "")
            yield f"`{_type(kind)}`" if kind else ""
        else:
            yield _signature(member, function)
        yield prose.text
        yield from _arguments(prose.sections)


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    return re.sub(r"\s+", " ", text).replace("|", r"\|")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
