"""Broken plugins, one for each way there is to be broken: what it does, and what the host says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

BASE = """
import asyncio, threading, time
from contextlib import asynccontextmanager
from dataclasses import dataclass
import trio
from msgspec import Struct
from alicia_scheduler.api import (
    ActionType, ScheduleType, ServiceType, SinkType, hookimpl,
)

class Config(Struct, frozen=True, forbid_unknown_fields=True):
    pass
"""

OFFER = """
@hookimpl
def alicia_action_types():
    yield ActionType(name="{name}.act", config=Config, open=opened)
"""

OPEN = """
@asynccontextmanager
async def opened(context):
    yield Act()
"""


@dataclass(frozen=True)
class Animal:
    """One broken plugin.

    Attributes:
        name: of the plugin; its module is ``zoo_<name>`` and its distribution ``zoo-<name>``.
        does: what is wrong with it, for the table.
        source: its module.
        status: how it stands in the end.
        says: the sentence: the reason of its status, or its last error while it is active. ``…``
            stands for what differs from run to run.
        host: what the host does about it, for the table.
        event: whether an event with its action ``act`` is to be run.
        more: further configuration.
        when: when it shows: ``load``, ``run`` or ``stop``.
        group, requires, entry: what else its metadata says.
    """

    name: str
    does: str
    source: str
    says: str
    status: str = "broken"
    host: str = "nothing of it counts"
    event: bool = False
    more: str = ""
    when: str = "load"
    group: str = "alicia_scheduler.plugins"
    requires: str = ""
    entry: str | None = None

    @property
    def module(self) -> str:
        return f"zoo_{self.name}"


def offering(name: str, act: str = "", opened: str = OPEN) -> str:
    """A plugin with one action type."""
    return BASE + dedent(act) + dedent(opened) + OFFER.format(name=name)


def acting(name: str, run: str) -> str:
    """A plugin whose action does this."""
    body = dedent(run).strip().replace("\n", "\n        ")
    return offering(
        name, f"class Act:\n    async def run(self, config, execution):\n        {body}\n"
    )


def hook(signature: str, body: str) -> str:
    return f"{BASE}\n@hookimpl\n{signature}:\n    {body}\n"


FINE = "class Act:\n    async def run(self, config, execution):\n        return None\n"

ZOO = [
    # -- at import ------------------------------------------------------------------------
    Animal(
        "import_raises",
        "its import raises",
        "raise RuntimeError('no lamp here')",
        "importing zoo_import_raises failed: RuntimeError: no lamp here",
    ),
    Animal(
        "import_raises_mute",
        "its import raises something whose text raises, too",
        "class Mute(Exception):\n    def __str__(self):\n        raise ValueError\nraise Mute",
        "importing zoo_import_raises_mute failed: Mute",
    ),
    Animal(
        "syntax",
        "it is no Python",
        "def broken(:",
        "importing zoo_syntax failed: SyntaxError: …",
    ),
    Animal(
        "lacks_dependency",
        "a distribution that it requires is not installed",
        "import missing_lamps",
        "importing zoo_lacks_dependency failed: ModuleNotFoundError: No module named "
        "'missing_lamps'; it requires missing-lamps: pip install missing-lamps",
        requires="missing-lamps>=2",
    ),
    Animal(
        "exits",
        "it ends the program at import",
        "raise SystemExit(3)",
        "importing zoo_exits failed: SystemExit: 3",
    ),
    Animal(
        "interrupts",
        "it raises KeyboardInterrupt at import",
        "raise KeyboardInterrupt",
        "importing zoo_interrupts failed: KeyboardInterrupt",
    ),
    Animal(
        "import_hangs",
        "its import never ends: it waits",
        "import threading\nthreading.Event().wait()",
        "importing zoo_import_hangs took more than … s, so it was given up",
        host="after 30 s the start goes on without it",
    ),
    Animal(
        "import_spins",
        "its import never ends: it computes",
        "while True:\n    pass",
        "importing zoo_import_spins took more than … s, so it was given up",
        host="after 30 s the start goes on without it, and its thread is ended",
    ),
    # -- its hooks ------------------------------------------------------------------------
    Animal(
        "no_hooks",
        "it has no hooks, as the decorator was forgotten",
        offering("no_hooks", FINE).replace("@hookimpl", ""),
        "it has no hooks: mark its functions alicia_… with @hookimpl from alicia_scheduler.api",
    ),
    Animal(
        "wrong_signature",
        "a hook asks for an argument that there is not",
        hook("def alicia_action_types(lamp)", "return ()"),
        "its hook alicia_action_types asks for 'lamp', which no hook is given; it may ask for: "
        "info",
    ),
    Animal(
        "keyword_only",
        "a hook takes its argument by keyword only",
        hook("def alicia_action_types(*, info)", "return ()"),
        "alicia_action_types has the keyword-only parameter 'info', which pluggy never passes; "
        "drop the *",
    ),
    Animal(
        "async_hook",
        "a hook is async",
        hook("async def alicia_action_types()", "return ()"),
        "alicia_action_types is async; hooks are plain functions, what waits is in open()",
    ),
    Animal(
        "unknown_hook",
        "it has a hook that the host does not know",
        hook("def alicia_actions_types()", "return ()"),
        "it has the hook alicia_actions_types, which this host does not know: it is misspelt "
        "(did you mean alicia_action_types?), or needs a newer alicia-scheduler",
    ),
    Animal(
        "hook_raises",
        "a hook raises",
        hook("def alicia_action_types()", "raise OSError('no disk')"),
        "a hook failed: OSError: no disk",
    ),
    Animal(
        "hook_hangs",
        "a hook never returns",
        hook("def alicia_action_types()", "threading.Event().wait()"),
        "asking its hooks took more than … s, so it was given up",
        host="after 30 s the start goes on without it",
    ),
    # -- what it offers -------------------------------------------------------------------
    Animal(
        "wrong_object",
        "a hook yields something else than a type",
        hook("def alicia_action_types()", "return ['lamp']"),
        "alicia_action_types yielded str; it must yield ActionType",
    ),
    Animal(
        "duplicate_type",
        "it offers two types of one name",
        offering("duplicate_type", FINE)
        + "    yield ActionType(name='duplicate_type.act', config=Config, open=opened)\n",
        "it offers the action type 'duplicate_type.act' twice",
    ),
    Animal(
        "foreign_namespace",
        "its type is named as if it were another plugin's",
        offering("canary", FINE),
        "the action type name 'canary.act' is outside its namespace: it must begin with "
        "'foreign_namespace.'",
    ),
    Animal(
        "bare_name",
        "its type has the name of one of Alicia's own",
        offering("bare_name", FINE).replace("bare_name.act", "mqtt_publish"),
        "the action type name 'mqtt_publish' belongs to alicia-action-mqtt: call it "
        "'bare_name.mqtt_publish'",
    ),
    Animal(
        "no_class",
        "its configuration is no class of options",
        offering("no_class", FINE).replace("config=Config", "config=int"),
        "the action type 'no_class.act' has a config that is not a class of options (int); give a "
        "msgspec Struct, a dataclass or an attrs class",
    ),
    Animal(
        "no_schema",
        "its configuration cannot make a JSON Schema",
        offering("no_schema", "@dataclass\nclass Odd:\n    when: threading.Event\n" + FINE).replace(
            "config=Config", "config=Odd"
        ),
        "the action type 'no_schema.act' has a config without a JSON Schema, as Odd holds a type "
        "that no configuration can: …",
    ),
    Animal(
        "half",
        "one of its hooks works, another raises",
        offering("half", FINE) + "@hookimpl\ndef alicia_sinks():\n    raise KeyError('late')\n",
        "a hook failed: KeyError: 'late'",
    ),
    # -- who it says it is ----------------------------------------------------------------
    Animal(
        "newer_minor",
        "it needs a newer minor of the API",
        "raise AssertionError('imported')",
        "it needs API 1.999; this host has API …: pip install --upgrade alicia-scheduler",
        status="incompatible",
        host="it is not imported",
        group="alicia_scheduler.plugins.v1.999",
    ),
    Animal(
        "other_major",
        "it is written for another major of the API",
        "raise AssertionError('imported')",
        "it is written for API 2; this host has API …: pip install --upgrade alicia-scheduler",
        status="incompatible",
        host="it is not imported",
        group="alicia_scheduler.plugins.v2",
    ),
    Animal(
        "same_name",
        "two distributions claim one plugin name",
        "raise AssertionError('imported')",
        "zoo-same_name-too claims the name 'same_name' too: uninstall one",
        status="conflict",
        host="neither is imported",
    ),
    Animal(
        "takes_a_name",
        "it claims the plugin name of one of Alicia's own",
        "raise AssertionError('imported')",
        "the name 'schedule-cron' belongs to alicia-schedule-cron: uninstall this one",
        status="conflict",
        host="it is not imported; Alicia's own goes on",
        entry="schedule-cron",
    ),
    # -- its parts ------------------------------------------------------------------------
    Animal(
        "open_raises",
        "its action cannot be opened",
        offering(
            "open_raises",
            FINE,
            "@asynccontextmanager\nasync def opened(context):\n"
            "    raise OSError('no port')\n    yield\n",
        ),
        "action open_raises.act did not open: OSError: no port",
        status="active",
        host="the execution fails, and is retried by its event's policy",
        event=True,
        when="run",
    ),
    Animal(
        "open_hangs",
        "its action never opens",
        offering(
            "open_hangs",
            FINE,
            "@asynccontextmanager\nasync def opened(context):\n"
            "    await trio.sleep_forever()\n    yield\n",
        ),
        "action open_hangs.act was not open when its run ended",
        status="active",
        host="the execution ends by its timeout; after 30 s it counts as a fault",
        event=True,
        when="run",
    ),
    Animal(
        "run_raises",
        "its action has a bug",
        acting("run_raises", "return {}['lamp']"),
        "action run_raises.act: KeyError: 'lamp'",
        status="active",
        host="the execution fails, and is retried by its event's policy",
        event=True,
        when="run",
    ),
    Animal(
        "run_raises_base",
        "its action raises what is no Exception",
        acting("run_raises_base", "class Out(BaseException): pass\nraise Out('bye')"),
        "action run_raises_base.act raised Out: bye, which no action may raise",
        status="active",
        host="the execution fails; it counts as a fault",
        event=True,
        when="run",
    ),
    Animal(
        "run_cancels",
        "its action raises asyncio's cancellation",
        acting("run_cancels", "raise asyncio.CancelledError"),
        "action run_cancels.act raised CancelledError, which no action may raise",
        status="active",
        host="the execution fails; it counts as a fault",
        event=True,
        when="run",
    ),
    Animal(
        "run_exits",
        "its action ends the program",
        acting("run_exits", "raise SystemExit(3)"),
        "action run_exits.act raised SystemExit: 3, which no action may raise",
        status="active",
        host="the execution fails; it counts as a fault",
        event=True,
        when="run",
    ),
    Animal(
        "ignores_cancel",
        "its action ignores its cancellation",
        acting(
            "ignores_cancel",
            "with trio.CancelScope(shield=True):\n    await LET_GO.wait()",
        ).replace("class Act", "LET_GO = trio.Event()\nclass Act"),
        "execution … of event 'beast' ignores its cancellation (action type 'ignores_cancel.act', "
        "1 open); it is no longer waited for",
        status="active",
        host="the execution is closed as failed and no longer waited for; it counts as a fault",
        event=True,
        when="run",
    ),
    Animal(
        "holds_the_loop",
        "its action blocks instead of waiting",
        acting("holds_the_loop", "time.sleep(2)"),
        "the plugin holds_the_loop held up everything for … s (task 'beast: holds_the_loop.act', "
        "at …)",
        status="active",
        host="it is taken down with the line that blocks; from 1 s on it is told, and is a fault",
        event=True,
        when="run",
    ),
    Animal(
        "schedule_holds",
        "its schedule computes for too long",
        BASE
        + dedent("""
        class Slow:
            def next_after(self, instant):
                time.sleep(0.6)
                return None
            def describe(self):
                return "slow"

        @hookimpl
        def alicia_schedule_types():
            yield ScheduleType(
                name="schedule_holds.slow", config=Config, build=lambda config, context: Slow()
            )
        """),
        "the plugin schedule_holds held up everything for … s (task …, at …)",
        status="active",
        host="it is taken down with the line that blocks; from 1 s on it is told, and is a fault",
        more='[events.beast]\nschedule_type = "schedule_holds.slow"\nschedule_config = {}\n'
        'action = { type = "canary.sing" }\n',
        when="run",
    ),
    Animal(
        "leaks_a_task",
        "its action starts a task that nobody waits for",
        acting("leaks_a_task", "trio.lowlevel.spawn_system_task(trio.sleep_forever)"),
        "it started the task … that nobody waits for",
        status="active",
        host="it counts as a fault; the task ends with the host",
        event=True,
        when="run",
    ),
    Animal(
        "leaks_tasks",
        "its action leaves tasks behind in its own nursery",
        BASE
        + dedent("""
        class Act:
            def __init__(self, nursery):
                self.nursery = nursery
            async def run(self, config, execution):
                for _ in range(1100):
                    self.nursery.start_soon(trio.sleep_forever)

        @asynccontextmanager
        async def opened(context):
            async with trio.open_nursery() as nursery:
                yield Act(nursery)
                nursery.cancel_scope.cancel()
        """)
        + OFFER.format(name="leaks_tasks"),
        "it has … tasks and goes on starting more",
        status="active",
        host="from 1024 tasks on it counts as a fault; they end with the host",
        event=True,
        when="run",
    ),
    Animal(
        "service_hangs",
        "its service never opens",
        BASE
        + dedent("""
        @asynccontextmanager
        async def opened(config, context):
            await trio.sleep_forever()
            yield

        @hookimpl
        def alicia_services():
            yield ServiceType(name="service_hangs.part", config=Config, open=opened)
        """),
        "service service_hangs.part was not open after … s",
        status="active",
        host="the start goes on after 10 s; after 60 s the opening is given up, counts as a "
        "fault, and is tried again",
        more='[services."service_hangs.part"]\n',
        when="run",
    ),
    Animal(
        "service_crashes",
        "its service has a bug, again and again",
        BASE
        + dedent("""
        @asynccontextmanager
        async def opened(config, context):
            raise TypeError("no such lamp")
            yield

        @hookimpl
        def alicia_services():
            yield ServiceType(name="service_crashes.part", config=Config, open=opened)
        """),
        "too many faults (service service_crashes.part failed: TypeError: no such lamp); it is "
        "tried again at …, or by: alicia plugins enable service_crashes",
        status="quarantined",
        host="it is opened again with back-off; after 5 faults in 10 minutes it is quarantined",
        more='[services."service_crashes.part"]\n',
        when="run",
    ),
    Animal(
        "sink_raises",
        "its sink cannot write",
        BASE
        + dedent("""
        class Sink:
            async def write(self, notifications):
                raise OSError("disk full")

        @asynccontextmanager
        async def opened(config, context):
            yield Sink()

        @hookimpl
        def alicia_sinks():
            yield SinkType(name="sink_raises.sink", config=Config, open=opened)
        """),
        "sink sink_raises.sink: OSError: disk full",
        status="active",
        host="it is opened again with back-off and gets the same batch; its queue is bounded",
        more='[sinks."sink_raises.sink"]\n',
        when="run",
    ),
    Animal(
        "sink_hangs",
        "its sink never opens",
        BASE
        + dedent("""
        @asynccontextmanager
        async def opened(config, context):
            await trio.sleep_forever()
            yield

        @hookimpl
        def alicia_sinks():
            yield SinkType(name="sink_hangs.sink", config=Config, open=opened)
        """),
        "sink sink_hangs.sink: it did not open within … s",
        status="active",
        host="after 30 s it counts as a fault, and is opened again with back-off",
        more='[sinks."sink_hangs.sink"]\n',
        when="run",
    ),
    # -- at the end -----------------------------------------------------------------------
    Animal(
        "close_raises",
        "its action cannot be closed",
        offering(
            "close_raises",
            FINE,
            "@asynccontextmanager\nasync def opened(context):\n"
            "    yield Act()\n    raise OSError('port is gone')\n",
        ),
        "action close_raises.act failed: OSError: port is gone",
        status="active",
        host="the stop goes on",
        event=True,
        when="stop",
    ),
    Animal(
        "close_hangs",
        "its action never closes",
        offering(
            "close_hangs",
            FINE,
            "@asynccontextmanager\nasync def opened(context):\n"
            "    yield Act()\n    await trio.sleep_forever()\n",
        ),
        "action close_hangs.act did not close within … s",
        status="active",
        host="after 5 s the stop goes on; it counts as a fault",
        event=True,
        when="stop",
    ),
    Animal(
        "service_close_hangs",
        "its service never closes",
        BASE
        + dedent("""
        @asynccontextmanager
        async def opened(config, context):
            yield
            await trio.sleep_forever()

        @hookimpl
        def alicia_services():
            yield ServiceType(name="service_close_hangs.part", config=Config, open=opened)
        """),
        "service service_close_hangs.part did not close within … s",
        status="active",
        host="after 5 s the stop goes on; it counts as a fault",
        more='[services."service_close_hangs.part"]\n',
        when="stop",
    ),
]

Check = Callable[[Any], bool]
