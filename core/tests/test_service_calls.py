"""Services that are called by name: what plugins and the scheduler offer, checked and done."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pytest
import trio
from msgspec import Struct

from alicia_scheduler.api import (
    ActionType,
    ConfigError,
    EventExecution,
    Permanent,
    ServiceCall,
    ServiceType,
    ServiceUnavailable,
    Status,
    Trigger,
)
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.control.control import Control
from alicia_scheduler.host.audit import AuditLog
from alicia_scheduler.host.calls import ServiceCalls
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.known import KNOWN
from alicia_scheduler.host.loader import Contributions, PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.schedulercalls import SCHEDULER_CALLS
from alicia_scheduler.kernel import steering
from alicia_scheduler.kernel.definitions import save_event, sync_origin
from alicia_scheduler.testing.kernel import make_event, running_kernel

NOW = datetime(2026, 3, 1, tzinfo=UTC)

EXECUTION = EventExecution(execution_id="x-1", event_id="caller", revision=1, scheduled_time=NOW)
"""On whose behalf services are called here."""


class BlinkData(Struct, forbid_unknown_fields=True):
    times: int = 1


async def blink(context, data, execution):
    return {"plugin": context.plugin, "times": data.times, "by": execution.execution_id}


class PressConfig(Struct, forbid_unknown_fields=True):
    service: str
    data: dict = msgspec.field(default_factory=dict)


class Bridge:
    """A contract."""


class BridgeConfig(Struct, forbid_unknown_fields=True):
    address: str


@asynccontextmanager
async def nothing(*_):
    yield None


def plugin(name="lamp", **contributions):
    return PluginRecord(name, f"dist-{name}", "1", contributions=Contributions(**contributions))


def lamp():
    call = ServiceCall(name="lamp.blink", data=BlinkData, call=blink, summary="blink")
    return plugin(service_calls=[call])


def button(needs=None):
    press = ActionType(
        name="button.press",
        config=PressConfig,
        open=nothing,
        needs=needs,
        calls=lambda config: (config.service, config.data),
    )
    return plugin("button", action_types=[press])


# -- when an event is written ----------------------------------------------------------------


def checked(action, *plugins, more=""):
    text = f"""
