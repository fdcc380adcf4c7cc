"""Every test of the store's contract fails for a store that is wrong in some way."""

from contextlib import asynccontextmanager

import pytest
import trio
from msgspec.structs import replace

from alicia_scheduler.api import StoreError
from alicia_scheduler.api.store import (
    Damaged,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SlotTaken,
)
from alicia_scheduler.store import STORE_FILE, SqliteStore
from alicia_scheduler.testing import StoreContract

NAMES = sorted(name for name in dir(StoreContract) if name.startswith("test_"))


class Wrong:
    """A store that passes everything on. Subclasses are wrong in one way each."""

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        return getattr(self.store, name)

    async def commit(self, changes):
        await self.store.commit(self.changed(list(changes)))

    def changed(self, changes):
        return changes


class Backwards(Wrong):
    def changed(self, changes):
        return changes[::-1]


class WithoutResults(Wrong):
    def changed(self, changes):
        return [
            SaveExecution(replace(each.execution, result=None, steps=(), error_message=None))
            if isinstance(each, SaveExecution)
            else each
            for each in changes
        ]


class WithoutRemoval(Wrong):
    def changed(self, changes):
        return [each for each in changes if not isinstance(each, RemoveEvent)]


class Enables(Wrong):
    def changed(self, changes):
        return [
            SaveEvent(replace(each.event, enabled=True, tags=()), each.state)
            if isinstance(each, SaveEvent)
            else each
            for each in changes
        ]


class PieceByPiece(Wrong):
    async def commit(self, changes):
        for each in changes:
            await self.store.commit([each])


class NamesTheOther(Wrong):
    async def commit(self, changes):
        try:
            await self.store.commit(changes)
        except SlotTaken as taken:
            raise SlotTaken("r1", taken.event_id, taken.scheduled_time) from None


class LetsSlotsRunTwice(Wrong):
    async def commit(self, changes):
        try:
            await self.store.commit(changes)
        except SlotTaken:
            return


class TakesAnything(Wrong):
    async def commit(self, changes):
        try:
            await self.store.commit(changes)
        except StoreError:
            return

    async def execution(self, execution_id):
        try:
            return await self.store.execution(execution_id)
        except StoreError:
            return None


class TakesEverySlotOnce(Wrong):
    """Also for manual triggers, other events, and events that were made anew."""

    def __init__(self, store):
        super().__init__(store)
        self.slots = {}

    async def commit(self, changes):
        for each in changes:
            if isinstance(each, SaveExecution):
                run = each.execution
                if self.slots.setdefault(run.scheduled_time, run.execution_id) != run.execution_id:
                    raise SlotTaken(run.execution_id, run.event_id, run.scheduled_time)
        await self.store.commit(changes)


class ForgetsFacts(Wrong):
    async def facts(self):
        return {"made up": 1}


class AppliesWhatIsCancelled(Wrong):
    async def commit(self, changes):
        with trio.CancelScope(shield=True):
            await self.store.commit(changes)
        await trio.lowlevel.checkpoint()


class Unordered(Wrong):
    """Answers in the wrong order."""

    async def list_events(self, **filters):
        return (await self.store.list_events(**filters))[::-1]

    async def list_executions(self, **filters):
        return (await self.store.list_executions(**filters))[::-1]

    async def unfinished(self):
        return (await self.store.unfinished())[::-1]

    async def next_due(self, **page):
        return (await self.store.next_due(**page))[::-1]

    async def notifications(self, **page):
        return (await self.store.notifications(**page))[::-1]


class Unfiltered(Wrong):
    """Answers more than it was asked for."""

    async def list_events(self, **_filters):
        return await self.store.list_events()

    async def list_executions(self, **_filters):
        return await self.store.list_executions()

    async def unfinished(self):
        return await self.store.list_executions()

    async def next_due(self, **_page):
        return await self.store.next_due(after=None, limit=100)

    async def records(self, _event_ids):
        return {each.event.event_id: each for each in await self.store.list_events()} | {"x": None}

    async def execution(self, _execution_id):
        return next(iter(await self.store.list_executions()), "made up")


class Empty(Wrong):
    """Answers nothing."""

    async def list_events(self, **_filters):
        return []

    async def records(self, _event_ids):
        return {}

    async def next_due(self, **_page):
        return []

    async def execution(self, _execution_id):
        return None

    async def list_executions(self, **_filters):
        return []

    async def notifications(self, **_page):
        return []

    async def excess_notifications(self, **_limits):
        return 0


class Trims(Wrong):
    async def trim(self, **_rules):
        return 0

    async def damaged(self):
        return [Damaged("event", "lamp", "made up")]

    async def next_due(self, **page):
        return [*await self.store.next_due(**page), "made up"]


class TrimsAtOnce(Wrong):
    async def trim(self, **rules):
        return await self.store.trim(**{**rules, "limit": 1000, "keep_per_status": 0})


class Inserts(Wrong):
    """Never replaces anything."""

    def __init__(self, store):
        super().__init__(store)
        self.known = set()

    def changed(self, changes):
        return [each for each in changes if self.is_new(each)]

    def is_new(self, change):
        match change:
            case SaveExecution(execution):
                key = execution.execution_id
            case SaveEvent(event):
                key = event.event_id
            case SaveFact(name):
                key = name
            case _:
                return type(change).__name__ not in ("SaveState", "DropNotifications")
        new = key not in self.known
        self.known.add(key)
        return new


class NeverCloses(Wrong):
    async def commit(self, changes):
        try:
            await self.store.commit(changes)
        except StoreError as error:
            if "closed" not in str(error):
                raise

    async def list_events(self, **filters):
        try:
            return await self.store.list_events(**filters)
        except StoreError:
            return []


class Busy(Wrong):
    """Refuses an empty commit, and makes up events."""

    def changed(self, changes):
        if not changes:
            raise StoreError("there is nothing to commit")
        return changes

    async def list_events(self, **_filters):
        return ["made up"]


KINDS = [kind for kind in vars().values() if isinstance(kind, type) and Wrong in kind.__mro__[1:]]


async def fails(kind, name, path):
    class Contract(StoreContract):
        @asynccontextmanager
        async def opened(self):
            async with SqliteStore.open(path) as store:
                yield kind(store)

    function = getattr(Contract(), name)
    arguments = {}
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "parametrize":
            names, values = mark.args
            first = values[0] if isinstance(names, tuple) else (values[0],)
            names = names if isinstance(names, tuple) else (names,)
            arguments = dict(zip(names, first, strict=True))
    try:
        with trio.fail_after(5):  # a wrong page may have no end
            await function(**arguments)
    except BaseException:  # noqa: BLE001 - whatever it is, the test does not pass
        return True
    return False


@pytest.mark.parametrize("name", NAMES)
async def test_each_test_is_failed_by_some_wrong_store_and_kept_by_the_right_one(name, tmp_path):
    assert not await fails(Wrong, name, tmp_path / STORE_FILE)
    for number, kind in enumerate(KINDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        if await fails(kind, name, folder / STORE_FILE):
            return
    pytest.fail(f"no wrong store fails {name}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_each_wrong_store_is_found_out(kind, tmp_path):
    for name in NAMES:
        folder = tmp_path / name
        folder.mkdir()
        if await fails(kind, name, folder / STORE_FILE):
            return
    pytest.fail(f"no test finds {kind.__name__}")
