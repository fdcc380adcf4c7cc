"""One story, told to a host through every door: the answers are the same.

The story is a table of commands with their arguments, right ones and wrong ones. Each door tells
it about events of its own; what the host answers is compared word for word, with the instants, the
ids and the measured figures taken out. A command that the story does not tell, or that a door has
no way to tell, makes the test fail.
"""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tests.doors.every import VERBS, CommandLine, Event, House, Mqtt, Python, Refused, every_door

from alicia_scheduler.api import CommandError, Permission
from alicia_scheduler.control.commands import COMMANDS
from alicia_scheduler.host.schedulercalls import SCHEDULER_CALLS

FIRST = 4102444800
"""2100-01-01T00:00Z, the first slot of the events here."""

YEARLY = {
    "schedule_type": "cron",
    "schedule_config": {"expression": "0 0 1 1 *"},
    "starts_at": "2099-12-31T00:00:00Z",
    "max_retries": 0,
}

BROKEN = """
[events.more{tag}]
schedule_type = "cron"
schedule_config = {{ expression = "0 0 1 1 *" }}
action = {{ topic = "home/more", mesage = "x" }}
jitter = -1
"""

MORE = """
[events.more{tag}]
schedule_type = "cron"
schedule_config = {{ expression = "0 0 1 1 *" }}
starts_at = 2099-12-31T00:00:00Z
action = {{ topic = "home/more", message = "x" }}
"""


@dataclass
class Row:
    """One command of the story.

    Attributes:
        arguments: those of the command; or a function of what the door has seen so far.
        learn: takes what later rows need out of the answer.
        until: waits for what the command set off.
        file: what the configuration file has more, before the command is told.
        words: whether the command line has words for it; it has none for what is no command.
    """

    command: str
    arguments: Any = None
    learn: Callable[[Any, Any], None] = lambda seen, answer: None
    until: Callable[[Any], Any] | None = None
    file: str | None = None
    words: bool = True

    def __str__(self):
        return self.command

    def of(self, seen):
        arguments = self.arguments(seen) if callable(self.arguments) else self.arguments or {}
        return json.loads(json.dumps(arguments))


def event(event_id, action, **more):
    def arguments(seen):
        return {
            "event": {
                "event_id": event_id + seen.tag,
                "tags": [f"of{seen.tag}"],
                "action": action,
                **YEARLY,
                **more,
            }
        }

    return arguments


def one(event_id, **more):
    return lambda seen: {"event_id": event_id + seen.tag, **more}


def learn_revision(seen, answer):
    seen.revision = answer.get("event", answer)["revision"]


def learn_execution(seen, answer):
    seen.execution = answer["done"][0]["executions"][0]["execution_id"]


async def ended(seen):
    execution = await seen.house.execution(seen.execution)
    return execution is not None and execution.status.final


async def running(seen):
    execution = await seen.house.execution(seen.execution)
    return execution is not None and execution.status == "running"


PUBLISH = {"type": "mqtt_publish", "topic": "home/lamp", "message": "on"}
HELD = {"type": "mqtt_publish", "topic": "home/held", "completion": "report"}
FAILING = {"type": "service_call", "service": "scheduler.trigger", "data": {"event_id": "nobody"}}