[events.e]
schedule_type = "cron"
schedule_config = {{ expression = "0 7 * * *" }}
action = {{ type = "button.press", {action} }}
{more}"""
    loaded = configuration(Document.parse(text, "home.toml"))
    found = check_configuration(loaded, Registry(plugins), now=NOW)
    issues = [str(issue) for issue in found.issues]
    return issues, [each for each in found.unresolved if "schedule type" not in each]


@pytest.mark.parametrize(
    "action",
    [
        'service = "lamp.blink"',
        'service = "lamp.blink", data = { times = 3 }',
        'service = "scheduler.trigger", data = { event_id = "a" }',
        'service = "scheduler.pause", data = { event_id = "a", until = 2026-05-01T00:00:00Z }',
        'service = "scheduler.pause", data = { event_id = "a", duration = 60 }',
        'service = "scheduler.cancel", data = { event_id = "a" }',
        'service = "scheduler.skip", data = { event_id = "{{ event.id }}" }',
        'service = "scheduler.{{ event.name }}", data = { event_id = "a" }',
    ],
)
def test_a_right_call_is_taken(action):
    assert checked(action, lamp(), button()) == ([], [])


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        (
            'service = "scheduler.tigger"',
            (
                "action.service: there is no service call 'scheduler.tigger' "
                "(did you mean 'scheduler.trigger'"
            ),
        ),
        ('service = "lamp.blnk"', "(did you mean 'lamp.blink'?)"),
        ('service = "scheduler.zzzzzzzzzzzzzzz"', "known ones: lamp.blink, scheduler.cancel"),
        ('service = "nothing"', "action.service: there is no service call 'nothing'"),
        ('service = "lamp.blink", data = { time = 3 }', "(did you mean 'times'?)"),
        ('service = "lamp.blink", data = { times = "3" }', "action.data.times: must be"),
        ('service = "scheduler.trigger"', "action.data: the key 'event_id' is missing"),
        ('service = "scheduler.skip", data = { event_id = "" }', "action.data.event_id: "),
        ('service = "scheduler.skip", data = { event = "a" }', "did you mean 'event_id'?"),
        (
            'service = "scheduler.pause", data = { event_id = "a", until = "soon" }',
            "action.data.until: ",
        ),
        (
            'service = "scheduler.pause", data = { event_id = "a", duration = 0 }',
            "action.data.duration: ",
        ),
        (
            (
                'service = "scheduler.pause", '
                'data = { event_id = "a", duration = 1, until = 2026-05-01T00:00:00Z }'
            ),
            "until and duration exclude each other",
        ),
        ('service = "scheduler.cancel"', "action.data.event_id: which executions"),
        (
            'service = "scheduler.cancel", data = { event_id = "a", execution_id = "b" }',
            "give event_id or execution_id, and not both",
        ),
        ('service = "lamp.blink", data = { times = "{{ slot }}", x = 1 }', "unknown key 'x'"),
    ],
)
def test_a_wrong_call_is_a_mistake_of_the_event_with_its_place(action, sentence):
    issues, unresolved = checked(action, lamp(), button())
    assert unresolved == []
    assert len(issues) == 1
    assert issues[0].startswith("home.toml:5: events.e.action")
    assert sentence in issues[0]


def test_a_service_of_a_plugin_that_is_not_here_leaves_the_event_unresolved():
    issues, unresolved = checked('service = "lamp.blink"', button())
    assert issues == []
    [sentence] = unresolved
    assert sentence == (
        "events.e: the service call 'lamp.blink' is not installed "
        "(install the plugin 'lamp' that brings it)"
    )


def test_what_an_action_needs_by_its_options_runs_with_defaults():
    service = ServiceType(name="bridge.link", config=BlinkData, open=nothing, provides=Bridge)

    def needs(options):
        return (Bridge,) if options.get("service") == "lamp.blink" else ()

    text = """
