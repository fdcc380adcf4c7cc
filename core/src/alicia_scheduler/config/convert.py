"""Raw configuration to typed objects: every mistake found, each with its exact place.

The target classes are what plugins hand over in their descriptors: msgspec Structs, dataclasses
or attrs classes. msgspec checks the single values; the walk through the structure is ours,
because msgspec stops at the first mistake and knows nothing of near names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import datetime
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import msgspec

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.instants import parse_instant
from alicia_scheduler.config.shapes import (
    allows_none,
    arms,
    bare,
    choices,
    fields_of,
    is_object,
    metas_of,
    tag_of,
)
from alicia_scheduler.config.standins import (
    Made,
    NoSample,
    StandIn,
    Unknown,
    holds_unknown,
    without_stand_ins,
)
from alicia_scheduler.config.wording import (
    expected,
    found,
    near,
    quote,
    quoted_list,
    refusal,
    suggest,
    suggest_value,
    write_instead,
)

__all__ = ["convert", "convert_all", "json_schema"]

T = TypeVar("T")
Path = tuple[str | int, ...]
Issues = list[ConfigError]
_Walk = Callable[[object, Any, Path, Issues], Any]
"""Converts a value by an annotation, or notes what is wrong and returns :data:`_FAILED`."""

_FAILED: Any = object()
"""Stands for a value that could not be converted; its issue is already noted."""


def convert(raw: object, cls: type[T], *, path: Sequence[str | int] = ()) -> T:
    """Make a ``cls`` of ``raw``, or raise the first mistake.

    Args:
        raw: plain data as TOML or JSON gives it.
        cls: a msgspec Struct, dataclass or attrs class.
        path: where ``raw`` stands, for the error.

    Raises:
        ConfigError: the first mistake, with its path.
        TypeError: ``cls`` is none of the three, or holds a type that msgspec does not know.
    """
    issues: Issues = []
    value = convert_all(raw, cls, issues, path=path)
    if value is None:
        raise issues[0]
    return value


def convert_all(
    raw: object, cls: type[T], issues: list[ConfigError], *, path: Sequence[str | int] = ()
) -> T | None:
    """Make a ``cls`` of ``raw``, or add every mistake to ``issues`` and return None.

    Keys that ``cls`` does not have are always refused. Nothing is guessed: text is no number, a
    number is no text, ``true`` is neither. A ``datetime`` field takes an instant with a zone, see
    :func:`~alicia_scheduler.config.instants.parse_instant`; numbers must be finite. ``ValueError``
    and ``TypeError`` from ``__post_init__`` or an attrs validator are mistakes of the whole table.

    Raises:
        TypeError: ``cls`` is none of the three kinds, or holds a type that msgspec does not know.
    """
    if not is_object(cls):
        raise TypeError(f"{cls!r} is no msgspec Struct, dataclass or attrs class")
    value = _object(raw, cls, tuple(path), issues)
    return None if value is _FAILED else value


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration class.

    Raises:
        TypeError: ``cls`` holds a type that msgspec does not know.
    """
    return msgspec.json.schema(cls)


def _object(raw: object, annotation: Any, path: Path, issues: Issues) -> Any:
    """A table becomes an instance of a class."""
    cls = bare(annotation)
    if type(raw) is cls:
        return raw
    if not isinstance(raw, Mapping):
        issues.append(ConfigError(f"must be a table, not {found(raw, path)}", path=path))
        return _FAILED
    before = len(issues)
    fields = fields_of(cls)
    meant = _unknown_keys(raw, cls, path, issues)
    tag = tag_of(cls)
    if tag is not None and raw.get(tag[0], tag[1]) != tag[1]:
        issues.append(_wrong_tag(raw, tag[0], [tag[1]], path))
    values: dict[str, Any] = {}
    for field in fields:
        if field.key in raw:
            values[field.name] = _value(
                raw[field.key], field.annotation, (*path, field.key), issues
            )
        elif field.required and field.key not in meant:
            message = f"the key {quote(field.key)} is missing"
            hint = f"it takes {expected(field.annotation)}"
            issues.append(ConfigError(message, path=path, hint=hint))
    if len(issues) > before or any(value is _FAILED for value in values.values()):
        return _FAILED
    try:
        return cls(**values)
    except Exception as error:  # noqa: BLE001 - a class of a plugin may raise anything
        issue = _raised(error)
        # What is said about a value that nobody knows yet means nothing.
        if not holds_unknown(raw, issue.path):
            issues.append(issue.under(*path))
    return _FAILED


def _raised(error: Exception) -> ConfigError:
    """What a class raised when it was made, as a mistake."""
    if isinstance(error, ConfigError):
        return error
    if isinstance(error, (ValueError, TypeError)):
        return ConfigError(str(error.args[0]) if error.args else type(error).__name__)
    return ConfigError(f"cannot be checked: {type(error).__name__}: {error}")