STORY = [
    Row("commands/list"),
    Row("health"),
    Row("stats"),
    Row("plugins/list"),
    Row("plugins/show", {"name": "schedule-cron"}),
    Row("plugins/show", {"name": "nobody"}),
    Row("events/list", {"event_id": "file-*"}),
    # -- what there is
    Row("events/create", event("lamp", PUBLISH)),
    Row("events/create", event("lamp", PUBLISH)),
    Row("events/create", event("wrong", {**PUBLISH, "qos": 7})),
    Row("events/create", event("wrong", {**PUBLISH, "tpic": 1}, timezone="Europe/Berlim")),
    Row("events/create", event("wrong", {"type": "lamp.blink"})),
    Row("events/create", event("works", PUBLISH)),
    Row("events/create", event("held", HELD)),
    Row("events/create", event("fails", FAILING)),
    Row("events/get", one("lamp"), learn=learn_revision),
    Row("events/get", one("nobody")),
    Row(
        "events/update",
        lambda s: {"event_id": f"lamp{s.tag}", "revision": s.revision, "changes": {"name": "Lamp"}},
    ),
    Row(
        "events/update",
        lambda s: {"event_id": f"lamp{s.tag}", "revision": s.revision, "changes": {"name": "No"}},
    ),
    Row(
        "events/update",
        lambda s: {"event_id": f"lamp{s.tag}", "revision": 2, "changes": {"timeout": -5}},
    ),
    Row("events/update", {"event_id": "file-yearly", "revision": 1, "changes": {"name": "No"}}),
    Row("events/list", lambda s: {"tag": f"of{s.tag}"}),
    Row("events/list", lambda s: {"event_id": [f"l*{s.tag}", f"held{s.tag}"], "tag": f"of{s.tag}"}),
    # -- steering
    Row("events/disable", lambda s: {"tag": f"of{s.tag}"}),
    Row("events/disable", one("lamp")),
    Row("events/enable", lambda s: {"event_id": f"*{s.tag}"}),
    Row("events/enable", lambda s: {"event_id": [f"lamp{s.tag}", f"nobody{s.tag}"]}),
    Row("events/enable", one("lamp")),
    Row("events/disable", one("nobody")),
    Row("events/skip", one("lamp")),
    Row("events/unskip", one("lamp")),
    Row("events/unskip", one("lamp")),
    Row("events/skip", one("nobody*")),
    Row("events/pause", one("lamp", until="2090-01-01T00:00:00Z")),
    Row("events/pause", one("nobody")),
    Row("events/resume", one("lamp")),
    Row("events/resume", lambda s: {"tag": f"none{s.tag}"}),
    Row("events/test", one("lamp")),
    Row("events/test", one("lamp", live=True)),
    Row("events/test", one("nobody")),
    # -- foresight
    Row("preview", one("lamp", count=3)),
    Row("preview", one("nobody")),
    Row(
        "preview",
        {
            "schedule_type": "cron",
            "schedule_config": {"expression": "30 2 * * *"},
            "timezone": "Europe/Berlin",
            "from": "2026-03-28T00:00:00Z",
            "to": "2026-03-30T00:00:00Z",
        },
    ),
    Row("preview", {"schedule_type": "cron", "schedule_config": {"expression": "61 2 * * *"}}),
    Row("explain", one("lamp", at="2100-01-01T00:00:00Z")),
    Row("explain", one("nobody")),
    # -- executions
    Row("events/trigger", one("works"), learn=learn_execution, until=ended),
    Row("events/trigger", one("nobody")),
    Row("executions/list", lambda s: {"event_id": [f"works{s.tag}"], "limit": 5}),
    Row("executions/get", lambda s: {"execution_id": s.execution}),
    Row("executions/get", {"execution_id": "nobody"}),
    Row(
        "executions/retry",
        lambda s: {"execution_id": [s.execution]},
        learn=learn_execution,
        until=ended,
    ),
    Row("executions/retry", {"execution_id": ["nobody"]}),
    Row("events/trigger", one("fails"), learn=learn_execution, until=ended),
    Row("executions/list", lambda s: {"tag": f"of{s.tag}", "status": ["failed"], "final": True}),
    Row("executions/retry", lambda s: {"tag": f"of{s.tag}"}, learn=learn_execution, until=ended),
    Row("executions/retry", lambda s: {"event_id": [f"works{s.tag}"]}),
    Row("events/trigger", one("held"), learn=learn_execution, until=running),
    Row("executions/retry", lambda s: {"execution_id": [s.execution]}),
    Row("executions/cancel", lambda s: {"execution_id": [s.execution]}, until=ended),
    Row("events/trigger", one("held"), learn=learn_execution, until=running),
    Row("executions/cancel", one("held"), until=ended),
    Row("executions/cancel", {"execution_id": ["nobody"]}),
    Row("executions/cancel", one("nobody")),
    # -- the host as a whole
    Row("scheduler/pause", {"until": "2090-01-01T00:00:00Z"}),
    Row("explain", one("lamp", at="2089-01-01T00:00:00Z")),
    Row("explain", one("lamp")),
    Row("health"),
    Row("scheduler/resume"),
    Row("scheduler/reload", {"dry_run": True}, file=MORE),
    Row("scheduler/reload", {"dry_run": True}, file=BROKEN),
    Row("scheduler/reload", file=BROKEN),
    Row("scheduler/reload", file=MORE),
    Row("scheduler/reload", file=""),
    Row("backup", lambda s: {"path": str(s.house.folder / f"copy{s.tag}.db")}),
    Row("backup", lambda s: {"path": str(s.house.folder / f"copy{s.tag}.db")}),
    Row("plugins/disable", {"name": "schedule-solar"}),
    Row("plugins/enable", {"name": "schedule-solar"}),
    Row("plugins/disable", {"name": "nobody"}),
    Row("plugins/rescan"),
    Row("events/delete", one("lamp")),
    Row("events/delete", one("lamp")),
    Row("events/delete", {"event_id": "file-yearly"}),
    Row("events/delete", lambda s: {"tag": f"of{s.tag}"}),
    # -- what is no command
    Row("events/lst", words=False),
    Row("events/trigger", {}, words=False),
    Row("events/trigger", {"event_id": "lamp", "tga": "x"}, words=False),
    Row("events/pause", {"event_id": "lamp", "duration": "long"}, words=False),
    Row("events/list", {"limit": 0}, words=False),
    Row("events/create", {"event": []}, words=False),
]