[events.e]
schedule_type = "cron"
schedule_config = {}
action = { type = "button.press", service = "SERVICE" }
"""
    found = {}
    for name in ("lamp.blink", "lamp.other"):
        loaded = configuration(Document.parse(text.replace("SERVICE", name), "home.toml"))
        registry = Registry([button(needs), plugin("bridge", services=[service])])
        result = check_configuration(loaded, registry, now=NOW)
        found[name] = [each.offer.type.name for each in result.services]
    assert found == {"lamp.blink": ["bridge.link"], "lamp.other": []}


def test_a_needed_service_without_defaults_is_a_mistake_where_it_is_needed():
    service = ServiceType(name="bridge.link", config=BridgeConfig, open=nothing, provides=Bridge)
    parts = [lamp(), button(lambda _: (Bridge,)), plugin("bridge", services=[service])]
    issues, _ = checked('service = "lamp.blink"', *parts)
    assert issues == [
        (
            "home.toml:5: events.e.action: needs the service 'bridge.link', "
            "which is not configured: the key 'address' is missing (add [services.\"bridge.link\"])"
        )
    ]
    more = '[services."bridge.link"]\naddress = "x"\n'
    assert checked('service = "lamp.blink"', *parts, more=more)[0] == []
    issues, _ = checked('service = "lamp.blink"', *parts, more='[services."bridge.link"]\n')
    assert len(issues) == 1
    assert "services.bridge.link: the key 'address' is missing" in issues[0]


def test_a_needed_service_that_never_runs_by_itself_is_a_mistake_where_it_is_needed():
    door = ServiceType(
        name="bridge.link", config=BlinkData, open=nothing, provides=Bridge, only_configured=True
    )
    parts = [lamp(), button(lambda _: (Bridge,)), plugin("bridge", services=[door])]
    issues, _ = checked('service = "lamp.blink"', *parts)
    assert issues == [
        (
            "home.toml:5: events.e.action: needs the service 'bridge.link', which is not "
            'configured: it never runs by itself (add [services."bridge.link"])'
        )
    ]
    more = '[services."bridge.link"]\n'
    assert checked('service = "lamp.blink"', *parts, more=more) == ([], [])


def test_of_two_services_for_one_contract_the_one_that_runs_by_itself_is_taken():
    fast = ServiceType(
        name="bridge.fast", config=BlinkData, open=nothing, provides=Bridge, only_configured=True
    )
    plain = ServiceType(name="bridge.plain", config=BlinkData, open=nothing, provides=Bridge)
    parts = [lamp(), button(lambda _: (Bridge,)), plugin("bridge", services=[fast, plain])]
    assert checked('service = "lamp.blink"', *parts) == ([], [])


def test_two_services_for_one_contract_cannot_run_at_the_same_time():
    rivals = [
        ServiceType(name=f"bridge.{name}", config=BlinkData, open=nothing, provides=Bridge)
        for name in ("fast", "plain")
    ]
    parts = [lamp(), plugin("bridge", services=rivals)]
    more = '[services."bridge.fast"]\n[services."bridge.plain"]\n'
    issues, _ = checked('service = "lamp.blink"', *parts, more=more)
    [issue] = issues
    assert "both provide Bridge; only one can run" in issue
    assert "remove [services.bridge.fast] or [services.bridge.plain]" in issue


def test_a_needed_service_that_nothing_provides_leaves_the_event_unresolved():
    issues, unresolved = checked('service = "lamp.blink"', lamp(), button(lambda _: (Bridge,)))
    assert issues == []
    assert unresolved == ["events.e: nothing installed provides Bridge"]


def test_the_table_of_names_tells_what_the_scheduler_offers():
    assert KNOWN["service call"] == {call.name: "alicia-scheduler" for call in SCHEDULER_CALLS}


# -- when it is called -----------------------------------------------------------------------


def host_of(under_test):
    """What the commands need to see of a host, around a kernel alone."""
    kernel = under_test.kernel
    started = trio.Event()
    started.set()
    return SimpleNamespace(
        kernel=kernel,
        clock=kernel.clock,
        notifier=kernel.notifier,
        started=started,
        audit=AuditLog(None, kernel.clock, kernel.notifier.redact),
    )


@asynccontextmanager
async def calling(*plugins, **options):
    """A running kernel, and ``call(name, data, by)`` as a plugin's context has it."""
    async with running_kernel(**options) as under_test:
        kernel = under_test.kernel
        registry = Registry([lamp(), *plugins])
        surroundings = Surroundings("test", kernel.clock, kernel.notifier)
        control = Control(host_of(under_test))
        surroundings.calls = ServiceCalls(registry, surroundings, lambda: control)
        context = surroundings.context(button())

        async def call(name, data=None, by=EXECUTION):
            return await context.call_service(name, data or {}, by)

        yield under_test, call


async def test_a_plugins_service_gets_its_context_data_and_execution():
    async with calling() as (_, call):
        answer = await call("lamp.blink", {"times": 3})
    assert answer == {"plugin": "lamp", "times": 3, "by": "x-1"}


@pytest.mark.parametrize(
    ("name", "data", "error_class"),
    [
        ("lamp.blnk", {}, "not_found"),
        ("lamp.blink", {"times": "x"}, "invalid_data"),
        ("scheduler.skip", {"event_id": "nobody"}, "not_found"),
        ("scheduler.trigger", {"event_id": "nobody"}, "not_found"),
        ("scheduler.enable", {"event_id": "nobody"}, "not_found"),
        ("scheduler.cancel", {"event_id": "nobody"}, "not_found"),
        ("scheduler.cancel", {"execution_id": "nobody"}, "not_found"),
        ("scheduler.cancel", {"execution_id": EXECUTION.execution_id}, "not_supported"),
    ],
)
async def test_a_call_that_cannot_be_is_refused_for_good(name, data, error_class):
    async with calling() as (_, call):
        with pytest.raises(Permanent) as refusal:
            await call(name, data)
    assert refusal.value.error_class == error_class


