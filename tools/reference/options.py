"""A page for each first-party plugin: the options of every type that it brings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools.reference.docstrings import flat
from tools.reference.schemas import described_schema
from tools.reference.words import key_table, keys_of

from alicia_scheduler.api import ServiceCall
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import PluginRecord, load_plugins

__all__ = ["first_party", "option_pages"]

PLUGINS = Path(__file__).parents[2] / "plugins"

WRITTEN = {
    "schedule type": 'Written as `schedule_type = "{name}"`, with these keys in `schedule_config`.',
    "action type": 'Written as `type = "{name}"` in `action`, beside these keys.',
    "sink": "Written as `[sinks.{name}]`. The [host's own keys](../configuration.md#sinks) go with it.",
    "service": "Written as `[services.{name}]`.",
    "service call": 'Called as `service = "{name}"` by [service_call](action-service.md), with this '
    "`data`.",
    "store": "A keeper of events and executions.",
}

INDEX = """\
# Plugins

Everything that a schedule type, an action, a sink or a service can be told. Each page has the README of
the distribution, and then its options, made of their JSON Schemas; `alicia plugins show NAME` prints
what is installed.

"""

TOC = "\n```{toctree}\n:glob:\n:hidden:\n\n*\n```"


@cache
def first_party() -> dict[str, PluginRecord]:
    """The plugins of this repository by their folder.

    Raises:
        LookupError: one is not installed, or does not load.
    """
    records = {record.distribution: record for record in load_plugins(find_candidates())}
    found = {}
    for folder in sorted(path.parent for path in PLUGINS.glob("*/pyproject.toml")):
        record = records.get(f"alicia-{folder.name}")
        if record is None or record.status != "active":
            reason = record.reason if record else "it is not installed"
            raise LookupError(f"plugins/{folder.name}: {reason}; run: make setup")
        found[folder.name] = record
    return found


def option_pages() -> dict[str, str]:
    """The page of each plugin, and their index."""
    made: dict[str, str] = {}
    rows = ["| plugin | brings |", "| --- | --- |"]
    for folder, record in first_party().items():
        made[f"plugins/{folder}.md"] = "\n\n".join(_page(folder, record))
        brings = ", ".join(
            f"{kind} `{item.name}`"
            for kind, items in record.contributions.by_kind().items()
            for item in items
        )
        rows.append(f"| [{folder}]({folder}.md) | {brings} |")
    made["plugins/index.md"] = INDEX + "\n".join(rows) + "\n" + TOC
    return made


def _page(folder: str, record: PluginRecord) -> Iterator[str]:
    yield f"# {folder}"
    yield f"How to use it: [README](../../../plugins/{folder}/README.md)."
    for kind, items in record.contributions.by_kind().items():
        for item in items:
            yield f"## Options of the {kind} {item.name}"
            if item.summary:
                yield f"{flat(item.summary[:1].upper() + item.summary[1:])}."
            yield WRITTEN[kind].format(name=item.name)
            cls = item.data if isinstance(item, ServiceCall) else item.config
            keys = list(keys_of(described_schema(cls)))
            yield key_table(keys) if keys else "It has no keys."
    if record.contributions.settings is not None:
        yield "## Settings"
        yield f"Written as `[plugins.{record.name}]`: what whoever runs the host decides for all events."
        yield key_table(list(keys_of(described_schema(record.contributions.settings))))