def _unknown_keys(raw: Mapping[Any, Any], cls: Any, path: Path, issues: Issues) -> set[str]:
    """Note each key that ``cls`` does not have; returns the keys they were likely meant to be."""
    known = [field.key for field in fields_of(cls)]
    tag = tag_of(cls)
    allowed = {*known, tag[0]} if tag else set(known)
    absent = [key for key in known if key not in raw]
    meant: set[str] = set()
    for key in raw:
        if key in allowed:
            continue
        name = str(key)
        match = near(name, absent)
        if match is not None:
            meant.add(match)
        hint = suggest(name, known, likely=absent)
        issues.append(ConfigError(f"unknown key {quote(name)}", path=(*path, name), hint=hint))
    return meant


def _value(raw: object, annotation: Any, path: Path, issues: Issues) -> Any:
    """One value becomes what ``annotation`` says."""
    if isinstance(raw, StandIn):
        return _stood_for(raw, annotation, path, issues)
    alternatives = arms(annotation)
    if raw is None and allows_none(annotation):
        return None
    walked = [(arm, walk) for arm in alternatives if (walk := _walker(arm)) is not None]
    if not walked:
        return _scalar(raw, annotation, path, issues)
    if len(alternatives) == 1:
        arm, walk = walked[0]
        return walk(raw, arm, path, issues)
    return _union(raw, annotation, walked, path, issues)


def _stood_for(raw: StandIn, annotation: Any, path: Path, issues: Issues) -> Any:
    """What stands in for a value becomes a value of this type."""
    if isinstance(raw, Unknown):
        if not raw.fits(annotation):
            message = f"must be {expected(annotation)}, and {raw.what} is text"
            issues.append(ConfigError(message, path=path, hint=raw.hint))
            return _FAILED
        try:
            return raw.sample(annotation)
        except NoSample:
            return _FAILED
    if not isinstance(raw, Made):
        raise TypeError(f"a stand-in of an unknown kind: {raw!r}")
    complaints: Issues = []
    value = _value(raw.value, annotation, path, complaints)
    if value is _FAILED and isinstance(raw.value, (bool, int, float)):
        value = _value(raw.text(raw.value), annotation, path, [])
    if value is _FAILED:
        issues.extend(complaints)
    return value


def _union(
    raw: object, annotation: Any, walked: list[tuple[Any, _Walk]], path: Path, issues: Issues
) -> Any:
    """The first alternative that takes ``raw``; else what the only fitting one had against it."""
    candidates = [(arm, walk) for arm, walk in walked if _fits(raw, arm)]
    tags = [tag for arm, _ in candidates if (tag := tag_of(arm)) is not None]
    if isinstance(raw, Mapping) and tags:
        key = tags[0][0]
        candidates = [pair for pair in candidates if tag_of(pair[0]) == (key, raw.get(key))]
        if not candidates:
            issues.append(_wrong_tag(raw, key, [value for _, value in tags], path))
            return _FAILED
    scalars = tuple(arm for arm in arms(annotation) if _walker(arm) is None)
    if scalars and not isinstance(raw, (Mapping, list, tuple, datetime)):
        candidates.insert(0, (Union[scalars], _scalar))  # noqa: UP007 - built at run time
    complaints: list[Issues] = []
    for arm, walk in candidates:
        complaints.append([])
        value = walk(raw, arm, path, complaints[-1])
        if value is not _FAILED:
            return value
    if len(complaints) == 1:
        issues.extend(complaints[0])
    else:
        message = f"must be {expected(annotation)}, not {found(raw, path)}"
        hint = write_instead(raw, annotation, path)
        issues.append(ConfigError(message, path=path, hint=hint))
    return _FAILED


def _wrong_tag(raw: Mapping[Any, Any], key: str, tags: list[str | int], path: Path) -> ConfigError:
    if key not in raw:
        hint = f"it takes one of {quoted_list(tags)}"
        return ConfigError(f"the key {quote(key)} is missing", path=path, hint=hint)
    message = f"must be one of {quoted_list(tags)}, not {found(raw[key])}"
    return ConfigError(message, path=(*path, key), hint=suggest_value(raw[key], tags))


def _walker(annotation: Any) -> _Walk | None:
    """The function for a type that this module walks through itself, or None for a scalar."""
    inner = bare(annotation)
    origin = get_origin(inner) or inner
    if is_object(inner):
        return _object
    if origin is datetime and all(meta.tz is not False for meta in metas_of(annotation)):
        return _instant
    if not isinstance(origin, type) or issubclass(origin, (str, bytes, bytearray, memoryview)):
        return None
    if issubclass(origin, Mapping):
        return _table
    if issubclass(origin, (Sequence, Set)) and not hasattr(origin, "_fields"):
        return _list
    return None


