"""Rules of the code: what it imports, what its import does, and what its async functions call."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from alicia_scheduler.pluginchecks.packaging import imports_of
from alicia_scheduler.pluginchecks.rules import rule
from alicia_scheduler.pluginchecks.subject import Source, Subject

CORE = "alicia_scheduler"
PUBLIC = f"{CORE}.api"

IMPORT_LIMIT = 0.5
"""Seconds of processor time that an import may take: all plugins are imported at each start."""

BLOCKING = {
    "time.sleep": "trio.sleep",
    "os.system": "trio.run_process",
    "subprocess.run": "trio.run_process",
    "subprocess.call": "trio.run_process",
    "subprocess.check_call": "trio.run_process",
    "subprocess.check_output": "trio.run_process",
    "urllib.request.urlopen": "context.run_sync",
    "socket.create_connection": "trio.open_tcp_stream",
    "socket.getaddrinfo": "trio.socket.getaddrinfo",
    "sqlite3.connect": "context.run_sync",
    "smtplib.SMTP": "context.run_sync",
    "input": "nothing: the host has no terminal",
    **{
        f"requests.{verb}": "context.run_sync"
        for verb in ("get", "post", "put", "delete", "request")
    },
}
"""Calls that hold up the whole host, and what to use instead."""


@rule("ALP301", "Import nothing of the core but its api")
def private(subject: Subject) -> Iterator[str]:
    for source in subject.sources:
        for node in ast.walk(source.tree):
            for name in imports_of(node):
                inside = name == CORE or name.startswith(f"{CORE}.")
                if inside and name != PUBLIC and not name.startswith(f"{PUBLIC}."):
                    yield (
                        f"{_at(source, node)} imports {name}, which may change any day: "
                        f"use {PUBLIC}"
                    )


@rule("ALP302", "Be imported quickly")
def quick(subject: Subject) -> Iterator[str]:
    for plugin, imported in subject.imported:
        if imported.problem is None and imported.seconds > IMPORT_LIMIT:
            yield (
                f"importing {plugin.name} takes {imported.seconds:.2f} s of processor time; "
                f"{IMPORT_LIMIT} s is the most. Import heavy libraries in open() or build()"
            )


@rule("ALP303", "Do nothing when it is imported")
def idle(subject: Subject) -> Iterator[str]:
    for plugin, imported in subject.imported:
        for what in dict.fromkeys(imported.touched):
            yield f"importing {plugin.name} does {what}: leave that to open()"
        for name in imported.threads:
            yield f"importing {plugin.name} starts the thread {name!r}: leave that to open()"


@rule("ALP304", "Use asyncio by context.run_asyncio only")
def asyncio_on_trio(subject: Subject) -> Iterator[str]:
    # A plugin may run a loop of its own; then only what knows trio runs on trio.
    own_loop = any(_has_own_loop(source.tree) for source in subject.sources)
    for source in subject.sources:
        imported = {name for node in ast.walk(source.tree) for name in imports_of(node)}
        if own_loop and "trio" not in imported:
            continue
        handed_over = _handed_to(source.tree, "run_asyncio")
        for function in _async_functions(source.tree):
            if function.name in handed_over:
                continue
            for node, name in _calls(function):
                if name.startswith("asyncio."):
                    yield (
                        f"{_at(source, node)}: {function.name} calls {name}, which fails on trio: "
                        "use trio's own, or hand the function to context.run_asyncio"
                    )


def _has_own_loop(tree: ast.Module) -> bool:
    """Whether a module starts an asyncio loop, or makes a kind of its own."""
    loops = {"asyncio.run", "asyncio.Runner", "asyncio.new_event_loop"}
    bases = {
        ast.unparse(base)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for base in node.bases
    }
    return "asyncio.SelectorEventLoop" in bases or any(name in loops for _, name in _calls(tree))


@rule("ALP305", "Call nothing that blocks in an async function")
def blocking(subject: Subject) -> Iterator[str]:
    for source in subject.sources:
        names = _aliases(source.tree)
        for function in _async_functions(source.tree):
            for node, called in _calls(function):
                head, dot, rest = called.partition(".")
                name = names.get(head, head) + dot + rest
                if name in BLOCKING:
                    yield (
                        f"{_at(source, node)}: {function.name} calls {name}, which holds up the "
                        f"whole host: use {BLOCKING[name]}"
                    )


@rule("ALP306", "Let trio.Cancelled pass")
def cancelled(subject: Subject) -> Iterator[str]:
    for source in subject.sources:
        for function in _async_functions(source.tree):
            for node in _within(function):
                if not isinstance(node, ast.ExceptHandler):
                    continue
                caught = ast.unparse(node.type) if node.type is not None else "everything"
                broad = {"everything", "BaseException", "trio.Cancelled", "Cancelled"}
                if caught in broad and not any(isinstance(x, ast.Raise) for x in ast.walk(node)):
                    yield (
                        f"{_at(source, node)}: {function.name} catches {caught} and raises nothing:"
                        " catch Exception, or raise again"
                    )


@rule("ALP307", "Start tasks in nurseries of your own")
def detached(subject: Subject) -> Iterator[str]:
    for source in subject.sources:
        for node, name in _calls(source.tree):
            if name.endswith("spawn_system_task"):
                yield f"{_at(source, node)} starts a system task, which outlives everything"


def _at(source: Source, node: ast.AST) -> str:
    return f"{source.name}:{getattr(node, 'lineno', 1)}"


def _async_functions(tree: ast.AST) -> Iterator[ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            yield node


def _within(function: ast.AST) -> Iterator[ast.AST]:
    """What runs when the function does; functions within it run elsewhere."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield child
            yield from _within(child)


def _calls(function: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    nodes = ast.walk(function) if isinstance(function, ast.Module) else _within(function)
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            yield node, ast.unparse(node.func)


def _aliases(tree: ast.Module) -> dict[str, str]:
    """What names that were imported stand for."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname:
                    found[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def _handed_to(tree: ast.Module, method: str) -> set[str]:
    """The names of functions that are given to a method, and of those that they contain."""
    given = {
        ast.unparse(node.args[0]).rpartition(".")[2]
        for node, name in _calls(tree)
        if name.endswith(f".{method}") and node.args
    }
    for function in [*_async_functions(tree)]:
        if function.name in given:
            given |= {inner.name for inner in _async_functions(function)}
    return given
