"""The table of commands: each is described, guarded and answers what its schema says."""

import inspect
from contextlib import asynccontextmanager

import jsonschema
import msgspec
import pytest

from alicia_scheduler.api import Caller, CommandError, Permission
from alicia_scheduler.control.commands import COMMANDS
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.schema import answer_schema, arguments_schema, attributes_of
from alicia_scheduler.testing.configured import running_host

ADMIN = Caller(door="python", name="tester", permission=Permission.ADMIN)

NAMES = sorted(COMMANDS)

EVENT = {
    "event_id": "new",
    "schedule_type": "test.every",
    "schedule_config": {"seconds": 3600},
    "action": {"type": "test.note", "message": "x"},
}

CONFIG = """
[scheduler]
timezone = "UTC"
[events.bell]
schedule_type = "test.every"
schedule_config = { seconds = 3600 }
action = { type = "test.note", message = "ding" }
tags = ["sound"]
[events.long]
schedule_type = "test.every"
schedule_config = { seconds = 3600 }
action = { type = "test.hold" }
mode = "parallel"
"""

EXAMPLES = {
    "backup": {},
    "commands/list": {},
    "events/create": {"event": EVENT},
    "events/delete": {"event_id": "made", "revision": 1},
    "events/disable": {"tag": "sound"},
    "events/enable": {"event_id": ["bell", "nobody"]},
    "events/get": {"event_id": "bell"},
    "events/list": {"event_id": "*", "status": "pending", "limit": 10},
    "events/pause": {"event_id": "b*", "duration": 60},
    "events/resume": {"event_id": "b*"},
    "events/skip": {"event_id": "bell"},
    "events/test": {"event_id": "bell", "live": True},
    "events/trigger": {"event_id": "bell"},
    "events/unskip": {"event_id": "bell"},
    "events/update": {"event_id": "made", "revision": 1, "changes": {"priority": 3}},
    "executions/cancel": {"event_id": "long"},
    "executions/get": {"execution_id": "…"},
    "executions/list": {"event_id": "*", "final": True, "status": ["completed", "failed"]},
    "executions/retry": {"execution_id": "…"},
    "explain": {"event_id": "bell"},
    "health": {},
    "plugins/disable": {"name": "test"},
    "plugins/enable": {"name": "test"},
    "plugins/list": {},
    "plugins/rescan": {},
    "plugins/show": {"name": "test"},
    "preview": {"event_id": "bell", "count": 3, "from": "2026-02-01T00:00:00Z"},
    "scheduler/pause": {"until": "2027-01-01T00:00:00Z"},
    "scheduler/reload": {"dry_run": True},
    "scheduler/resume": {},
    "stats": {},
}
"""One call of each command that is carried out."""


@asynccontextmanager
async def commanded(**options):
    """A running host, and ``tell(name, **arguments)``."""
    control = None

    def before(host):
        nonlocal control
        control = Control(host)

    async with running_host(options.pop("text", CONFIG), before=before, **options) as under_test:

        async def tell(command, /, *, caller=ADMIN, **arguments):
            return await control.execute(caller, command, arguments)

        yield under_test, tell


def valid(name, answer):
    """The answer, when it is what the schema says and goes over the wire as it is."""
    schema = answer_schema(COMMANDS[name])
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)
    assert msgspec.json.decode(msgspec.json.encode(answer)) == answer
    return answer


def test_there_is_an_example_of_every_command():
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("name", NAMES)
async def test_a_command_answers_what_its_schema_says(name, tmp_path):
    arguments = dict(EXAMPLES[name])
    async with commanded(state_dir=tmp_path / "state") as (under_test, tell):
        if arguments.get("event_id") == "made":
            await tell("events/create", event={**EVENT, "event_id": "made"})
        if arguments.get("execution_id") == "…":
            (done,) = (await tell("events/trigger", event_id="bell"))["done"]
            arguments["execution_id"] = done["executions"][0]["execution_id"]
            while not under_test.told("execution_completed"):
                await under_test.clock.advance(0.01)
        if name == "executions/cancel":
            await tell("events/trigger", event_id="long")
        schema = arguments_schema(COMMANDS[name])
        jsonschema.validate(arguments, schema, jsonschema.Draft202012Validator)
        valid(name, await tell(name, **arguments))