MEASURED = {
    *("uptime", "age", "mean", "max", "peak_memory", "notifications", "written", "size"),
    *("import_time", "starts", "ended", "count"),
}
"""Figures that are measured, and differ from one time to the other."""

NAMED = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


INSTANT = re.compile(r"[0-9]{10}\.[0-9]+")


class Transcript:
    """What a door was answered, with all that cannot be the same taken out."""

    def __init__(self, tag):
        self._tag = tag
        self._names = {}

    def of(self, value):
        text = json.dumps(value).replace(self._tag, "")
        return self._plain(json.loads(NAMED.sub(self._name, text)))

    def _name(self, found):
        return self._names.setdefault(found[0], f"id {len(self._names) + 1}")

    def _plain(self, value, key=""):
        if isinstance(value, dict):
            if key == "ended":  # how often what ended before
                return "measured"
            return {name: self._plain(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if isinstance(value, str) and INSTANT.fullmatch(value):
            return "measured"
        if key == "origin":
            return {"mqtt": "api"}.get(value, value)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            near = abs(value - time.time()) < 86_400
            return "measured" if near or key in MEASURED or value != int(value) else value
        return value


async def tell(door, house, row, seen):
    """What a door is told in answer to a row: ``("ok", answer)`` or ``("refused", error)``."""
    if row.file is not None:
        house.file.write_text(house.text + row.file.format(tag=seen.tag))
    try:
        answer = await door.tell(row.command, row.of(seen))
    except Refused as refusal:
        return "refused", refusal.error
    row.learn(seen, answer)
    if row.until is not None:
        await house.until(lambda: row.until(seen))
    return "ok", answer


async def told_by(door, house, rows):
    """The story as one door tells it."""
    seen = SimpleNamespace(tag=f"-{door.name}-x", house=house, execution="", revision=1)
    transcript = Transcript(seen.tag)
    return [transcript.of(await tell(door, house, row, seen)) for row in rows]


async def test_every_command_has_the_same_answer_through_every_door(tmp_path, mosquitto):
    assert {row.command for row in STORY if row.words} == COMMANDS.keys()
    assert VERBS.keys() == COMMANDS.keys()
    different = []
    async with House(tmp_path, mosquitto.port, "admin").open() as house:
        async with every_door(house, "admin") as (first, *others):
            expected = await told_by(first, house, STORY)
            assert_worth_telling(expected)
            for door in others:
                rows = [row for row in STORY if row.words or not isinstance(door, CommandLine)]
                known = [told for row, told in zip(STORY, expected, strict=True) if row in rows]
                told = await told_by(door, house, rows)
                for row, before, now in zip(rows, known, told, strict=True):
                    unlikes = unlike(door.part(row.command, before), now)
                    different += [f"{door.name}: {row}: {each}" for each in unlikes]
        await house.until(lambda: audited(house))
    assert different == [], "\n".join(different)


async def audited(house):
    """Whether the audit log names every command that changes anything with the door that it came
    through, done and refused alike."""
    lines = [json.loads(line) for line in house.audit_log()]
    told = {(line["door"], line["command"]) for line in lines}
    named = {name for name, each in COMMANDS.items() if each.permission is not Permission.READ}
    assert {command for _, command in told} <= named
    return told >= {(door, name) for door in ("python", "unix", "tcp", "mqtt") for name in named}


async def test_who_may_not_is_refused_by_the_same_words_through_every_door(tmp_path, mosquitto):
    least = {}
    for row in STORY:
        if row.words:
            least.setdefault(row.command, row)
    asked = SimpleNamespace(tag="", revision=1, execution="nobody")
    different = []
    async with House(tmp_path, mosquitto.port, "admin").open() as house:
        asked.house = house
        for permission in ("read", "operate"):
            house.file.write_text(
                house.text.replace('permission = "admin"', f'permission = "{permission}"')
            )
            await house.host.reload()
            async with every_door(house, permission) as doors:
                for door in doors:
                    for name, command in COMMANDS.items():
                        if Permission(permission).includes(command.permission):
                            continue
                        message = f"{name} needs {command.permission}, you have {permission}"
                        arguments = least[name].of(asked)
                        if name == "events/update":  # the command line looks at the event first
                            arguments["event_id"] = "file-yearly"
                        told = await tell(door, house, Row(name, arguments), asked)
                        if told != ("refused", {"code": "not_allowed", "message": message}):
                            different.append((door.name, name, told))
    assert different == []


async def test_the_services_of_the_scheduler_answer_as_its_commands_do(tmp_path, mosquitto):
    different = []
    async with House(tmp_path, mosquitto.port, "admin").open() as house:
        python = Python(house, "admin")
        event = Event(house, python)
        expected = await told_by(python, house, STORY)
        seen = SimpleNamespace(tag="-event-x", house=house, execution="", revision=1)
        for row, (how, answer) in zip(STORY, expected, strict=True):
            service = event.service_of(row.command, row.of(seen))
            # What a service is given in a wrong form is refused when the event is written.
            if service not in {call.name for call in SCHEDULER_CALLS} or not row.words:
                await tell(python, house, row, seen)
                continue
            try:
                result = await event.call(service, row.of(seen))
            except Refused as refusal:
                told = [refusal.error["code"], refusal.error["message"]]
                before = [answer["code"], str(CommandError(**answer))] if how == "refused" else how
            else:
                told = result
                before = as_a_service_tells(row.command, answer)
                if "executions" in result:
                    seen.execution = result["executions"][0]["execution_id"]
                if row.until is not None:
                    await house.until(lambda row=row: row.until(seen))
            unlikes = unlike(unnumbered(before), unnumbered(Transcript(seen.tag).of(told)))
            different += [f"{service}: {each}" for each in unlikes]
    assert event.called == {call.name for call in SCHEDULER_CALLS}
    assert different == [], "\n".join(different)


def unnumbered(value):
    """An answer in which all ids are the same: a call tells fewer of them than a command."""
    return json.loads(re.sub(r"id [0-9]+", "id", json.dumps(value)))


def as_a_service_tells(command, answer):
    """What a service call about one event or execution tells of a command's answer."""
    if command == "executions/cancel":
        return {"cancelled": [each["execution_id"] for each in answer["done"]]}
    [done] = answer["done"]
    if command == "events/trigger":
        told = ("execution_id", "status", "reason")
        return {"executions": [{name: run[name] for name in told} for run in done["executions"]]}
    return {name: value for name, value in done.items() if name != "event_id"}


async def test_an_action_that_the_bus_may_not_use_is_refused_by_the_words_of_its_door(
    tmp_path, mosquitto
):
    script = {"type": "script_execution", "command": ["true"]}
    seen = SimpleNamespace(tag="", revision=1)
    rows = [
        Row("events/create", event("lamp", script)),
        Row("events/test", {"event_id": "script"}),
        Row("events/update", {"event_id": "script", "revision": 1, "changes": {"name": "x"}}),
        Row(
            "events/update",
            lambda s: {**one("plain")(s), "revision": 1, "changes": {"action": script}},
        ),
    ]
    async with House(tmp_path, mosquitto.port, "admin").open() as house:
        admin = Python(house, "admin")
        for row in (
            Row("events/create", event("script", script)),
            Row("events/create", event("plain", PUBLISH)),
        ):
            assert (await tell(admin, house, row, seen))[0] == "ok"
        denied = Python(house, "admin", door="mqtt", denied_actions={"script_execution"})
        bus = Mqtt(house)
        for row in rows:
            how, error = await tell(bus, house, row, seen)
            assert (how, error["code"]) == ("refused", "not_allowed")
            assert "script_execution" in error["message"]
            assert (how, error) == await tell(denied, house, row, seen)
            assert (await tell(admin, house, row, seen))[0] == "ok"


def unlike(expected, found, place="answer"):
    """Where two answers differ, one sentence each."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in sorted(expected.keys() | found.keys()):
            here = f"{place}.{name}"
            if name in expected and name in found:
                yield from unlike(expected[name], found[name], here)
            else:
                yield f"{here} is missing {'here' if name in expected else 'in the process'}"
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for at, pair in enumerate(zip(expected, found, strict=True)):
            yield from unlike(*pair, f"{place}[{at}]")
    elif expected != found:
        yield f"{place} is {found!r}, in the process {expected!r}"


def assert_worth_telling(expected):
    """The story is worth telling: each command was done once at least, and all kinds of refusal
    came."""
    done = {row.command for row, (how, _) in zip(STORY, expected, strict=True) if how == "ok"}
    assert done == COMMANDS.keys()
    codes = {error["code"] for how, error in expected if how == "refused"}
    assert codes == {
        "not_found",
        "invalid_format",
        "not_allowed",
        "not_supported",
        "conflict",
        "unknown_command",
    }


async def test_the_bus_may_close_itself_and_nobody_waits_for_ever(tmp_path, mosquitto, caplog):
    async with House(tmp_path, mosquitto.port, "admin").open() as house:
        bus, python = Mqtt(house), Python(house, "admin")
        told = []
        house.host.notifier.listen(lambda notification: told.append(notification.event_type))

        async def came(event_type):
            return event_type in told

        house.file.write_text(house.text.replace("max_rate = 10000", "max_rate = 9999"))
        bus.give("scheduler/reload", {})
        await house.until(lambda: came("configuration_reloaded"))
        assert (await python.tell("scheduler/reload", {}))["settings"] == []
        assert (await bus.tell("health", {}))["status"] == "healthy"
        bus.give("plugins/disable", {"name": "service-alicia-bus"})
        await house.until(lambda: came("plugins_changed"))
        assert (await python.tell("plugins/show", {"name": "service-alicia-bus"}))["plugin"][
            "status"
        ] == "disabled"
        await python.tell("plugins/enable", {"name": "service-alicia-bus"})
        assert (await bus.tell("health", {}))["status"] == "healthy"
    assert "a retained command" not in caplog.text  # what the host itself keeps on the bus is none