def _fits(raw: object, annotation: Any) -> bool:
    """True when ``raw`` is of the kind that ``annotation`` is made from."""
    if bare(annotation) is datetime:
        return isinstance(raw, (str, int, float, datetime)) and not isinstance(raw, bool)
    if _walker(annotation) is _list:
        return isinstance(raw, (list, tuple))
    return isinstance(raw, Mapping) or type(raw) is bare(annotation)


def _instant(raw: object, annotation: Any, path: Path, issues: Issues) -> Any:
    try:
        return parse_instant(raw, path=path)
    except ConfigError as error:
        issues.append(error)
        return _FAILED


def _list(raw: object, annotation: Any, path: Path, issues: Issues) -> Any:
    if not isinstance(raw, (list, tuple)):
        message = f"must be a list, not {found(raw, path)}"
        hint = write_instead(raw, annotation, path)
        issues.append(ConfigError(message, path=path, hint=hint))
        return _FAILED
    before = len(issues)
    _check_length(raw, annotation, list, path, issues)
    inner = bare(annotation)
    origin, arguments = get_origin(inner) or inner, get_args(inner)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        if len(raw) != len(arguments):
            message = f"must have {len(arguments)} items, not {len(raw)}"
            issues.append(ConfigError(message, path=path))
            return _FAILED
    else:
        arguments = (arguments[0] if arguments else Any,) * len(raw)
    items = [
        _value(item, argument, (*path, index), issues)
        for index, (item, argument) in enumerate(zip(raw, arguments, strict=True))
    ]
    if len(issues) > before or any(item is _FAILED for item in items):
        return _FAILED
    if issubclass(origin, (tuple, frozenset)):
        return origin(items)
    return set(items) if issubclass(origin, Set) else items


def _table(raw: object, annotation: Any, path: Path, issues: Issues) -> Any:
    if not isinstance(raw, Mapping):
        issues.append(ConfigError(f"must be a table, not {found(raw, path)}", path=path))
        return _FAILED
    before = len(issues)
    _check_length(raw, annotation, dict, path, issues)
    of_key, of_value = get_args(bare(annotation)) or (Any, Any)
    table = {
        # Keys are always text in TOML and JSON, so a number may be spelt as one here.
        _scalar(key, of_key, (*path, key), issues, strict=False): _value(
            value, of_value, (*path, key), issues
        )
        for key, value in raw.items()
    }
    failed = len(issues) > before or any(value is _FAILED for value in table.values())
    return _FAILED if failed else table


def _check_length(
    raw: Sequence[Any] | Mapping[Any, Any], annotation: Any, kind: Any, path: Path, issues: Issues
) -> None:
    if get_origin(annotation) is Annotated:
        limits = Annotated[(kind, *get_args(annotation)[1:])]
        _scalar(raw, limits, path, issues)


def _scalar(
    raw: object, annotation: Any, path: Path, issues: Issues, *, strict: bool = True
) -> Any:
    """A value without inner structure, checked by msgspec."""
    if bare(annotation) is Any:
        return without_stand_ins(raw)
    if isinstance(raw, float) and not math.isfinite(raw):
        issues.append(ConfigError(f"must be a finite number, not {raw}", path=path))
        return _FAILED
    try:
        return msgspec.convert(without_stand_ins(raw), annotation, strict=strict)
    except msgspec.ValidationError as error:
        issues.append(_translated(str(error), raw, annotation, path))
        return _FAILED


def _translated(text: str, raw: object, annotation: Any, path: Path) -> ConfigError:
    text, _, inner = text.partition(" - at `")
    if inner:
        # A type that only msgspec knows its way through (NamedTuple, TypedDict, generics).
        steps = re.findall(r"\.(\w+)|\[(\d+)\]", inner)
        path = (*path, *(name or int(index) for name, index in steps))
        return ConfigError(f"is refused: {text.replace('`', '')}", path=path)
    allowed = [choice for arm in arms(annotation) for choice in choices(arm)]
    if re.match(r"Expected `.*`, got `", text) or text.startswith("Invalid enum value"):
        message = f"must be {expected(annotation)}, not {found(raw, path)}"
        hint = suggest_value(raw, allowed) or write_instead(raw, annotation, path)
        return ConfigError(message, path=path, hint=hint)
    metas = [meta for arm in arms(annotation) for meta in metas_of(arm)]
    hint = next((meta.description for meta in metas if meta.description), None)
    return ConfigError(refusal(text, raw, path), path=path, hint=hint)
