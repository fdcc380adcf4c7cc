"""Jinja's environment: its immutable sandbox, narrowed to the words of
:mod:`~alicia_scheduler.host.templates.words`, with every operation bounded.

The only module that imports Jinja; import it only when there is a template.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
from jinja2 import StrictUndefined, nodes
from jinja2.filters import FILTERS
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS
from jinja2.utils import Namespace, missing
from jinja2.visitor import NodeTransformer

from alicia_scheduler.host.templates import words
from alicia_scheduler.host.templates.meter import (
    Meter,
    OverLimit,
    check_padding,
    check_power,
    check_product,
    check_text,
)

__all__ = ["Sandbox", "metered", "metered_by", "plain_value", "text_of"]

_current: ContextVar[Meter] = ContextVar("meter of the rendering")


@contextmanager
def metered_by(meter: Meter) -> Iterator[None]:
    """Count what is rendered while the block is open on ``meter``."""
    token = _current.set(meter)
    try:
        yield
    finally:
        _current.reset(token)


class _Missing(StrictUndefined):
    """A name or key that is not there: any use of it but ``is defined`` and ``default`` fails."""

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"{self._undefined_name!r} is not defined"
        owner = _kind(self._undefined_obj)
        return f"{owner} has no {self._undefined_name!r}"


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment that all templates share. It holds no data."""

    intercepted_binops = frozenset(("*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(
            undefined=_Missing,
            optimized=False,  # nothing is computed before there is a meter
            keep_trailing_newline=True,
            finalize=text_of,
            cache_size=0,
        )
        self.globals = {"range": _range, "timedelta": timedelta, "namespace": Namespace}
        self.filters = {
            **{name: FILTERS[name] for name in words.FILTERS & FILTERS.keys()},
            "format": _format,
            "fromjson": _from_json,
            "join": _join,
            "replace": _replace,
            "round": _round,
            "string": text_of,
            "sum": _sum,
            "tojson": _to_json,
        }
        self.tests = {name: TESTS[name] for name in words.TESTS}
        self.weighed = _weighed

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            check_product(left, right)
        elif operator == "**":
            check_power(left, right)
        else:
            check_padding(left)
        return super().call_binop(context, operator, left, right)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if isinstance(obj, LoopContext):
            return attr in words.LOOP
        if isinstance(obj, Namespace):
            return not attr.startswith("_")
        return attr in words.ATTRIBUTES.get(type(obj), ())

    def is_safe_callable(self, obj: Any) -> bool:
        if any(obj is known for known in (_weighed, _range, timedelta, Namespace)):
            return True
        owner = getattr(obj, "__self__", None)
        if owner is None:
            return getattr(obj, "is_template_function", False) is True
        return getattr(obj, "__name__", "") in words.ATTRIBUTES.get(type(owner), ())

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, Undefined):
            return getattr(obj, attribute)
        value = getattr(obj, attribute, missing)
        if value is not missing and self.is_safe_attribute(obj, attribute, value):
            return value
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, Undefined):
            return obj[argument]
        try:
            return obj[argument]
        except (LookupError, TypeError):
            if isinstance(argument, str):
                return self.getattr(obj, argument)
            return self.undefined(obj=obj, name=argument)


