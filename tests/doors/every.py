"""A whole host with every door open, and each door as something that can be told a command."""

import itertools
import json
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import trio
from click.testing import CliRunner
from tests.doors.house import PATIENCE, free_port

from alicia_scheduler.api import Caller, CommandError, Permission
from alicia_scheduler.cli.main import main
from alicia_scheduler.config.load import load
from alicia_scheduler.control.client import Remote, connected
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.doors import doors_open
from alicia_scheduler.control.tokens import create_token
from alicia_scheduler.host.audit import AUDIT_FILE
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.host import Host
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.testing.mosquitto import Recorder

CONFIG = """
[scheduler]
timezone = "UTC"
instance = "attic"

[control]
listen = {port}
rate = 100000

[services.mqtt]
host = "127.0.0.1"
port = {broker}

[services.alicia_bus]
health_interval = 0
max_rate = 10000
allow = ["*"]
permission = "{bus}"

[events.file-yearly]
schedule_type = "cron"
schedule_config = {{ expression = "0 0 1 1 *" }}
starts_at = 2099-12-31T00:00:00Z
action = {{ topic = "home/yearly", message = "x" }}
"""


class Refused(Exception):
    """A command was refused; ``error`` is the refusal as the door told it."""

    def __init__(self, error):
        super().__init__(str(error))
        self.error = error


class House:
    """A running host with a configuration file and all its doors."""

    def __init__(self, folder, broker, bus):
        self.folder = folder
        self.port = free_port()
        self.broker = broker
        self.state_dir = folder / "state"
        self.file = folder / "home.toml"
        self.text = CONFIG.format(port=self.port, broker=broker, bus=bus)
        self.file.write_text(self.text)

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def open(self):
        configuration = load(str(self.file))
        registry = Registry(load_plugins(find_candidates()))
        checked = check_configuration(configuration, registry, now=datetime.now(UTC))
        assert not checked.issues, checked.issues
        self.host = Host(
            configuration.settings,
            checked,
            registry,
            state_dir=configuration.state_dir,
            configuration=configuration,
        )
        self.control = Control(self.host)
        with Recorder(self.broker, "alicia/#", "reply/#") as self.recorder:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.host.run)
                nursery.start_soon(
                    doors_open, self.control, configuration.control, configuration.state_dir
                )
                with trio.fail_after(PATIENCE):
                    await self.control.answering.wait()
                    await self.recorder.wait_for("alicia/system/discovery/register")
                    await _listening(self.port)
                try:
                    yield self
                finally:
                    self.host.hurry()
                    nursery.cancel_scope.cancel()

    async def until(self, condition):
        """Wait until an answer of the host, ``await condition()``, is true."""
        with trio.fail_after(PATIENCE):
            while not await condition():
                await trio.sleep(0.01)

    def audit_log(self):
        """The lines of the audit log, as far as they are written."""
        return (self.state_dir / AUDIT_FILE).read_text().splitlines()

    async def execution(self, execution_id):
        return await self.host.kernel.store.execution(execution_id)


async def _listening(port):
    while True:
        try:
            return (await trio.open_tcp_stream("127.0.0.1", port)).socket.close()
        except OSError:
            await trio.sleep(0.01)


class Door:
    """What can be told commands, by somebody with a permission."""

    @asynccontextmanager
    async def open(self):
        yield self

    def part(self, command, told):
        """What of an answer this door tells."""
        return told


class Python(Door):
    """In the host's process: what every door calls."""

    name = "python"

    def __init__(self, house, permission, **caller):
        self._control = house.control
        self._caller = Caller(
            **{"door": "python", "name": "tester", "permission": Permission(permission)} | caller
        )

    async def tell(self, command, arguments):
        try:
            return await self._control.execute(self._caller, command, arguments)
        except CommandError as error:
            raise Refused(error.to_json()) from error


class Socket(Door):
    """A WebSocket: the Unix socket, or TCP with a token."""

    def __init__(self, name, where):
        self.name = name
        self._where = where

    @asynccontextmanager
    async def open(self):
        async with connected(self._where, timeout=PATIENCE) as self._session:
            yield self

    async def tell(self, command, arguments):
        try:
            with trio.fail_after(PATIENCE):
                return await self._session.request(command, **arguments)
        except CommandError as error:
            raise Refused(error.to_json()) from error