async def test_a_service_that_is_not_installed_may_come():
    async with calling() as (_, call):
        with pytest.raises(ServiceUnavailable, match="install the plugin 'other'"):
            await call("other.thing")


async def test_where_no_kernel_runs_nothing_can_be_called():
    async with running_kernel() as under_test:
        kernel = under_test.kernel
        context = Surroundings("test", kernel.clock, kernel.notifier).context(button())
        with pytest.raises(ServiceUnavailable):
            await context.call_service("lamp.blink", {}, EXECUTION)


async def test_what_a_service_raises_reaches_the_caller():
    async def fail(context, data, execution):
        raise Permanent("burnt out", error_class="lamp")

    call = ServiceCall(name="torch.blink", data=BlinkData, call=fail)
    async with calling(plugin("torch", service_calls=[call])) as (_, call):
        with pytest.raises(Permanent, match="burnt out"):
            await call("torch.blink")


# -- the scheduler's own ---------------------------------------------------------------------


async def test_trigger_runs_an_event_on_behalf_of_the_caller(autojump_clock):
    async with calling() as (under_test, call):
        await save_event(under_test.kernel, make_event("bell", enabled=False))
        answer = await call("scheduler.trigger", {"event_id": "bell"})
        await trio.sleep(1)
        [run] = await under_test.history("bell")
    [told] = answer["executions"]
    assert told == {"execution_id": run.execution_id, "status": "pending", "reason": None}
    assert (run.status, run.trigger, run.parent_id) == (Status.COMPLETED, Trigger.CHAIN, "x-1")


async def test_an_event_cannot_trigger_itself():
    async with calling() as (under_test, call):
        await save_event(under_test.kernel, make_event("caller"))
        with pytest.raises(Permanent, match="in the first place") as refusal:
            await call("scheduler.trigger", {"event_id": "caller"})
        assert await under_test.history("caller") == []
    assert refusal.value.error_class == "not_supported"


async def test_a_circle_of_triggers_ends_where_it_began(autojump_clock):
    refusals = []

    async def trigger_other(config, execution):
        other = {"a": "b", "b": "a"}[execution.event_id]
        try:
            await call("scheduler.trigger", {"event_id": other}, execution)
        except Permanent as refusal:
            refusals.append((execution.event_id, refusal.error_class))

    async with calling(actions={"other": trigger_other}) as (under_test, call):
        for event_id in ("a", "b"):
            event = make_event(event_id, action={"type": "other"}, enabled=False)
            await save_event(under_test.kernel, event)
        await under_test.kernel.trigger("a")
        await trio.sleep(5)
        assert len(await under_test.history("a")) == len(await under_test.history("b")) == 1
    assert refusals == [("b", "not_supported")]


async def test_cancel_ends_what_is_under_way_of_an_event_but_not_the_caller(autojump_clock):
    async def wait(config, execution):
        await trio.sleep_forever()

    async with calling(actions={"wait": wait}) as (under_test, call):
        kernel = under_test.kernel
        event = make_event("long", action={"type": "wait"}, mode="parallel", enabled=False)
        await save_event(kernel, event)
        runs = [(await kernel.trigger("long"))[0] for _ in range(3)]
        await trio.sleep(1)
        answer = await call("scheduler.cancel", {"event_id": "long"}, runs[0])
        assert sorted(answer["cancelled"]) == sorted(run.execution_id for run in runs[1:])
        await trio.sleep(1)
        status = {run.execution_id: run.status for run in await under_test.history("long")}
        assert status.pop(runs[0].execution_id) is Status.RUNNING
        assert set(status.values()) == {Status.CANCELLED}
        answer = await call("scheduler.cancel", {"execution_id": runs[0].execution_id})
        assert answer == {"cancelled": [runs[0].execution_id]}


