"""One text with a template in it: compiled once, checked at load, rendered within bounds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.config.plain import plain
from alicia_scheduler.config.wording import near, quote
from alicia_scheduler.host.templates import words
from alicia_scheduler.host.templates.meter import Meter

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes

    from alicia_scheduler.host.templates.sandbox import Sandbox

__all__ = ["Template", "TemplateFault", "compiled", "is_template"]

SOURCE_LIMIT = 16 * 1024
"""Characters of one template."""

INSTALL = "pip install 'alicia-scheduler[templates]'"


class TemplateFault(Exception):
    """A rendering failed; the text says why and in which line of the template."""


def is_template(text: str) -> bool:
    """True when a text is more than itself: it holds ``{{``, ``{%`` or ``{#``."""
    return "{" in text and any(mark in text for mark in ("{{", "{%", "{#"))


class Template:
    """A compiled template. :func:`compiled` makes it.

    Attributes:
        native: the whole text is one expression; it makes the value of that, not its text.
        names: those of :data:`~alicia_scheduler.host.templates.words.NAMES` that it uses.
    """

    def __init__(
        self, code: jinja2.Template, *, native: bool, names: frozenset[str], lines: int
    ) -> None:
        self.native = native
        self.names = names
        self._code = code
        self._lines = lines

    @property
    def volatile(self) -> bool:
        """True when the next attempt may see other data, so that a failure may pass."""
        return bool(self.names & words.VOLATILE)

    def render(self, values: Mapping[str, Any], meter: Meter) -> Any:
        """What the template makes of these values: text, or a JSON-ready value when it is
        ``native``. Takes no more than is left on ``meter``; does no I/O.

        Raises:
            TemplateFault: it failed, or it takes too much.
        """
        from alicia_scheduler.host.templates.sandbox import metered_by, plain_value

        context = self._code.new_context(dict(values))
        try:
            with metered_by(meter):
                chunks = [meter.written(text) for text in self._code.root_render_func(context)]
                if not self.native:
                    return "".join(chunks)
                value = plain(plain_value(context.vars[_VALUE]))
                if isinstance(value, str):
                    meter.written(value)
                return value
        except Exception as error:  # noqa: BLE001 - whatever it is, the template or its data did it
            raise TemplateFault(self._sentence(error)) from None

    def _sentence(self, error: Exception) -> str:
        why = str(error) or type(error).__name__
        if isinstance(error, RecursionError):
            why = "it is nested too deeply"
        line = _line_in_template(error.__traceback__, self._code)
        return f"line {line}: {why}" if line is not None and self._lines > 1 else why


@lru_cache(maxsize=1024)
def compiled(source: str) -> Template:
    """The template that a text holds; the same text is compiled once.

    Raises:
        ConfigError: it means nothing, or uses what templates cannot; the message names the place
            in the template. Or Jinja is not installed.
    """
    if len(source) > SOURCE_LIMIT:
        raise ConfigError(f"a template has at most {SOURCE_LIMIT // 1024} Ki characters")
    try:
        import jinja2
    except ImportError:
        raise ConfigError("a template needs the package jinja2", hint=INSTALL) from None
    from alicia_scheduler.host.templates.sandbox import metered

    environment = _environment()
    try:
        tree = environment.parse(source)
        names = _checked(tree, source)
        native = _make_native(tree)
        code = environment.compile(metered(tree))
    except jinja2.TemplateSyntaxError as error:
        message = f"is no template: {_lowered(error.message or 'syntax error')}"
        raise ConfigError(f"{message}{_place(source, error.lineno)}") from None
    except (RecursionError, MemoryError, SyntaxError):
        raise ConfigError("is no template: it is nested too deeply") from None
    except TypeError as error:
        raise ConfigError(f"is no template: {error}") from None
    loaded = environment.template_class.from_code(environment, code, environment.globals)
    return Template(loaded, native=native, names=names, lines=source.count("\n") + 1)


@lru_cache(maxsize=1)
def _environment() -> Sandbox:
    from alicia_scheduler.host.templates.sandbox import Sandbox

    return Sandbox()


_VALUE = "result"
"""The variable that holds the value of a template that is one expression."""


def _make_native(tree: nodes.Template) -> bool:
    """When the text is one expression and nothing else, let the tree keep its value."""
    from jinja2 import nodes

    if len(tree.body) != 1 or not isinstance(tree.body[0], nodes.Output):
        return False
    parts = tree.body[0].nodes
    if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData):
        return False
    assign = nodes.Assign(nodes.Name(_VALUE, "store"), parts[0])
    tree.body = [assign.set_lineno(parts[0].lineno)]
    return True


# -- what may stand in a template ------------------------------------------------------------

_STATEMENTS = {
    "Macro": "macros", "CallBlock": "macros", "FilterBlock": "filter blocks",
    "AssignBlock": "set blocks; write {% set name = … %}", "Include": "other templates",
    "Import": "other templates", "FromImport": "other templates", "Extends": "other templates",
    "Block": "blocks", "ScopedEvalContextModifier": "autoescape", "ExprStmt": "do",
}  # fmt: skip


def _checked(tree: nodes.Template, source: str) -> frozenset[str]:
    """The names that a template takes from the host.

    Raises:
        ConfigError: it uses what there is not.
    """
    from jinja2 import nodes

    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    known = {*words.NAMES, *words.FUNCTIONS, *own}
    if tree.find(nodes.For) is not None:
        known.add("loop")
    used: set[str] = set()
    for node in _every(tree):
        kind = type(node).__name__
        if kind in _STATEMENTS:
            raise _refused(f"templates have no {_STATEMENTS[kind]}", source, node.lineno)
        if isinstance(node, nodes.For) and node.recursive:
            raise _refused("templates have no recursive loops", source, node.lineno)
        if isinstance(node, nodes.Name) and node.ctx == "load":
            _known("name", node.name, known, source, node.lineno)
            if node.name not in own:
                used.add(node.name)
        elif isinstance(node, nodes.Filter):
            _known("filter", node.name, words.FILTERS, source, node.lineno)
            _check_applied(node, source)
        elif isinstance(node, nodes.Test):
            _known("test", node.name, words.TESTS, source, node.lineno)
        elif isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
            fields = words.FIELDS.get(node.node.name)
            if fields is not None and node.node.name not in own:
                owner = f"{node.node.name}."
                _known("name", node.attr, fields, source, node.lineno, owner)
        elif isinstance(node, nodes.Call) and (node.dyn_args or node.dyn_kwargs):
            raise _refused("templates have no calls with * or **", source, node.lineno)
    return frozenset(used)


_APPLIES: dict[str, tuple[int, str, frozenset[str]]] = {
    "map": (0, "filter", words.FILTERS),
    "select": (0, "test", words.TESTS),
    "reject": (0, "test", words.TESTS),
    "selectattr": (1, "test", words.TESTS),
    "rejectattr": (1, "test", words.TESTS),
}
"""Which argument of a filter names what it applies, and what that may be."""


def _check_applied(node: nodes.Filter, source: str) -> None:
    """Refuse ``map('nope')`` as ``nope`` itself would be."""
    from jinja2 import nodes

    if node.name not in _APPLIES:
        return
    index, what, known = _APPLIES[node.name]
    given = node.args[index] if len(node.args) > index else None
    if isinstance(given, nodes.Const) and isinstance(given.value, str):
        _known(what, given.value, known, source, node.lineno)


def _every(node: nodes.Node) -> Iterator[nodes.Node]:
    for child in node.iter_child_nodes():
        yield child
        yield from _every(child)


def _known(
    what: str,
    name: str,
    known: frozenset[str] | set[str] | tuple[str, ...],
    source: str,
    line: int,
    owner: str = "",
) -> None:
    if name in known:
        return
    match = near(name, known)
    hint = f"did you mean {quote(match)}?" if match else f"there are: {', '.join(sorted(known))}"
    raise _refused(f"there is no {what} {quote(owner + name)}", source, line, hint, name)


def _refused(
    message: str, source: str, line: int, hint: str | None = None, word: str | None = None
) -> ConfigError:
    return ConfigError(f"{message}{_place(source, line, word)}", hint=hint)


def _place(source: str, line: int, word: str | None = None) -> str:
    """Where in a template: its line if it has several, and what stands there."""
    lines = source.splitlines() or [""]
    text = lines[min(line, len(lines)) - 1].strip()
    found = re.search(rf"\b{re.escape(word)}\b", text) if word else None
    if found is not None and len(text) > 50:
        start = max(0, found.start() - 20)
        text = f"{'…' if start else ''}{text[start : found.end() + 20]}"
    return f", in line {line}: {quote(text)}" if len(lines) > 1 else f", in {quote(text)}"


def _lowered(message: str) -> str:
    return (message[0].lower() + message[1:]).rstrip(".")


def _line_in_template(traceback: TracebackType | None, code: jinja2.Template) -> int | None:
    line = None
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == "<template>":
            line = code.get_corresponding_lineno(traceback.tb_lineno)
        traceback = traceback.tb_next
    return line
