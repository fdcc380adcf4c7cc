"""What a class of configuration asks for: its fields, the alternatives and choices of their types.

Type hints come in many spellings; the rest of the package asks here and sees one.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
from enum import Enum
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec

__all__ = [
    "Field",
    "allows_none",
    "arms",
    "bare",
    "choices",
    "fields_of",
    "forbids_unknown",
    "is_object",
    "metas_of",
    "tag_of",
]


class Field(NamedTuple):
    """A field of a configuration class.

    Attributes:
        key: as it is written in the configuration.
        name: as the constructor calls it.
        annotation: its type, with ``Annotated`` kept.
        required: it has no default.
    """

    key: str
    name: str
    annotation: Any
    required: bool


def is_object(annotation: Any) -> bool:
    """True for the classes a table becomes: msgspec Structs, dataclasses, attrs classes."""
    return isinstance(annotation, type) and (
        issubclass(annotation, msgspec.Struct)
        or hasattr(annotation, "__dataclass_fields__")
        or hasattr(annotation, "__attrs_attrs__")
    )


def forbids_unknown(cls: type[Any]) -> bool:
    """True when such a class takes no key that it has no field for, whoever makes it of data. A
    Struct says so; a dataclass or an attrs class is made by the host, which refuses them."""
    return not issubclass(cls, msgspec.Struct) or cls.__struct_config__.forbid_unknown_fields


@lru_cache(maxsize=256)
def fields_of(cls: Any) -> tuple[Field, ...]:
    """The fields that the constructor of such a class takes, in order."""
    if issubclass(cls, msgspec.Struct):
        return tuple(
            Field(field.encode_name, field.name, field.type, field.required)
            for field in msgspec.structs.fields(cls)
        )
    hints = get_type_hints(cls, include_extras=True)
    if hasattr(cls, "__attrs_attrs__"):
        # That the class exists proves that attrs is installed; the core does not need it.
        nothing = importlib.import_module("attr").NOTHING
        return tuple(
            Field(field.alias, field.alias, hints.get(field.name, Any), field.default is nothing)
            for field in cls.__attrs_attrs__
            if field.init
        )
    missing = dataclasses.MISSING
    return tuple(
        Field(
            field.name,
            field.name,
            hints[field.name],
            field.default is missing and field.default_factory is missing,
        )
        for field in dataclasses.fields(cls)
        if field.init
    )


def tag_of(annotation: Any) -> tuple[str, str | int] | None:
    """Key and value by which a tagged Struct is told from the others of its union."""
    config = getattr(bare(annotation), "__struct_config__", None)
    if config is None or config.tag is None:
        return None
    return config.tag_field, config.tag


def bare(annotation: Any) -> Any:
    """``annotation`` without ``Annotated``, ``NewType`` and ``type`` aliases around it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":  # Python 3.12 has it, 3.11 does not
            annotation = annotation.__value__
        else:
            return annotation


def arms(annotation: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or the type itself. Those that only say that the value may be
    absent (``None``, ``UNSET``) are left out."""
    inner = bare(annotation)
    if get_origin(inner) not in (Union, types.UnionType):
        return (annotation,)
    absent = (types.NoneType, msgspec.UnsetType)
    return tuple(arm for arm in get_args(inner) if arm not in absent)


def allows_none(annotation: Any) -> bool:
    """True when ``None`` is one of the alternatives."""
    return types.NoneType in get_args(bare(annotation))


def choices(annotation: Any) -> list[Any]:
    """The plain values that an ``Enum`` or ``Literal`` allows; empty for other types."""
    annotation = bare(annotation)
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    return []


def metas_of(annotation: Any) -> list[msgspec.Meta]:
    """The constraints that stand around a type."""
    if get_origin(annotation) is not Annotated:
        return []
    return [extra for extra in get_args(annotation)[1:] if isinstance(extra, msgspec.Meta)]
