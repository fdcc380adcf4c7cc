"""The reference has everything that is public, and is in step with the code."""

import importlib
import pkgutil
import re
from pathlib import Path

import msgspec
import pytest
from tools.reference.configuration import CLASSES, keys_of_table
from tools.reference.docstrings import attributes
from tools.reference.failures import CLASSES as ERROR_CLASSES
from tools.reference.failures import CODES, EXITS, TROUBLES
from tools.reference.notifications import NOTIFICATIONS, fields_of
from tools.reference.options import first_party
from tools.reference.pages import MADE, pages
from tools.reference.sources import (
    emitted_keys,
    emitted_types,
    error_classes,
    refusal_codes,
    trouble_classes,
)

import alicia_scheduler.api
from alicia_scheduler.api.hookspecs import PROJECT_NAME
from alicia_scheduler.api.model import EventExecution, EventState, ScheduledEvent
from alicia_scheduler.config.convert import json_schema
from alicia_scheduler.config.load import TABLES
from alicia_scheduler.kernel.notifications import about_error

REFERENCE = Path(__file__).parent.parent / "docs/reference"


@pytest.fixture(scope="module")
def made():
    return pages()


def headings(page):
    return set(re.findall(r"(?m)^#+ (.+)$", (REFERENCE / page).read_text()))


def rows(page, heading):
    """The first cell of every row of the tables below a heading of a page."""
    text = (REFERENCE / page).read_text()
    section = re.search(rf"(?ms)^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text)
    assert section, f"{page} has no heading {heading}"
    return set(re.findall(r"(?m)^\| `?([^|`]+?)`? \|", section[1]))


def test_every_page_is_what_the_code_makes_it(made):
    stale = [
        name
        for name, text in made.items()
        if not (REFERENCE / name).exists() or (REFERENCE / name).read_text() != text
    ]
    assert stale == [], "run: make reference"


def test_no_page_is_left_of_something_that_is_gone(made):
    pages_made = {
        str(page.relative_to(REFERENCE))
        for page in REFERENCE.rglob("*.md")
        if MADE in page.read_text()
    }
    assert pages_made == set(made)


def test_every_public_name_of_the_api_has_its_heading():
    found = set().union(*(headings(page.name) for page in REFERENCE.glob("*.md")))
    names = set(alicia_scheduler.api.__all__) - {"API_VERSION"}
    for module in pkgutil.iter_modules(alicia_scheduler.api.__path__):
        names |= set(importlib.import_module(f"alicia_scheduler.api.{module.name}").__all__)
    assert names - found == set()


def test_every_hook_has_its_heading():
    specs = importlib.import_module("alicia_scheduler.api.hookspecs")
    hooks = {name for name, it in vars(specs).items() if hasattr(it, f"{PROJECT_NAME}_spec")}
    assert hooks
    assert hooks - headings("hooks.md") == set()


@pytest.mark.parametrize("cls", [ScheduledEvent, EventExecution, EventState])
def test_every_field_of_the_model_has_its_row_with_a_meaning(cls):
    assert set(cls.__struct_fields__) - rows("model.md", cls.__name__) == set()
    assert set(cls.__struct_fields__) - set(attributes(cls)) == set()


@pytest.mark.parametrize("folder", sorted(first_party()))
def test_every_option_of_a_first_party_plugin_has_its_row(folder):
    record = first_party()[folder]
    page = f"plugins/{folder}.md"
    for kind, items in record.contributions.by_kind().items():
        for item in items:
            listed = rows(page, f"Options of the {kind} {item.name}")
            schema = json_schema(getattr(item, "config", None) or item.data)
            name = schema.get("$ref", "").rpartition("/")[2]
            options = schema["$defs"][name] if name else schema
            assert set(options["properties"]) - listed == set()
    if record.contributions.settings is not None:
        fields = msgspec.structs.fields(record.contributions.settings)
        assert {field.name for field in fields} - rows(page, "Settings") == set()


@pytest.mark.parametrize("folder", sorted(first_party()))
def test_every_option_says_what_it_means(folder):
    text = (REFERENCE / f"plugins/{folder}.md").read_text()
    assert re.findall(r"(?m)^\| `([^`]+)` \|.*\|  \|$", text) == []


def test_every_notification_that_the_sources_emit_has_its_heading():
    assert emitted_types() - headings("notifications.md") == set()


def test_no_notification_is_described_that_nothing_emits():
    assert set(NOTIFICATIONS) - emitted_types() == set()


@pytest.mark.parametrize("name", sorted(emitted_keys()))
def test_a_notification_has_the_fields_that_are_described(name):
    assert emitted_keys()[name] <= set(fields_of(NOTIFICATIONS[name]))


def test_trouble_has_the_fields_that_are_described():
    assert set(about_error("").event_data) <= set(fields_of(NOTIFICATIONS["error"]))


def test_every_code_of_a_refusal_has_its_row():
    assert refusal_codes() == rows("errors.md", "Codes of refused commands") - {"code", "---"}
    assert refusal_codes() <= set(CODES)


def test_every_class_of_a_failure_has_its_row():
    listed = rows("errors.md", "Classes of failed executions")
    assert set(error_classes()) <= listed & set(ERROR_CLASSES)


def test_every_class_of_trouble_has_its_row():
    assert trouble_classes() <= rows("errors.md", "Classes of trouble") & set(TROUBLES)


def test_every_exit_code_of_the_command_line_has_its_row():
    output = importlib.import_module("alicia_scheduler.cli.output")
    codes = {value for name, value in vars(output).items() if name.startswith("EXIT_")}
    assert codes <= set(EXITS)
    assert {str(code) for code in EXITS} <= rows("errors.md", "Exit codes of the command line")


@pytest.mark.parametrize("table", TABLES)
def test_every_table_of_the_configuration_has_its_heading_and_its_keys(table):
    assert {key.name for key in keys_of_table(table)} <= rows("configuration.md", table)


def test_every_table_with_a_class_of_its_own_shows_its_keys():
    shown = {table for table in TABLES if keys_of_table(table)}
    assert shown == {table for table in TABLES if CLASSES[table] is not None}