@pytest.mark.parametrize("name", NAMES)
def test_a_command_says_what_it_is(name):
    command = COMMANDS[name]
    assert command.summary.endswith(".")
    assert command.summary[0].isupper()
    for shape in (command.arguments, getattr(command.answer, "__origin__", command.answer)):
        if shape is dict:
            continue
        assert inspect.getdoc(shape)
        undescribed = {
            field.encode_name for field in msgspec.structs.fields(shape)
        } - attributes_of(shape).keys()
        assert undescribed == set()


@pytest.mark.parametrize("name", NAMES)
async def test_a_command_refuses_an_argument_that_it_does_not_have(name):
    async with commanded() as (_, tell):
        with pytest.raises(CommandError, match="unknown key 'bogus'") as refusal:
            await tell(name, **EXAMPLES[name], bogus=1)
    assert refusal.value.code == "invalid_format"
    assert refusal.value.path == ("bogus",)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (name, field.encode_name)
        for name in NAMES
        for field in msgspec.structs.fields(COMMANDS[name].arguments)
    ],
)
async def test_a_command_refuses_an_argument_of_a_wrong_type_and_names_it(name, key):
    async with commanded() as (_, tell):
        if EXAMPLES[name].get("event_id") == "made":
            await tell("events/create", event={**EVENT, "event_id": "made"})
        for wrong in ({"a": {"b": 1}}, 1.5, True, []):
            schema = arguments_schema(COMMANDS[name])["properties"][key]
            whole = schema | {"$defs": arguments_schema(COMMANDS[name]).get("$defs", {})}
            if jsonschema.Draft202012Validator(whole).is_valid(wrong):
                continue
            with pytest.raises(CommandError) as refusal:
                await tell(name, **{**EXAMPLES[name], key: wrong})
            assert refusal.value.code == "invalid_format"
            assert refusal.value.path[:1] == (key,)


@pytest.mark.parametrize("name", NAMES)
async def test_a_command_is_refused_to_those_who_may_less(name):
    needed = COMMANDS[name].permission
    async with commanded() as (_, tell):
        for permission in Permission:
            if permission.includes(needed):
                continue
            caller = Caller(door="tcp", name="guest", permission=permission)
            with pytest.raises(CommandError, match=f"needs {needed}") as refusal:
                await tell(name, caller=caller, **EXAMPLES[name])
            assert refusal.value.code == "not_allowed"


def test_who_looks_changes_nothing_and_who_operates_defines_nothing():
    by_permission = {}
    for name, command in COMMANDS.items():
        by_permission.setdefault(command.permission, set()).add(name)
    assert by_permission == {
        Permission.READ: {
            "commands/list",
            "events/get",
            "events/list",
            "executions/get",
            "executions/list",
            "explain",
            "health",
            "plugins/list",
            "plugins/show",
            "preview",
            "stats",
        },
        Permission.OPERATE: {
            "events/disable",
            "events/enable",
            "events/pause",
            "events/resume",
            "events/skip",
            "events/test",
            "events/trigger",
            "events/unskip",
            "executions/cancel",
            "executions/retry",
            "scheduler/pause",
            "scheduler/resume",
        },
        Permission.ADMIN: {
            "backup",
            "events/create",
            "events/delete",
            "events/update",
            "plugins/disable",
            "plugins/enable",
            "plugins/rescan",
            "scheduler/reload",
        },
    }


async def test_an_unknown_command_is_refused_with_the_likely_one():
    async with commanded() as (_, tell):
        with pytest.raises(CommandError, match="events/trigger") as refusal:
            await tell("events/tigger", event_id="bell")
    assert refusal.value.code == "unknown_command"


async def test_before_the_schedule_runs_nothing_is_answered():
    async with running_host() as under_test:
        control = Control(under_test.host)
        under_test.host.started = type(under_test.host.started)()
        with pytest.raises(CommandError) as refusal:
            await control.execute(ADMIN, "events/list", {})
    assert refusal.value.code == "unavailable"


async def test_arguments_that_are_nested_too_deep_are_refused():
    bomb = {}
    for _ in range(500):
        bomb = {"a": bomb}
    async with commanded() as (_, tell):
        with pytest.raises(CommandError, match="levels") as refusal:
            await tell("events/create", event=bomb)
    assert refusal.value.code == "invalid_format"


async def test_a_fault_of_ours_is_told_as_one_and_the_host_goes_on(monkeypatch, caplog):
    async with commanded() as (under_test, tell):
        monkeypatch.setattr(under_test.host, "service_problems", lambda: 1 / 0)
        with pytest.raises(CommandError) as refusal:
            await tell("health")
        assert refusal.value.code == "unknown_error"
        assert "ZeroDivisionError" in caplog.text
        assert (await tell("events/list"))["next"] is None
