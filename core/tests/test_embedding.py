"""The host as a library: ``async with alicia_scheduler.Host(config) as host:``."""

import functools
from datetime import timedelta

import pytest
import trio
from msgspec import Struct

from alicia_scheduler import ConfigError, Host, HostClosed
from alicia_scheduler.api import (
    ActionType,
    Permanent,
    Retryable,
    ScheduleType,
    Status,
    Trigger,
    hookimpl,
)
from alicia_scheduler.testing.kernel import Every

pytestmark = pytest.mark.usefixtures("virtual_clock")

HOURLY = {"schedule_type": "test.every", "schedule_config": {"seconds": 3600}}


class EveryConfig(Struct, forbid_unknown_fields=True):
    seconds: float


class NoteConfig(Struct, forbid_unknown_fields=True):
    text: str = ""


class Plugin:
    """Brings the schedule type ``test.every`` and the action type ``test.note``."""

    def __init__(self):
        self.noted = []

    @hookimpl
    def alicia_schedule_types(self):
        yield ScheduleType(
            name="test.every",
            config=EveryConfig,
            build=lambda config, context: Every(context.anchor, config.seconds),
            elapsed=True,
            summary="every so many seconds",
        )

    @hookimpl
    def alicia_action_types(self):
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def opened(_context):
            yield self

        yield ActionType(name="test.note", config=NoteConfig, open=opened, summary="note it")

    async def run(self, config, _execution):
        self.noted.append(config.text)


@pytest.fixture
def host(host_in_memory):
    """``host(**options)``: a host in memory and virtual time, with the plugin above."""
    return functools.partial(host_in_memory, extra_plugins={"test": Plugin()})


class Work:
    """An async function that notes what it is given."""

    def __init__(self, result=None):
        self.given = []
        self.result = result

    async def __call__(self, execution):
        self.given.append(execution)
        return self.result


# -- functions as actions --------------------------------------------------------------------


async def test_an_async_function_runs_when_its_event_is_due(host):
    work = Work()
    async with host() as running:
        record = await running.add_event("lamp", action=work, **HOURLY)
        await running.clock.advance(2.5 * 3600)
    slots = [execution.scheduled_time for execution in work.given]
    assert slots == [record.state.next_run, record.state.next_run + timedelta(hours=1)]


async def test_a_function_without_parameters_is_called_without_any(host):
    called = []

    async def work():
        called.append(True)

    async with host() as running:
        await running.add_event("lamp", action=work, **HOURLY)
        await running.wait((await running.trigger("lamp")).execution_id)
    assert called == [True]


async def test_bound_arguments_methods_and_callable_objects_are_functions_too(host):
    async def work(lamp, execution):
        return {"lamp": lamp, "event": execution.event_id}

    async with host() as running:
        bound = functools.partial(work, "kitchen")
        for name, function in (
            ("bound", bound),
            ("object", Work("done")),
            ("method", Work().__call__),
        ):
            await running.add_event(name, action=function, **HOURLY)
            ended = await running.wait((await running.trigger(name)).execution_id)
            assert ended.status is Status.COMPLETED
            if name == "bound":
                assert ended.result == {"lamp": "kitchen", "event": "bound"}


async def test_what_a_function_returns_is_the_result_of_the_execution(host):
    async with host() as running:
        await running.add_event("lamp", action=Work({"on": True}), **HOURLY)
        started = await running.trigger("lamp")
        ended = await running.wait(started.execution_id)
    assert (ended.status, ended.result, ended.trigger) == (
        Status.COMPLETED,
        {"on": True},
        Trigger.MANUAL,
    )


@pytest.mark.parametrize(
    ("error", "retries"), [(OSError("no lamp"), 2), (Retryable("later"), 2), (Permanent("no"), 0)]
)
async def test_what_a_function_raises_is_handled_as_for_any_action(host, error, retries):
    async def work():
        raise error

    async with host() as running:
        await running.add_event("lamp", action=work, max_retries=2, retry_delay=5.0, **HOURLY)
        ended = await running.wait((await running.trigger("lamp")).execution_id)
    assert (ended.status, ended.retry_count) == (Status.FAILED, retries)
    assert str(error) in ended.error_message


