"""A secret is planted everywhere a host can leak one, and then looked for everywhere."""

import base64
import json
import logging
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from alicia_scheduler.api import (
    ActionType,
    CommandError,
    Permanent,
    Retryable,
    ScheduleType,
    ServiceType,
    SinkType,
)
from alicia_scheduler.config.control import ControlSettings
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration, load
from alicia_scheduler.control.client import call
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.doors import doors_open
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.host import Host
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.secrets.redaction import keep_secrets_out
from alicia_scheduler.testing.kernel import At

ALICIA = str(Path(sys.executable).parent / "alicia")

CANARY = 'cänary/"7f3a\\91c0'
"""A value that is spelt otherwise in JSON, in a repr and in an address."""

CONFIG = """
[scheduler]
timezone = "UTC"
[secrets]
from-env = { env = "CANARY" }
from-file = { file = "canary.txt" }
[services."test.door"]
password = { secret = "from-file" }
[sinks."test.witness"]
password = { secret = "own" }
durable = true
"""


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the leaky parts are told."""

    how: str = ""
    password: str | None = None
    message: Any = None


class Leaky:
    """Parts of a plugin that tell their secret in every way there is."""

    def __init__(self):
        self.passwords = []
        self.notifications = []

    @asynccontextmanager
    async def open_action(self, context):
        self.logger = context.logger
        yield self

    async def run(self, config, execution):
        self.passwords.append(config.password)
        self.logger.warning("about to use %s", config.password)
        match config.how:
            case "result":
                return {
                    "told": config.password,
                    "raw": [f"x{config.password}y"],
                    config.password: 1,
                }
            case "retryable":
                raise Retryable(f"refused {config.password}")
            case "permanent":
                raise Permanent(f"refused {config.password!r}")
            case "exception":
                try:
                    raise KeyError(config.password)
                except KeyError as error:
                    self.logger.exception("with a traceback")
                    raise ValueError(f"address http://x/{config.password}") from error
            case "note":
                error = ValueError("no")
                error.add_note(f"with {config.password}")
                raise error
            case "huge":
                return {"head": "x" * 100_000 + config.password, "also": config.password * 9000}
            case "unprintable":
                return object.__new__(type(config.password, (), {}))
        return config.message

    @asynccontextmanager
    async def open_service(self, config, context):
        self.passwords.append(config.password)
        raise OSError(f"the door does not know {config.password}")
        yield

    @asynccontextmanager
    async def open_sink(self, config, context):
        self.passwords.append(config.password)
        if len(self.passwords) < 3:
            raise OSError(f"the witness does not know {config.password}")
        yield self

    async def write(self, notifications):
        self.notifications.extend(notifications)

    def registry(self):
        plugin = PluginRecord("test", "test", "0")
        registry = Registry([plugin])
        registry.schedule_types.add(
            plugin,
            [ScheduleType(name="test.never", config=Words, build=lambda config, context: At(()))],
        )
        registry.action_types.add(
            plugin,
            [
                ActionType(
                    name="test.leak",
                    config=Words,
                    open=self.open_action,
                    preview=lambda config, execution: {"would tell": config.password},
                )
            ],
        )
        registry.services.add(
            plugin, [ServiceType(name="test.door", config=Words, open=self.open_service)]
        )
        registry.sinks.add(
            plugin, [SinkType(name="test.witness", config=Words, open=self.open_sink)]
        )
        return registry


HOWS = ("result", "retryable", "permanent", "exception", "note", "huge", "unprintable", "template")


def events():
    for how in HOWS:
        message = '"{{ 1 / (attempt - 1) }}"' if how == "template" else '"{{ event.id }}"'
        yield (
            f'[events.{how}]\nschedule_type = "test.never"\nschedule_config = {{}}\n'
            "max_retries = 0\n"
            f'action = {{ type = "test.leak", how = "{how}", message = {message}, '
            f'password = {{ secret = "from-env" }} }}\n'
        )


@pytest.fixture
def log(tmp_path):
    """What a host logs, at the level of debugging, as `alicia run` sets it up."""
    root, file = logging.getLogger(), tmp_path / "host.log"
    before, level, hook = list(root.handlers), root.level, sys.excepthook
    root.handlers = [logging.FileHandler(file)]
    root.setLevel(logging.DEBUG)
    yield file
    root.handlers[0].close()
    root.handlers, sys.excepthook = before, hook
    root.setLevel(level)


def spellings():
    raw = CANARY.encode()
    return {
        raw,
        json.dumps(CANARY)[1:-1].encode(),
        json.dumps(CANARY, ensure_ascii=False)[1:-1].encode(),
        repr(CANARY)[1:-1].encode(),
        base64.b64encode(raw),
        b"7f3a",
        b"91c0",
    }


def leaks(texts):
    return {name for name, text in texts.items() for word in spellings() if word in text}


async def test_a_secret_is_nowhere_but_where_it_is_used(tmp_path, log, monkeypatch):
    monkeypatch.setenv("CANARY", CANARY)
    tmp_path.joinpath("canary.txt").write_text(CANARY + "\n")
    own = tmp_path / "secrets.toml"
    own.write_text(f"own = {json.dumps(CANARY, ensure_ascii=False)}\n")
    own.chmod(0o600)
    file = tmp_path / "home.toml"
    file.write_text(CONFIG + "".join(events()))
    leaky, state = Leaky(), tmp_path / "state"
    registry = leaky.registry()
    loaded = load(file)
    checked = check_configuration(loaded, registry, now=datetime.now(UTC))
    assert [str(issue) for issue in checked.issues] == []
    keep_secrets_out(checked.secrets.redactor)

    host = Host(loaded.settings, checked, registry, state_dir=state)
    answers, told = {}, []
    host.notifier.listen(told.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.run)
        await host.started.wait()
        door = trio.CancelScope()

        async def open_door():
            with door:
                await doors_open(Control(host), ControlSettings(), state)

        nursery.start_soon(open_door)
        await trio.testing.wait_all_tasks_blocked(0.05)
        for how in HOWS:
            for name, command, more in (
                ("trigger", "events/trigger", {}),
                ("dry run", "events/test", {}),
                ("live run", "events/test", {"live": True}),
            ):
                answer = await trio.to_thread.run_sync(
                    lambda c=command, h=how, m=more: call(state, c, event_id=h, **m)
                )
                answers[f"{name} of {how}"] = msgspec.json.encode(answer)
        with pytest.raises(CommandError):
            await trio.to_thread.run_sync(lambda: call(state, "events/test", event_id="none"))
        with trio.fail_after(30):
            while len(await ended(host)) < len(HOWS) or not leaky.notifications:
                await trio.sleep(0.02)
        door.cancel()
        host.stop()

    # It was really used, and really told about.
    assert leaky.passwords.count(CANARY) >= 2 * (len(HOWS) - 1) + 2
    history = cli(state, "executions", "list", "--json")
    classes = {run["event_id"]: run["error_class"] for run in json.loads(history)}
    assert classes.keys() == set(HOWS)
    assert classes["template"] == "template"
    assert history.count(b"***") >= 6
    assert b"about to use ***" in log.read_bytes()
    assert b"***" in answers["dry run of result"]
    assert "error" in {item.event_type for item in told}

    texts = answers | {
        "history": history,
        "listing": cli(state, "executions", "list"),
        "events": cli(state, "events", "list", "--json"),
        "log": log.read_bytes(),
        "notifications": msgspec.json.encode(told),
        "what the sink got": msgspec.json.encode(leaky.notifications),
        **{str(path): path.read_bytes() for path in state.rglob("*") if path.is_file()},
    }
    assert any(name.endswith(".db") or "sqlite" in name for name in texts), sorted(texts)
    assert leaks(texts) == set()


async def ended(host):
    found = await host.kernel.store.list_executions(limit=100)
    return [run for run in found if run.status.final]


def cli(state, *arguments):
    command = [ALICIA, *arguments, "--state-dir", str(state)]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def test_what_is_missing_at_check_says_so_and_tells_no_other_value(monkeypatch, tmp_path):
    monkeypatch.setenv("CANARY", CANARY)
    text = CONFIG + "".join(events())
    loaded = configuration(Document.parse(text, str(tmp_path / "home.toml")))
    checked = check_configuration(loaded, Leaky().registry(), now=datetime.now(UTC))
    said = "\n".join(map(str, checked.issues))
    assert "services.test.door.password: the secret 'from-file' cannot be read" in said
    assert "sinks.test.witness.password: there is no secret 'own'" in said
    assert leaks({"said": said.encode()}) == set()