class Mqtt(Door):
    """Requests on the bus, with MQTT 5's response topic and correlation data."""

    name = "mqtt"
    numbers = itertools.count(1)

    def __init__(self, house):
        self._recorder = house.recorder

    def give(self, command, arguments):
        """Publish a request and wait for no answer; its correlation data."""
        number = f"n-{next(self.numbers)}".encode()
        self._recorder.publish(
            f"alicia/scheduler/command/{command}",
            json.dumps(arguments).encode(),
            response_topic="reply/me",
            correlation_data=number,
        )
        return number

    async def tell(self, command, arguments):
        number = self.give(command, arguments)

        def answers():
            return [m for m in self._recorder.of("reply/me") if m.correlation_data == number]

        await self._recorder.until(lambda: bool(answers()), f"the answer to {command}")
        reply = answers()[0].json()
        assert reply["command"] == command
        if reply["status"] == "error":
            assert reply["data"] is None
            raise Refused(reply["error"])
        assert (reply["status"], reply["error"]) == ("ok", None)
        return reply["data"]


class CommandLine(Door):
    """``alicia … --json``, in this process to spare the time of a start for each verb."""

    def __init__(self, name, folder, *where, token=None):
        self.name = name
        self._folder = folder
        self._where = where
        self._environment = {"ALICIA_TOKEN": token} if token else {}

    async def tell(self, command, arguments):
        words = VERBS[command](self._folder, dict(arguments))
        result = await trio.to_thread.run_sync(
            lambda: CliRunner().invoke(
                main, [*words, "--json", *self._where], env=self._environment
            )
        )
        assert result.exit_code in (0, 1), (words, result.output, result.exception)
        assert result.stdout, (words, result.output, result.exception)
        answer = json.loads(result.stdout)
        if isinstance(answer, dict) and answer.keys() == {"error"}:
            assert result.exit_code == 1
            assert result.stderr.startswith("alicia: ")
            raise Refused(answer["error"])
        return answer

    def part(self, command, told):
        """What of an answer it prints."""
        how, answer = told
        return [how, answer[ALONE[command]] if how == "ok" and command in ALONE else answer]


ALONE = {
    "events/list": "events",
    "events/get": "event",
    "executions/list": "executions",
    "executions/get": "execution",
    "plugins/list": "plugins",
}
"""What of an answer the command line prints alone, as docs/reference/cli.md says."""


def _selected(arguments):
    event_id = arguments.pop("event_id", [])
    tag = arguments.pop("tag", None)
    return [
        *([event_id] if isinstance(event_id, str) else event_id),
        *([] if tag is None else ["--tag", tag]),
    ]


def _verb(*words, positional=(), options=(), flags=()):
    """The words of a verb: arguments in their order, options and flags by their names."""

    def written(folder, arguments):
        found = list(words)
        if positional == "selection":
            found += _selected(arguments)
        else:
            for name in positional:
                value = arguments.pop(name, [])
                found += [value] if isinstance(value, str) else [str(each) for each in value]
        for name, option in dict(options).items():
            if name in arguments:
                value = arguments.pop(name)
                for each in value if isinstance(value, list) else [value]:
                    found += [option, str(each)]
        for name, flag in dict(flags).items():
            if arguments.pop(name, False):
                found.append(flag)
        assert not arguments, f"the command line has no word for {arguments}"
        return found

    return written


def _add(folder, arguments):
    file = folder / "event.json"
    file.write_text(json.dumps(arguments.pop("event")))
    return _verb(
        "events", "add", "--file", str(file), flags={"allow_unresolved": "--allow-unresolved"}
    )(folder, arguments)


def _edit(folder, arguments):
    changes = arguments.pop("changes")
    settings = [f"--set={name}={json.dumps(value)}" for name, value in changes.items()]
    return _verb(
        "events", "edit", *settings, positional=["event_id"], options={"revision": "--revision"}
    )(folder, arguments)


def _preview(folder, arguments):
    if "schedule_config" in arguments:
        arguments["schedule_config"] = json.dumps(arguments["schedule_config"])
    return _verb(
        "preview",
        positional=["event_id", "schedule_type", "schedule_config"],
        options={"timezone": "--timezone", "count": "--count", "from": "--from", "to": "--to"},
        flags={"with_excluded": "--all"},
    )(folder, arguments)


PAUSE = {"until": "--until", "duration": "--for"}