async def test_a_function_that_takes_too_long_is_cancelled(host):
    heard = []

    async def work():
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            heard.append("cancelled")
            raise

    async with host() as running:
        await running.add_event("lamp", action=work, timeout=10.0, max_retries=0, **HOURLY)
        ended = await running.wait((await running.trigger("lamp")).execution_id)
    assert (ended.reason, heard) == ("timeout", ["cancelled"])


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda execution: None, "is not an async function"),
        (print, "is not an async function"),
        ({"type": "test.nothing"}, "is not installed|there is no action type"),
        ({"type": "test.note", "txt": "x"}, "txt"),
    ],
)
async def test_an_action_that_can_never_run_is_refused(host, action, words):
    async with host() as running:
        with pytest.raises(ConfigError, match=words):
            await running.add_event("lamp", action=action, **HOURLY)
        with pytest.raises(KeyError):
            await running.event("lamp")


async def test_a_function_that_needs_more_than_the_execution_is_refused(host):
    async def work(execution, lamp): ...

    async with host() as running:
        with pytest.raises(ConfigError, match=r"functools\.partial"):
            await running.add_event("lamp", action=work, **HOURLY)


async def test_a_refused_edit_leaves_the_function_as_it_was(host):
    first, second = Work("first"), Work("second")
    async with host() as running:
        await running.add_event("lamp", action=first, **HOURLY)
        with pytest.raises(ConfigError, match=r"events\.lamp\.schedule_config"):
            await running.add_event(
                "lamp", action=second, schedule_type="test.every", schedule_config={"second": 1}
            )
        ended = await running.wait((await running.trigger("lamp")).execution_id)
    assert ended.result == {"value": "first"}


# -- events ----------------------------------------------------------------------------------


async def test_actions_of_plugins_go_as_well(host_in_memory):
    plugin = Plugin()
    async with host_in_memory(extra_plugins={"test": plugin}) as running:
        await running.add_event("lamp", action={"type": "test.note", "text": "hello"}, **HOURLY)
        await running.wait((await running.trigger("lamp")).execution_id)
    assert plugin.noted == ["hello"]


async def test_an_event_without_an_id_gets_one(host):
    async with host() as running:
        record = await running.add_event(action=Work(), **HOURLY)
        assert (await running.event(record.event.event_id)).event == record.event


async def test_an_event_that_is_added_again_is_edited(host):
    async with host() as running:
        await running.add_event("lamp", action=Work("old"), **HOURLY)
        record = await running.add_event("lamp", action=Work("new"), name="Lamp", **HOURLY)
        assert (record.event.revision, record.event.name) == (2, "Lamp")
        ended = await running.wait((await running.trigger("lamp")).execution_id)
    assert ended.result == {"value": "new"}


async def test_a_removed_event_runs_no_more_and_what_of_it_runs_is_cancelled(host):
    async with host() as running:
        await running.add_event("lamp", action=trio.sleep_forever, **HOURLY)
        started = await running.trigger("lamp")
        await running.remove_event("lamp")
        ended = await running.wait(started.execution_id)
        assert (ended.status, ended.reason) == (Status.CANCELLED, "removed")
        with pytest.raises(KeyError):
            await running.event("lamp")
        with pytest.raises(KeyError):
            await running.remove_event("lamp")


async def test_an_event_of_the_configuration_is_not_replaced(host):
    lamp = {"action": {"type": "test.note"}, **HOURLY}
    async with host({"events": {"lamp": lamp}}) as running:
        assert (await running.event("lamp")).event.origin == "file"
        with pytest.raises(ConfigError, match="belongs to the configuration"):
            await running.add_event("lamp", action=Work(), **HOURLY)


async def test_a_named_function_can_be_the_action_of_an_event_of_the_configuration():
    work = Work()
    lamp = {"action": {"type": "function", "name": "blink"}, **HOURLY}
    host = Host({"events": {"lamp": lamp}}, plugins=(), extra_plugins={"test": Plugin()})
    host.action("blink")(work)
    async with host:
        await host.wait((await host.trigger("lamp")).execution_id)
    assert len(work.given) == 1


# -- waiting for executions ------------------------------------------------------------------


async def test_waiting_for_what_has_ended_already_returns_at_once(host):
    async with host() as running:
        await running.add_event("lamp", action=Work(1), **HOURLY)
        first = await running.wait((await running.trigger("lamp")).execution_id)
        assert await running.wait(first.execution_id) == first


async def test_what_is_waited_for_is_what_the_store_keeps(host):
    async with host() as running:
        await running.add_event("lamp", action=Work({"a": [1, None]}), **HOURLY)
        waited = await running.wait((await running.trigger("lamp")).execution_id)
        assert await running.kernel.store.execution(waited.execution_id) == waited


async def test_waiting_for_an_unknown_execution_is_a_key_error(host):
    async with host() as running:
        with pytest.raises(KeyError):
            await running.wait("unknown")


