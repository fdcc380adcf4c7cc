"""Every test of every contract fails for a plugin that is wrong in its way: the proof that the kit
can tell."""

import inspect
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio
from msgspec import Struct

from alicia_scheduler.api import (
    ActionType,
    MqttConnection,
    Permanent,
    Retryable,
    ScheduleType,
    ServiceType,
    SinkType,
)
from alicia_scheduler.testing import (
    ActionContract,
    ScheduleContract,
    ServiceContract,
    SinkContract,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Options(Struct, forbid_unknown_fields=True):
    number: int = 60
    seen: list[int] = []


class Loose(Struct):
    number: int = 60


class Odd(Struct, forbid_unknown_fields=True):
    lock: trio.Lock | None = None


def names_in(contract):
    return {name for name in dir(contract) if name.startswith("test_")}


async def outcome(contract, name):
    """What a contract's test raises for a wrong plugin, groups taken apart; None when it passes."""
    try:
        done = getattr(contract(), name)()
        if inspect.isawaitable(done):
            await done
    except BaseException as error:  # noqa: BLE001
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        return error
    return None


# -- schedules -------------------------------------------------------------------------------


@dataclass
class Grid:
    """Right in every respect."""

    seconds: float = 3600.0
    anchor: datetime = EPOCH

    def next_after(self, instant):
        step = timedelta(seconds=self.seconds)
        try:
            return self.anchor + ((instant - self.anchor) // step + 1) * step
        except OverflowError:
            return None

    def describe(self):
        return "every hour"


class Naive(Grid):
    def next_after(self, instant):
        found = super().next_after(instant)
        return found and found.replace(tzinfo=None)


class Later(Grid):
    """Skips a slot when it is asked from far away."""

    def next_after(self, instant):
        found = super().next_after(instant)
        far = found and found - instant > timedelta(minutes=40)
        return super().next_after(found) if far else found


class Remembers(Grid):
    last = EPOCH

    def next_after(self, instant):
        self.last = max(self.last, instant)
        return super().next_after(self.last)


class Clocked(Grid):
    def next_after(self, instant):
        datetime.now(UTC)
        return super().next_after(instant)


class Endless(Grid):
    def next_after(self, instant):
        while instant.year > 9000:
            pass
        return super().next_after(instant)


class Breaks(Grid):
    def next_after(self, instant):
        return instant + timedelta(days=1)


class Wordless(Grid):
    def describe(self):
        return " "


class StopsAtChange(Grid):
    """Goes backwards for an hour of the night when the clocks change in Berlin."""

    def next_after(self, instant):
        change = datetime(2026, 3, 29, 1, tzinfo=UTC)
        if change <= instant < change + timedelta(hours=1):
            return change
        return super().next_after(instant)


BUILT = []


def counting(config, _context):
    BUILT.append(1)
    return Grid(3600.0 + len(BUILT))


def a_schedule(build, options=Options, *, elapsed=False, summary="a grid"):
    class Wrong(ScheduleContract):
        kind = ScheduleType(
            name="test.grid", config=options, build=build, elapsed=elapsed, summary=summary
        )

        def examples(self):
            return [{}]

        def refused(self):
            return [{"number": -1}]

    return Wrong


def refusing(make):
    from alicia_scheduler.api import ConfigError

    def build(config, context):
        if getattr(config, "number", 0) < 0:
            raise ConfigError("below nothing")
        return make(config, context)

    return build


class Unpicklable(Struct, forbid_unknown_fields=True):
    number: int = 60

    def __reduce__(self):
        return (Unpicklable, (61,))


WRONG_SCHEDULES = {
    "test_the_type_says_what_it_is": a_schedule(refusing(lambda *_: Grid()), summary=""),
    "test_an_option_that_does_not_exist_is_refused_by_name": a_schedule(
        refusing(lambda *_: Grid()), Loose
    ),
    "test_the_options_have_a_json_schema": a_schedule(refusing(lambda *_: Grid()), Odd),
    "test_each_slot_is_an_aware_utc_datetime_later_than_the_question": a_schedule(
        lambda *_: Naive()
    ),
    "test_no_slot_lies_between_a_question_and_its_answer": a_schedule(lambda *_: Later()),
    "test_the_same_question_has_the_same_answer": a_schedule(lambda *_: Remembers()),
    "test_a_schedule_built_again_gives_the_same_slots": a_schedule(counting),
    "test_its_configuration_survives_pickling": a_schedule(
        lambda config, _: Grid(config.number), Unpicklable
    ),
    "test_an_answer_touches_no_clock_no_file_and_no_dice": a_schedule(lambda *_: Clocked()),
    "test_an_answer_takes_bounded_time": a_schedule(lambda *_: Endless()),
    "test_slots_go_on_over_every_clock_change": a_schedule(lambda *_: StopsAtChange(60)),
    "test_the_ends_of_the_calendar_are_no_error": a_schedule(lambda *_: Breaks()),
    "test_slots_of_elapsed_time_move_with_their_anchor": a_schedule(
        lambda *_: Grid(), elapsed=True
    ),
    "test_it_describes_itself_in_one_line": a_schedule(lambda *_: Wordless()),
    "test_what_can_never_mean_anything_is_a_config_error": a_schedule(lambda *_: Grid()),
}


def test_a_right_schedule_keeps_the_contract():
    contract = a_schedule(refusing(lambda *_: Grid()))
    for name in names_in(contract):
        getattr(contract(), name)()


# -- actions ---------------------------------------------------------------------------------


def an_action(run, *, options=Options, quick=None, failing=None, requires=(), preview=None):
    class Wrong(ActionContract):
        kind = ActionType(
            name="test.action",
            config=options,
            open=opening(SimpleNamespace(run=run)),
            requires=requires,
            preview=preview,
            summary="x",
        )

        def quick(self):
            return quick or {}

        def slow(self):
            return {"number": 99}

        def failing(self):
            return failing or {"number": 0}

    return Wrong


def opening(thing):
    @asynccontextmanager
    async def opened(*arguments):
        thing.context = arguments[-1]
        yield thing

    return opened


async def good(config, _execution):
    if config.number == 0:
        raise Permanent("it is not there")
    await trio.sleep(3600 if config.number == 99 else 0)
    return {"done": True}


async def returns_a_socket(config, execution):
    return object()


async def never_fails(config, execution):
    return {"failed": True}


async def changes_its_config(config, execution):
    config.seen.append(1)


BUSY = []


async def one_at_a_time(config, execution):
    if BUSY:
        raise Retryable("busy")
    BUSY.append(1)
    try:
        await trio.sleep(0.01)
    finally:
        BUSY.clear()


async def swallows(config, execution):
    try:
        await good(config, execution)
    except trio.Cancelled:
        return


async def turns_cancellation_into_an_error(config, execution):
    try:
        await trio.sleep(0)
    except trio.Cancelled:
        raise OSError("interrupted") from None


LEFT = []


async def leaves_a_file(config, execution):
    LEFT.append(Path("/dev/null").open())  # noqa: SIM115


def asking():
    thing = SimpleNamespace()

    async def run(config, execution):
        try:
            thing.context.service(MqttConnection)
        except Retryable:
            return

    thing.run = run
    contract = an_action(run)
    contract.kind = ActionType(name="test.action", config=Options, open=opening(thing), summary="x")
    return contract


def leaving_when_closed():
    @asynccontextmanager
    async def opened(_context):
        LEFT.append(Path("/dev/null").open())  # noqa: SIM115
        LEFT.append(Path("/dev/null").open())  # noqa: SIM115
        yield SimpleNamespace(run=good)

    contract = an_action(good)
    contract.kind = ActionType(name="test.action", config=Options, open=opened, summary="x")
    return contract


WRONG_ACTIONS = {
    "test_a_result_has_a_form_in_json": an_action(returns_a_socket),
    "test_a_run_that_fails_says_so": an_action(never_fails),
    "test_a_run_changes_nothing_of_its_configuration": an_action(changes_its_config),
    "test_runs_at_the_same_time_do_not_mix": an_action(one_at_a_time),
    "test_a_run_that_is_cancelled_ends": an_action(swallows),
    "test_a_run_can_be_cancelled_at_each_await": an_action(turns_cancellation_into_an_error),
    "test_runs_leave_nothing_behind": an_action(leaves_a_file),
    "test_a_closed_action_leaves_nothing_behind": leaving_when_closed(),
    "test_it_asks_only_for_the_services_that_it_requires": asking(),
    "test_a_preview_says_what_a_run_would_do": an_action(good, preview=lambda *_: object()),
}


async def test_a_right_action_keeps_the_contract():
    contract = an_action(good)
    for name in names_in(contract):
        assert await outcome(contract, name) is None, name


# -- sinks -----------------------------------------------------------------------------------


class Far:
    """What a sink writes to."""

    def __init__(self):
        self.arrived = []


def a_sink(write, *, close=None, once=False, requires=()):
    far = Far()
    state = SimpleNamespace(openings=0, late=[])

    @asynccontextmanager
    async def opened(_config, context):
        state.openings += 1
        if once and state.openings > 1:
            raise OSError("the address is in use")
        state.context = context

        class Sink:
            async def write(self, notifications):
                await write(far, state, notifications)

        yield Sink()
        if close is not None:
            close(far, state)

    class Wrong(SinkContract):
        kind = SinkType(
            name="test.sink", config=Options, open=opened, requires=requires, summary="x"
        )

        def options(self):
            return {}

        async def arrived(self):
            return far.arrived

    return Wrong


async def arrives(far, _state, notifications):
    await trio.sleep(0)
    far.arrived += [notification.sequence for notification in notifications]


async def arrives_late(far, state, notifications):
    state.late += [notification.sequence for notification in notifications]


async def arrives_in_part(far, state, notifications):
    await arrives(far, state, notifications[:100])


async def arrives_backwards(far, state, notifications):
    await arrives(far, state, list(reversed(notifications)))


async def marks_them(far, state, notifications):
    for notification in notifications:
        notification.event_data["written"] = True


async def chokes(far, state, notifications):
    for notification in notifications:
        notification.event_data["event_id"]


async def jams(far, state, notifications):
    """A lock that a cancelled write never gives back."""
    while getattr(state, "locked", False):
        return
    state.locked = True
    await trio.sleep(0)
    far.arrived += [notification.sequence for notification in notifications]
    state.locked = False


async def opens_a_file(far, state, notifications):
    LEFT.append(Path("/dev/null").open())  # noqa: SIM115


async def asks(far, state, notifications):
    try:
        state.context.service(MqttConnection)
    except Retryable:
        return


def leaves_files(far, state):
    LEFT.extend([Path("/dev/null").open(), Path("/dev/null").open()])  # noqa: SIM115


WRONG_SINKS = {
    "test_a_batch_has_arrived_in_order_when_write_returns": a_sink(arrives_backwards),
    "test_the_largest_batch_arrives_whole": a_sink(arrives_in_part),
    "test_all_is_there_when_the_sink_is_closed": a_sink(arrives_late),
    "test_it_goes_on_when_it_is_opened_again": a_sink(arrives, once=True),
    "test_a_batch_changes_nothing_of_its_notifications": a_sink(marks_them),
    "test_no_notification_makes_it_fail": a_sink(chokes),
    "test_a_write_can_be_cancelled_at_each_await": a_sink(jams),
    "test_batches_leave_nothing_behind": a_sink(opens_a_file),
    "test_a_closed_sink_leaves_nothing_behind": a_sink(arrives, close=leaves_files),
    "test_it_asks_only_for_the_services_that_it_requires": a_sink(asks),
}


async def test_a_right_sink_keeps_the_contract():
    names = names_in(SinkContract)
    for name in names:
        assert await outcome(a_sink(arrives), name) is None, name


# -- services --------------------------------------------------------------------------------


class Lamp:
    """A contract."""

    def switch(self): ...


def a_service(opened, *, provides=None, requires=()):
    class Wrong(ServiceContract):
        kind = ServiceType(
            name="test.service",
            config=Options,
            open=opened,
            provides=provides,
            requires=requires,
            summary="x",
        )

        def options(self):
            return {}

    return Wrong


@asynccontextmanager
async def opens_well(_config, _context):
    await trio.sleep(0)
    yield Lamp()


def opens_once():
    opened_before = []

    @asynccontextmanager
    async def opened(_config, _context):
        if opened_before:
            raise OSError("the address is in use")
        opened_before.append(1)
        yield Lamp()

    return opened


@asynccontextmanager
async def closes_slowly(_config, _context):
    yield Lamp()
    await trio.sleep(60)


@asynccontextmanager
async def fails_when_cancelled(_config, _context):
    try:
        await trio.sleep(0)
    except trio.Cancelled:
        raise OSError("interrupted") from None
    yield Lamp()


@asynccontextmanager
async def swallows_cancellation(_config, _context):
    with trio.CancelScope():
        try:
            yield Lamp()
        except trio.Cancelled:
            return


@asynccontextmanager
async def swallows_errors(_config, _context):
    try:
        yield Lamp()
    except Exception:  # noqa: BLE001
        return


@asynccontextmanager
async def leaves_a_descriptor(_config, _context):
    LEFT.append(Path("/dev/null").open())  # noqa: SIM115
    yield Lamp()


@asynccontextmanager
async def yields_nothing(_config, _context):
    yield None


@asynccontextmanager
async def asks_for_mqtt(_config, context):
    try:
        context.service(MqttConnection)
    except Retryable:
        yield None
        return
    yield None


@asynccontextmanager
async def breaks_without(_config, context):
    try:
        context.service(MqttConnection)
    except Retryable:
        raise KeyError("mqtt") from None
    yield None


WRONG_SERVICES = {
    "test_it_opens_and_closes_again_and_again": a_service(opens_once()),
    "test_it_closes_in_time": a_service(closes_slowly),
    "test_opening_can_be_cancelled_at_each_await": a_service(fails_when_cancelled),
    "test_it_can_be_cancelled_while_it_runs": a_service(swallows_cancellation),
    "test_an_error_of_its_user_passes_through": a_service(swallows_errors),
    "test_a_closed_service_leaves_nothing_behind": a_service(leaves_a_descriptor),
    "test_what_it_yields_has_all_that_it_provides": a_service(yields_nothing, provides=Lamp),
    "test_it_asks_only_for_the_services_that_it_requires": a_service(asks_for_mqtt),
    "test_without_what_it_requires_it_waits_or_says_so": a_service(
        breaks_without, requires=(MqttConnection,)
    ),
}


async def test_a_right_service_keeps_the_contract():
    for name in names_in(ServiceContract):
        assert await outcome(a_service(opens_well, provides=Lamp), name) is None, name


# -- all of them -----------------------------------------------------------------------------

SHARED = {
    "test_the_type_says_what_it_is",
    "test_an_option_that_does_not_exist_is_refused_by_name",
    "test_the_options_have_a_json_schema",
    "test_every_option_has_a_default_or_is_asked_for",
}
"""Tests of options, which are the same for all; they are proved with the schedules."""

WRONG = {
    ScheduleContract: WRONG_SCHEDULES,
    ActionContract: WRONG_ACTIONS,
    SinkContract: WRONG_SINKS,
    ServiceContract: WRONG_SERVICES,
}


@pytest.fixture(autouse=True)
def _closed():
    yield
    while LEFT:
        LEFT.pop().close()


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        pytest.param(wrong, name, id=f"{kind.__name__}-{name}")
        for kind, wrongs in WRONG.items()
        for name, wrong in wrongs.items()
    ],
)
async def test_a_wrong_plugin_fails_the_test_of_its_contract(contract, name, autojump_clock):
    error = await outcome(contract, name)
    assert isinstance(error, AssertionError), error
    assert len(str(error)) > 20, "the message says what to do"


@pytest.mark.parametrize("contract", list(WRONG))
def test_each_test_of_a_contract_has_a_plugin_that_fails_it(contract):
    proved = set(WRONG[contract])
    assert names_in(contract) - SHARED == proved - SHARED
    assert SHARED - set(WRONG_SCHEDULES) == {"test_every_option_has_a_default_or_is_asked_for"}


def test_a_test_of_a_contract_cannot_be_replaced():
    with pytest.raises(TypeError, match="replaces a test of the contract"):

        class Cheats(ScheduleContract):
            def test_it_describes_itself_in_one_line(self): ...


def test_a_test_that_cannot_be_kept_is_marked_with_its_reason():
    class Honest(ScheduleContract):
        @pytest.mark.xfail(reason="it has no words")
        def test_it_describes_itself_in_one_line(self): ...

    assert issubclass(Honest, ScheduleContract)


def test_what_a_subclass_lacks_is_asked_for_by_name():
    class Lacks(ScheduleContract):
        kind = WRONG_SCHEDULES["test_the_type_says_what_it_is"].kind

    with pytest.raises(NotImplementedError, match=r"write Lacks\.examples\(\)"):
        Lacks().test_it_describes_itself_in_one_line()
