"""What the tests of the action share: an action without a host, and a look at what is left."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

from alicia_action_script import ScriptConfig, ScriptSettings
from alicia_action_script.run import open_script
from alicia_scheduler.api import EventExecution
from alicia_scheduler.testing.context import TestContext

EXECUTION = EventExecution(
    execution_id="x-1",
    event_id="backup",
    revision=1,
    scheduled_time=datetime(2026, 3, 1, 6, 30, tzinfo=UTC),
)

HANGS = 60
"""Seconds after which a test that hangs fails. No test takes so long, and none measures time."""


class Bench:
    """An opened action. Whatever it starts bears a mark by which it is found in /proc."""

    execution = EXECUTION

    def __init__(self, action, context):
        self.action = action
        self.context = context
        self.mark = uuid.uuid4().hex

    def config(self, *command, **fields):
        fields["env"] = {"TEST_MARK": self.mark, **fields.get("env", {})}
        return ScriptConfig(command=command, **fields)

    async def run(self, *command, execution=EXECUTION, **fields):
        with trio.fail_after(HANGS):
            return await self.action.run(self.config(*command, **fields), execution)

    async def sh(self, script, **fields):
        return await self.run("/bin/sh", "-c", script, **fields)

    async def sh_until(self, script, path, **fields):
        """Run a script until it has made ``path``, then cancel it."""
        with trio.fail_after(HANGS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    self.action.run, self.config("/bin/sh", "-c", script, **fields), EXECUTION
                )
                while not path.exists():
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()

    @property
    def launcher(self):
        """The pid of the launcher, which runs once something was run."""
        return self.action._launcher.pid

    def left(self):
        """The processes that bear the mark, zombies aside."""
        return marked(f"TEST_MARK={self.mark}")

    async def until_gone(self):
        """Wait until no process bears the mark."""
        with trio.fail_after(HANGS):
            while self.left():
                await trio.sleep(0.02)

    def held(self):
        """What could leak: descriptors here and in the launcher, children of both."""
        return {
            "descriptors": len(descriptors(os.getpid())),
            "descriptors of the launcher": len(descriptors(self.launcher)),
            "children": len(children(os.getpid())),
            "children of the launcher": len(children(self.launcher)),
        }


def marked(mark):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def children(pid):
    """The children of a process, zombies included."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def descriptors(pid):
    return list(Path(f"/proc/{pid}/fd").iterdir())


@pytest.fixture
async def bench():
    context = TestContext("action-script", settings=ScriptSettings())
    async with open_script(context) as action:
        yield Bench(action, context)