async def test_waiting_can_be_cancelled(host):
    async with host() as running:
        await running.add_event("lamp", action=trio.sleep_forever, **HOURLY)
        started = await running.trigger("lamp")
        with trio.move_on_after(1) as scope:
            await running.wait(started.execution_id)
        assert scope.cancelled_caught


async def test_executions_are_iterated_over_as_they_end(host):
    async with host() as running:
        await running.add_event("lamp", action=Work(), **HOURLY)
        await running.add_event("other", action=Work(), **HOURLY)
        slots = []
        with running.executions("lamp") as ended:
            async for execution in ended:
                slots.append((execution.event_id, execution.status))
                if len(slots) == 3:
                    break
    assert slots == [("lamp", Status.COMPLETED)] * 3


async def test_notifications_are_iterated_over_by_type(host):
    async with host() as running:
        with running.notifications("event_created", "event_deleted") as told:
            await running.add_event("lamp", action=Work(), **HOURLY)
            await running.remove_event("lamp")
            types = [(await anext(told)).event_type for _ in range(2)]
    assert types == ["event_created", "event_deleted"]


async def test_a_stream_ends_with_the_host(host):
    seen = []

    async def read(stream):
        async for execution in stream:
            seen.append(execution.event_id)

    async with trio.open_nursery() as nursery:
        async with host() as running:
            with running.executions() as ended:
                nursery.start_soon(read, ended)
                await running.add_event("lamp", action=Work(), **HOURLY)
                await running.clock.advance(3700)
                reader_may_go_on = ended
        del reader_may_go_on
        nursery.cancel_scope.deadline = trio.current_time() + 10
    assert seen == ["lamp"]


async def test_a_reader_that_is_too_slow_loses_the_oldest_and_is_told(monkeypatch, host):
    from alicia_scheduler.embedding.streams import Streams

    streams = Streams()
    with streams.open(lambda item: item, limit=2) as stream:
        for number in range(5):
            streams.hear(number + 1)
        assert (stream.dropped, await anext(stream)) == (3, 4)


# -- the block -------------------------------------------------------------------------------


async def test_the_end_of_the_block_lets_what_runs_come_to_its_end(host):
    done = []

    async def work():
        await trio.sleep(5)
        done.append(True)

    async with host() as running:
        await running.add_event("lamp", action=work, **HOURLY)
        await running.trigger("lamp")
    assert done == [True]


async def test_what_runs_longer_than_drain_timeout_is_cancelled(host):
    began = trio.current_time()
    async with host({"scheduler": {"drain_timeout": 3}}) as running:
        await running.add_event("lamp", action=trio.sleep_forever, **HOURLY)
        await running.trigger("lamp")
    assert trio.current_time() - began < 60


async def test_an_exception_leaves_the_block_as_it_is_and_cancels_what_runs(host):
    began = trio.current_time()
    with pytest.raises(LookupError, match="mine"):  # noqa: PT012
        async with host() as running:
            await running.add_event("lamp", action=trio.sleep_forever, **HOURLY)
            await running.trigger("lamp")
            raise LookupError("mine")
    # Virtual time leaps while a thread works, so only its order of magnitude says anything.
    assert trio.current_time() - began < 60


async def test_outside_its_block_a_host_is_closed(host):
    async with host() as running:
        pass
    for call in (running.trigger("lamp"), running.wait("x"), running.remove_event("lamp")):
        with pytest.raises(HostClosed, match="async with"):
            await call


async def test_waiting_for_what_the_host_does_not_outlive_says_so(host):
    problems = []

    async def wait(running, execution_id):
        try:
            await running.wait(execution_id)
        except HostClosed as error:
            problems.append(str(error))

    async with trio.open_nursery() as nursery, host() as running:
        await running.add_event("lamp", action=Work(), **HOURLY)
        record = (await running.trigger("lamp")).execution_id
        await running.wait(record)
        nursery.start_soon(wait, running, record)
    assert problems in ([], [f"the host has ended, and {record} has not"])


async def test_a_host_is_entered_once(host):
    async with host() as running:
        with pytest.raises(RuntimeError, match="once"):
            await running.__aenter__()


async def test_two_hosts_live_beside_each_other(host):
    async with host() as one, host() as other:
        await one.add_event("lamp", action=Work("one"), **HOURLY)
        await other.add_event("lamp", action=Work("other"), **HOURLY)
        results = [
            (await each.wait((await each.trigger("lamp")).execution_id)).result
            for each in (one, other)
        ]
    assert results == [{"value": "one"}, {"value": "other"}]