async def test_pause_and_resume(autojump_clock):
    async with calling() as (under_test, call):
        kernel = under_test.kernel
        await save_event(kernel, make_event("bell"))
        answer = await call("scheduler.pause", {"event_id": "bell", "duration": 60})
        until = kernel.clock.now() + timedelta(seconds=60)
        assert kernel.catalog.get("bell").state.paused_until == until
        assert answer == {"paused_until": until.timestamp()}
        await call("scheduler.resume", {"event_id": "bell"})
        assert kernel.catalog.get("bell").state.paused_until is None
        await call("scheduler.pause", {"event_id": "bell", "until": "2027-01-01T00:00:00Z"})
        assert kernel.catalog.get("bell").state.paused_until.year == 2027
        await call("scheduler.pause", {"event_id": "bell"})
        assert kernel.catalog.get("bell").state.paused_until == steering.FOR_EVER


async def test_skip_and_unskip():
    async with calling() as (under_test, call):
        kernel = under_test.kernel
        record = await save_event(kernel, make_event("bell"))
        slot = record.state.next_run
        assert await call("scheduler.skip", {"event_id": "bell"}) == {"slot": slot.timestamp()}
        assert kernel.catalog.get("bell").state.skip_slots == (slot,)
        assert await call("scheduler.unskip", {"event_id": "bell"}) == {"slot": slot.timestamp()}
        assert kernel.catalog.get("bell").state.skip_slots == ()


async def test_a_disabled_event_keeps_its_history_and_runs_no_more(autojump_clock):
    async with calling() as (under_test, call):
        kernel = under_test.kernel
        await save_event(kernel, make_event("bell"))
        await trio.sleep(25)
        answer = await call("scheduler.disable", {"event_id": "bell"})
        assert answer == {"enabled": False, "revision": 2, "next_run": None}
        await trio.sleep(60)
        assert len(await under_test.history("bell")) == 2
        [stored] = (await under_test.store.records(["bell"])).values()
        assert (stored.event.enabled, stored.event.revision) == (False, 2)
        assert stored.state.run_count == 2
        answer = await call("scheduler.enable", {"event_id": "bell"})
        assert answer["revision"] == 3
        assert answer["next_run"] == (kernel.clock.now() + timedelta(seconds=10)).timestamp()
        await trio.sleep(15)
        assert len(await under_test.history("bell")) == 3
    assert len(under_test.told("event_disabled")) == len(under_test.told("event_enabled")) == 1


async def test_what_is_disabled_already_makes_no_revision():
    async with calling() as (under_test, call):
        await save_event(under_test.kernel, make_event("bell", enabled=False))
        answer = await call("scheduler.disable", {"event_id": "bell"})
        assert answer["revision"] == 1
        assert under_test.told("event_updated") == []


async def test_an_event_of_a_file_is_what_the_file_says_again_when_it_is_loaded_next():
    bell = make_event("bell", origin="file")
    async with calling() as (under_test, call):
        kernel = under_test.kernel
        await sync_origin(kernel, "file", [bell])
        await call("scheduler.disable", {"event_id": "bell"})
        entry = kernel.catalog.get("bell")
        assert (entry.event.enabled, entry.event.origin) == (False, "file")
        await sync_origin(kernel, "file", [bell])
        entry = kernel.catalog.get("bell")
        assert (entry.event.enabled, entry.event.revision) == (True, 3)


async def test_an_unresolved_event_can_be_disabled_and_enabled():
    async with calling() as (under_test, call):
        kernel = under_test.kernel
        await save_event(kernel, make_event("odd", schedule_type="tides"))
        await call("scheduler.disable", {"event_id": "odd"})
        assert kernel.catalog.get("odd").event.enabled is False
        answer = await call("scheduler.enable", {"event_id": "odd"})
        assert answer == {"enabled": True, "revision": 3, "next_run": None}


def test_a_mistake_in_data_is_no_other_error():
    with pytest.raises(ConfigError):
        SCHEDULER_CALLS[1].data()