class _Metered(NodeTransformer):
    """Wraps every expression that takes or makes a value, so that it is weighed."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        super().generic_visit(node)
        if isinstance(node, _WEIGHED) and getattr(node, "ctx", "load") == "load":
            return _weigh(node)
        return node

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 - the name is Jinja's
        super().generic_visit(node)
        # Whatever is walked through, each step is paid for: also a text that stands there.
        node.iter = _weigh(node.iter)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        # Jinja would join all parts before anybody could count them.
        parts = nodes.List([self.visit(part) for part in node.nodes])
        joined = nodes.Filter(parts, "join", [], [], None, None)
        return _weigh(joined.set_lineno(node.lineno))

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        node.node = self._owner(node.node)
        return _weigh(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        node.node = self._owner(node.node)
        node.arg = self.visit(node.arg)
        return _weigh(node)

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802
        function = node.node
        super().generic_visit(node)
        # A function weighs nothing, and a method does not weigh what it belongs to; but it may
        # look at all of that, which is paid for by weighing it whole.
        if isinstance(function, nodes.Getattr):
            function.node = _weigh(function.node)
        node.node = function
        return _weigh(node)

    def _owner(self, node: nodes.Expr) -> nodes.Expr:
        """What a part is read from: reading it costs what the part weighs, not the whole."""
        visited: nodes.Expr = self.visit(node)
        if isinstance(node, (nodes.Name, nodes.Getattr, nodes.Getitem)):
            weighed: nodes.Expr = visited.args[0]  # type: ignore[attr-defined]
            return weighed
        return visited


def _weigh(node: nodes.Node) -> nodes.Expr:
    call = nodes.Call(nodes.EnvironmentAttribute("weighed"), [node], [], None, None)
    call.set_lineno(node.lineno)
    return call


_WEIGHED = (
    nodes.Name,
    nodes.Filter,
    nodes.List,
    nodes.Tuple,
    nodes.Dict,
    nodes.BinExpr,
)


def metered(template: nodes.Template) -> nodes.Template:
    """The tree of a template with every operation counted."""
    _Metered().visit(template)
    return template


def text_of(value: Any) -> str:
    """A value as it stands in the middle of text: numbers, ``true`` and ``false`` as in JSON,
    instants in ISO 8601.

    Raises:
        TypeError: it has no obvious form there; the message says what to write instead.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, Undefined):
        return str(value)  # which raises, and says what is missing
    if value is None:
        raise TypeError("null has no text; write | default('…', true), or | tojson for null")
    if isinstance(value, (dict, list, tuple)):
        raise TypeError(f"{_kind(value)} in the middle of text; write | tojson, or name a part")
    if isinstance(value, timedelta):
        raise TypeError("a duration has no text; write .total_seconds()")
    raise TypeError(f"{_kind(value)} has no text")


def plain_value(value: Any) -> Any:
    """A value as it stands alone: JSON-ready, instants as text in ISO 8601.

    Raises:
        TypeError: it has no form in JSON.
    """
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} is no number that can be sent")
        return value
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain_value(item) for item in value]
    return text_of(value)


def _weighed(value: Any) -> Any:
    return _current.get().weighed(value)


def _range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > 1000:
        raise OverLimit("asks for a range of more than 1000 numbers")
    return found


def _format(template: str, *values: Any, **named: Any) -> str:
    check_padding(template)
    return str(template) % (named or values)


def _join(values: Iterable[Any], separator: str = "", attribute: str | None = None) -> str:
    if attribute is not None:
        raise TypeError("join takes no attribute; write | map(attribute='…') | join")
    parts: list[str] = []
    length = 0
    for value in values:
        parts.append(text_of(value))
        length += len(parts[-1]) + len(separator)
        check_text(length - len(separator))
    return separator.join(parts)


def _replace(text: Any, old: str, new: str, count: int = -1) -> str:
    text, new = text_of(text), text_of(new)
    found = text.count(old) if count < 0 else min(text.count(old), count)
    check_text(len(text) + found * (len(new) - len(old)))
    replaced: str = text.replace(old, new, count)
    return replaced


def _round(value: float, precision: int = 0, method: str = "common") -> float:
    if not -15 <= precision <= 15:
        raise TypeError("round takes a precision from -15 to 15")
    if method == "common":
        return round(value, precision)
    functions: dict[str, Callable[[float], int]] = {"ceil": math.ceil, "floor": math.floor}
    if method not in functions:
        raise TypeError("round knows the methods 'common', 'ceil' and 'floor'")
    scale = 10.0**precision
    return functions[method](value * scale) / scale


def _sum(values: Iterable[float], start: float = 0) -> float:
    total = start
    for value in values:
        if not isinstance(value, (int, float)):
            raise TypeError(f"sum adds numbers, not {_kind(value)}")
        total += value
    return total


def _to_json(value: Any) -> str:
    if isinstance(value, Undefined):
        return str(value)  # which raises, and says what is missing
    return msgspec.json.encode(plain_value(value)).decode()


def _from_json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise TypeError(f"fromjson: {error}") from None


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "a table", list: "a list", tuple: "a list", str: "a text", bool: "a truth value"}
    names |= {int: "a number", float: "a number", datetime: "an instant", timedelta: "a duration"}
    return names.get(type(value), f"a {type(value).__name__}")