VERBS = {
    "events/list": _verb("events", "list", positional="selection"),
    "events/get": _verb("events", "show", positional=["event_id"]),
    "events/create": _add,
    "events/update": _edit,
    "events/delete": _verb("events", "remove", "--yes", positional="selection"),
    "events/enable": _verb("events", "enable", positional="selection"),
    "events/disable": _verb("events", "disable", positional="selection"),
    "events/trigger": _verb("events", "trigger", positional="selection"),
    "events/test": _verb("events", "test", positional=["event_id"], flags={"live": "--live"}),
    "events/skip": _verb("events", "skip", positional="selection"),
    "events/unskip": _verb("events", "skip", "--undo", positional="selection"),
    "events/pause": _verb("events", "pause", positional="selection", options=PAUSE),
    "events/resume": _verb("events", "resume", positional="selection"),
    "executions/list": _verb(
        "executions",
        "list",
        options={"event_id": "--event", "tag": "--tag", "status": "--status", "limit": "--limit"},
        flags={"final": "--final"},
    ),
    "executions/get": _verb("executions", "show", positional=["execution_id"]),
    "executions/cancel": _verb(
        "executions",
        "cancel",
        positional=["execution_id"],
        options={"event_id": "--event", "tag": "--tag"},
    ),
    "executions/retry": _verb(
        "executions",
        "retry",
        positional=["execution_id"],
        options={"event_id": "--event", "tag": "--tag"},
    ),
    "preview": _preview,
    "explain": _verb("explain", positional=["event_id", "at"]),
    "stats": _verb("stats"),
    "health": _verb("health"),
    "commands/list": _verb("commands"),
    "plugins/list": _verb("plugins", "list"),
    "plugins/show": _verb("plugins", "show", positional=["name"]),
    "plugins/rescan": _verb("plugins", "rescan"),
    "plugins/enable": _verb("plugins", "enable", positional=["name"]),
    "plugins/disable": _verb("plugins", "disable", positional=["name"]),
    "scheduler/pause": _verb("pause", options=PAUSE),
    "scheduler/resume": _verb("resume"),
    "scheduler/reload": _verb("reload", flags={"dry_run": "--dry-run"}),
    "backup": _verb("backup", positional=["path"]),
}
"""The words of the command line for each command of the host."""


class Event(Door):
    """An event that calls the scheduler's own services. Commands that are no service of it, or
    mean many events, are told in its place by ``other``, and are not compared."""

    name = "event"

    def __init__(self, house, other):
        self._house = house
        self._other = other
        self._number = itertools.count(1)
        self.called = set()

    @staticmethod
    def service_of(command, arguments):
        noun, _, verb = command.partition("/")
        ids = [arguments.get(name, "") for name in ("event_id", "execution_id")]
        single = all(isinstance(each, str) and "*" not in each for each in ids)
        if not single or "tag" in arguments or not any(ids):
            return None
        if noun == "events" or command == "executions/cancel":
            return f"scheduler.{verb}"
        return None

    async def call(self, service, arguments):
        """What a call answers: the result of the execution that makes it."""
        self.called.add(service)
        event_id = f"caller-{next(self._number)}"
        action = {"type": "service_call", "service": service, "data": arguments}
        await self._other.tell(
            "events/create",
            {
                "event": {
                    "event_id": event_id,
                    "schedule_type": "once",
                    "schedule_config": {"timestamp": 4_000_000_000},
                    "max_retries": 0,
                    "action": action,
                }
            },
        )
        told = await self._other.tell("events/trigger", {"event_id": event_id})
        execution_id = told["done"][0]["executions"][0]["execution_id"]

        async def ended():
            execution = await self._house.execution(execution_id)
            return execution if execution is not None and execution.status.final else None

        await self._house.until(ended)
        execution = await ended()
        await self._other.tell("events/delete", {"event_id": event_id})
        if execution.status != "completed":
            raise Refused({"code": execution.error_class, "message": execution.error_message})
        return execution.result["answer"]


@asynccontextmanager
async def every_door(house, permission):
    """All doors of a house, open to somebody with a permission; the bus has its own."""
    token = create_token(house.state_dir, f"{permission}-token", Permission(permission))
    remote = Remote(house.url, token)
    doors = [Python(house, permission), Socket("tcp", remote), Mqtt(house)]
    doors.append(CommandLine("url", house.folder, "--url", house.url, token=token))
    if permission == "admin":
        # Who may read the socket's directory is the host's own user, and may do everything.
        doors.append(Socket("unix", house.state_dir))
        doors.append(CommandLine("local", house.folder, "--state-dir", str(house.state_dir)))
    async with AsyncExitStack() as stack:
        for door in doors:
            await stack.enter_async_context(door.open())
        yield doors
