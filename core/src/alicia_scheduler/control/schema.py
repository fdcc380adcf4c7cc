"""The JSON Schemas of the commands: of their arguments, and of their answers as they go over the
wire."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

from alicia_scheduler.api.model import EventRecord, EventState, ScheduledEvent, Step
from alicia_scheduler.config.events import EventTable
from alicia_scheduler.control.command import Command

__all__ = ["answer_schema", "arguments_schema", "attributes_of"]

DEFINITIONS = {"CreateEvent": "event", "UpdateEvent": "changes"}
"""The arguments that hold a definition, or a part of one. They are checked as a file is."""

INSTANT_ANSWERED: dict[str, Any] = {"type": "number", "format": "epoch-seconds"}
"""The format is ours; whoever does not know it sees a number."""
INSTANT_GIVEN: dict[str, Any] = {
    "anyOf": [{"type": "string", "format": "date-time"}, INSTANT_ANSWERED]
}


def arguments_schema(command: Command) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what a command takes."""
    return _schema(command.arguments, answered=False)


def answer_schema(command: Command) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what a command answers, with instants as epoch seconds. Every
    field is always there; others may be added."""
    return _schema(command.answer, answered=True)


def _definition_schema(*, whole: bool) -> dict[str, Any]:
    """The schema of a definition as a person writes it, or of a part of one."""
    _, components = msgspec.json.schema_components([EventTable], ref_template="#/$defs/{name}")
    _describe(components["EventTable"], EventTable)
    found: dict[str, Any] = _inlined(components["EventTable"], components)
    for name, text in attributes_of(ScheduledEvent).items():
        if name in found["properties"]:
            found["properties"][name]["description"] = text
    if whole:
        event_id = {"type": "string", "description": attributes_of(ScheduledEvent)["event_id"]}
        found["properties"] = {"event_id": event_id} | found["properties"]
        return found
    for field in found["properties"].values():
        field.pop("default", None)
    return found | {"required": []}


def _inlined(node: Any, components: dict[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(item, components) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        named = components[node["$ref"].rpartition("/")[2]]
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {key: value for key, value in named.items() if key == "enum"} | rest
    return {key: _inlined(value, components) for key, value in node.items()}


def attributes_of(cls: type[Any]) -> dict[str, str]:
    """What the docstring of a class says about each of its fields, bases included."""
    found: dict[str, str] = {}
    for base in reversed(getattr(cls, "__mro__", ())):
        _, _, section = inspect.cleandoc(vars(base).get("__doc__") or "").partition(
            "\nAttributes:\n"
        )
        for name, text in re.findall(r"(?ms)^    (\w+): (.*?)(?=^    \w+: |\Z)", section):
            found[name] = " ".join(text.split())
    return found


def _schema(cls: Any, *, answered: bool) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(_encoded(cls, answered))
    return found


@cache
def _encoded(cls: Any, answered: bool) -> bytes:
    (found,), components = msgspec.json.schema_components([cls], ref_template="#/$defs/{name}")
    classes = {_component(each): each for each in _structs(cls)}
    for name, component in components.items():
        _describe(component, classes.get(name))
    for name, key in DEFINITIONS.items():
        if name in components:
            definition = _definition_schema(whole=name == "CreateEvent")
            definition |= {"description": components[name]["properties"][key]["description"]}
            definition.pop("title")
            components[name]["properties"][key] = definition
    if "EventRecord" in components:
        _flatten_records(components)
    if answered:
        for component in components.values():
            _complete(component)
    whole: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    reference = found.get("$ref", "")
    if reference:
        whole |= components.pop(reference.rpartition("/")[2])
    else:
        whole |= found
    if components:
        whole["$defs"] = components
    return msgspec.json.encode(_with_instants(whole, answered))


def _component(cls: Any) -> str:
    """The name that msgspec gives the schema of a class."""
    return re.sub(r"[^a-zA-Z0-9.\-_]", "_", _title(cls))


def _title(cls: Any) -> str:
    arguments = getattr(cls, "__args__", ())
    name = getattr(cls, "__origin__", cls).__name__
    return f"{name}[{', '.join(map(_title, arguments))}]" if arguments else name


def _inside(info: msgspec.inspect.Type) -> Iterator[msgspec.inspect.Type]:
    """A type and all that it is made of, classes of Structs not looked into."""
    yield info
    inner = [getattr(info, name, None) for name in ("item_type", "value_type")]
    for each in (*inner, *getattr(info, "types", ()), *getattr(info, "item_types", ())):
        if isinstance(each, msgspec.inspect.Type):
            yield from _inside(each)


def _structs(cls: Any) -> set[Any]:
    """All classes of Structs that a type is made of."""
    found: set[Any] = set()
    pending = [msgspec.inspect.type_info(cls)]
    while pending:
        for info in _inside(pending.pop()):
            if isinstance(info, msgspec.inspect.StructType) and info.cls not in found:
                found.add(info.cls)
                pending += [field.type for field in info.fields]
    return found


def _instants(cls: Any) -> set[str]:
    """The keys of a class that hold instants."""
    info = msgspec.inspect.type_info(cls)
    return {
        field.encode_name
        for field in getattr(info, "fields", ())
        if any(isinstance(each, msgspec.inspect.DateTimeType) for each in _inside(field.type))
    }


def _describe(component: dict[str, Any], cls: Any) -> None:
    """Say of each property what the class's docstring says, and keep the docstring's beginning."""
    if component.get("type") == "array" and cls is Step:
        # On the wire it is an object all the same.
        names = Step.__struct_fields__
        items = component.pop("prefixItems")
        component.pop("minItems", None)
        component |= {
            "type": "object",
            "properties": dict(zip(names, items, strict=True)),
            "required": list(names),
        }
    if "description" in component:
        said, _, _ = component["description"].partition("\n\n")
        component["description"] = " ".join(said.split())
    properties = component.get("properties", {})
    for name in _instants(cls) if cls is not None else ():
        properties[name] = _marked(properties[name])
    said_of = attributes_of(getattr(cls, "__origin__", cls)) if cls is not None else {}
    for name, field in properties.items():
        text = said_of.get(name)
        if text:
            if "$ref" in field:
                properties[name] = {"allOf": [dict(field)], "description": text}
            else:
                field["description"] = text


def _complete(component: dict[str, Any]) -> None:
    """Say that every field is there, and nothing of what it would be otherwise."""
    properties = component.get("properties")
    if properties:
        component["required"] = list(properties)
        for field in properties.values():
            field.pop("default", None)


def _marked(node: Any) -> Any:
    """The schema of a field that holds instants, with these marked: msgspec takes them for text."""
    if isinstance(node, list):
        return [_marked(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "string":
        return node | {"format": "date-time"}
    return {key: _marked(value) for key, value in node.items()}


def _flatten_records(components: dict[str, Any]) -> None:
    """An event and its state are one object on the wire."""
    event, state = components.pop("ScheduledEvent"), components.pop("EventState")
    names = (*ScheduledEvent.__struct_fields__, *EventState.__struct_fields__)
    components["EventRecord"] = {
        "title": "EventRecord",
        "type": "object",
        "description": EventRecord.__doc__,
        "properties": event["properties"] | state["properties"],
        "required": list(names),
    }


def _with_instants(node: Any, answered: bool) -> Any:
    """Instants are epoch seconds in answers, and may be in arguments."""
    if isinstance(node, list):
        return [_with_instants(item, answered) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "date-time":
        kept = {key: node[key] for key in ("description", "default") if key in node}
        return (INSTANT_ANSWERED if answered else INSTANT_GIVEN) | kept
    return {key: _with_instants(value, answered) for key, value in node.items()}
