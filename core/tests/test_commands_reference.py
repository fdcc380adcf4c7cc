"""The page about the commands says what the table says."""

from pathlib import Path

import pytest

from alicia_scheduler.control.commands import COMMANDS
from alicia_scheduler.control.reference import answered_fields, command_fields, reference

PAGE = Path(__file__).parents[2] / "docs/reference/commands.md"


def test_the_page_is_in_step_with_the_table():
    assert PAGE.read_text() == reference(), (
        "make it anew: python -m alicia_scheduler.control.reference > docs/reference/commands.md"
    )


def test_help_can_be_made_of_what_each_argument_says():
    fields = {field.name: field for field in command_fields(COMMANDS["events/pause"])}
    assert list(fields) == ["event_id", "tag", "until", "duration"]
    assert fields["until"].kind == "instant or epoch seconds or null"
    assert fields["duration"].meaning.startswith("Seconds from now on")
    assert fields["duration"].default == "null"
    (one,) = command_fields(COMMANDS["events/get"])
    assert (one.name, one.kind, one.required, one.default) == ("event_id", "text", True, None)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_argument_and_every_field_of_an_answer_has_a_meaning(name):
    command = COMMANDS[name]
    fields = [*command_fields(command), *answered_fields(command)]
    assert [field.name for field in fields if not field.meaning] == []
