"""The store against a plain model: any changes, in any grouping, then every question."""

from __future__ import annotations

import copy
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from alicia_scheduler.api import (
    EventExecution,
    EventRecord,
    EventState,
    Status,
    Step,
    StoreError,
    Trigger,
    to_epoch,
)
from alicia_scheduler.api.store import (
    Due,
    ExecutionPlace,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveState,
    SlotTaken,
)
from alicia_scheduler.store import connections
from alicia_scheduler.store.history import HistoryRules, HistoryWalk
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.rows import operations
from alicia_scheduler.store.schema import prepare
from alicia_scheduler.store.tables import Tables
from alicia_scheduler.store.writer import Writer
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 10, 25, 12, tzinfo=UTC)
CLAIMING = (Trigger.SCHEDULE, Trigger.CATCHUP)

event_ids = st.sampled_from(["a", "b", "c"])
origins = st.sampled_from(["file", "api"])
# Few instants, so that they meet; a microsecond apart, so that rounding would show.
instants = st.integers(0, 6).map(lambda n: NOON + timedelta(microseconds=n))
numbers = st.integers(0, 5)
states = st.builds(
    EventState,
    next_run=st.none() | instants,
    next_due=st.none() | instants,
    last_run=st.none() | instants,
    last_status=st.sampled_from(Status),
    run_count=numbers,
    slot_count=numbers,
    failures_in_row=numbers,
    failing_since=st.none() | instants,
    paused_until=st.none() | instants,
    paused_reason=st.none() | st.text(),
    skip_slots=st.lists(instants, max_size=3).map(tuple),
)
outcomes = st.fixed_dictionaries(
    {
        "status": st.sampled_from(Status),
        "trigger": st.sampled_from(Trigger),
        "start_time": st.none() | instants,
        "next_attempt_at": st.none() | instants,
        "result": st.none() | st.dictionaries(st.text(), st.integers(-9, 9) | st.text()),
        "error_message": st.none() | st.text(),
        "error_class": st.none() | st.text(),
        "retry_count": numbers,
        "due_time": st.none() | instants,
        "useful_until": st.none() | instants,
        "steps": st.lists(st.builds(Step, st.text(), st.floats(-1, 1)), max_size=3).map(tuple),
    }
)
saved_events = st.builds(
    lambda event_id, enabled, origin, state: SaveEvent(
        make_event(event_id, enabled=enabled, origin=origin), state
    ),
    event_ids,
    st.booleans(),
    origins,
    states,
)
saved_executions = st.builds(
    lambda number, event_id, slot, outcome: SaveExecution(
        EventExecution(
            execution_id=f"{event_id}-{number}-{slot.microsecond}",
            event_id=event_id,
            revision=1,
            scheduled_time=slot,
            **outcome,
        )
    ),
    st.integers(0, 2),
    event_ids,
    instants,
    outcomes,
)
facts = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=3,
)
changes = st.lists(
    saved_events
    | st.builds(SaveState, event_ids, states)
    | st.builds(RemoveEvent, event_ids)
    | st.builds(SaveFact, st.sampled_from(["sequence", "clean_stop"]), facts)
    | saved_executions,
    max_size=4,
)


@dataclass
class Model:
    """What a store holds, said as plainly as possible. Executions are in order of insertion."""

    events: dict[str, EventRecord] = field(default_factory=dict)
    executions: dict[str, EventExecution] = field(default_factory=dict)
    taken: set[tuple[str, datetime]] = field(default_factory=set)
    claiming: set[str] = field(default_factory=set)
    facts: dict[str, object] = field(default_factory=dict)

    def apply(self, change):
        if isinstance(change, SaveEvent):
            self.events[change.event.event_id] = EventRecord(change.event, change.state)
        elif isinstance(change, SaveState):
            if change.event_id in self.events:
                event = self.events[change.event_id].event
                self.events[change.event_id] = EventRecord(event, change.state)
        elif isinstance(change, RemoveEvent):
            self.events.pop(change.event_id, None)
            self.taken = {slot for slot in self.taken if slot[0] != change.event_id}
            self.claiming = {
                run for run in self.claiming if self.executions[run].event_id != change.event_id
            }
        elif isinstance(change, SaveFact):
            self.facts[change.name] = change.value
        else:
            self._save(change.execution)

    def _save(self, execution):
        slot = (execution.event_id, execution.scheduled_time)
        if execution.execution_id not in self.executions and execution.trigger in CLAIMING:
            if slot in self.taken:
                raise SlotTaken(execution.execution_id, *slot)
            self.taken.add(slot)
            self.claiming.add(execution.execution_id)
        self.executions[execution.execution_id] = execution

    def next_due(self):
        entries = [
            Due(record.state.next_due, event_id)
            for event_id, record in self.events.items()
            if record.event.enabled and record.state.next_due is not None
        ]
        entries += [
            Due(run.next_attempt_at, run.event_id, run.execution_id)
            for run in self.executions.values()
            if run.status is Status.PENDING and run.next_attempt_at is not None
        ]
        return sorted(entries, key=place)

    def newest_first(self, *, event_id=None, statuses=None):
        found = [
            run
            for run in self.executions.values()
            if event_id in (None, run.event_id) and (statuses is None or run.status in statuses)
        ]
        return sorted(found, key=lambda run: run.scheduled_time)[::-1]

    def trimmed(self, age, per_event, keep):
        """The ids of what stays when the history is trimmed."""
        stays = set()
        for event_id in {run.event_id for run in self.executions.values()}:
            seen = Counter()
            for number, run in enumerate(self.newest_first(event_id=event_id)):
                young = age is None or run.scheduled_time >= age
                few = per_event is None or number < per_event
                if not run.status.final or (young and few) or seen[run.status] < keep:
                    stays.add(run.execution_id)
                seen[run.status] += 1
        return stays

    def forget(self, execution_ids):
        for execution_id in execution_ids:
            run = self.executions.pop(execution_id)
            if execution_id in self.claiming:
                self.claiming.remove(execution_id)
                self.taken.discard((run.event_id, run.scheduled_time))

    def unfinished(self):
        found = [run for run in self.executions.values() if not run.status.final]
        return sorted(found, key=lambda run: run.scheduled_time)


def place(entry):
    return (to_epoch(entry.at), entry.event_id, entry.execution_id or "")


class InMemory(RuleBasedStateMachine):
    """Changes by the writer, questions by the queries; both without a thread between them."""

    def __init__(self):
        super().__init__()
        self.model = Model()
        self.open()

    def open(self):
        self.writing = self.reading = connections.open_memory()
        prepare(self.writing, None)
        self.attach()

    def attach(self):
        self.writer = Writer(self.writing, "here")
        self.queries = Queries(self.reading, "here")

    def close(self):
        assert self.queries.damaged() == []
        self.reading.close()
        self.writing.close()

    def teardown(self):
        self.close()

    def write(self, callers):
        """Commit for each caller; gives why it was refused, or None."""
        return self.writer.write([operations(caller) for caller in callers])

    def trim_history(self, age, per_event, keep, limit):
        rules = HistoryRules(None if age is None else to_epoch(age), per_event, keep, None)
        walk = HistoryWalk(rules)
        while (found := self.queries.expendable(walk, limit)) is not None:
            assert len(found) <= limit
            assert self.writer.delete_executions(found) == len(found)

    @rule(callers=st.lists(changes, min_size=1, max_size=3))
    def commit(self, callers):
        expected = []
        for caller in callers:
            tried = copy.deepcopy(self.model)
            try:
                for change in caller:
                    tried.apply(change)
            except SlotTaken as error:
                expected.append(str(error))
            else:
                expected.append(None)
                self.model = tried
        answers = self.write(callers)
        assert [answer and str(answer) for answer in answers] == expected

    @precondition(lambda self: self.model.executions)
    @rule(data=st.data(), outcome=outcomes)
    def go_on_with_an_execution(self, data, outcome):
        execution_id = data.draw(st.sampled_from(sorted(self.model.executions)))
        execution = replace(self.model.executions[execution_id], **outcome)
        assert list(self.write([[SaveExecution(execution)]])) == [None]
        self.model.apply(SaveExecution(execution))

    @rule(limit=st.integers(1, 3))
    def page_through_what_comes_next(self, limit):
        pages, after = [], None
        while page := self.queries.next_due(after=after, limit=limit):
            pages.extend(page)
            after = page[-1]
        assert pages == self.model.next_due()

    @rule(after=instants, event_id=event_ids, execution_id=st.none() | st.just("b-1-1"))
    def ask_what_follows_any_place(self, after, event_id, execution_id):
        entry = Due(after, event_id, execution_id)
        expected = [due for due in self.model.next_due() if place(due) > place(entry)]
        assert self.queries.next_due(after=entry, limit=100) == expected

    @rule(limit=st.integers(1, 3), origin=st.none() | origins)
    def page_through_the_events(self, limit, origin):
        pages, after = [], None
        while page := self.queries.list_events(after_id=after, limit=limit, origin=origin):
            pages.extend(page)
            after = page[-1].event.event_id
        assert pages == [
            record
            for _, record in sorted(self.model.events.items())
            if origin in (None, record.event.origin)
        ]

    @rule(wanted=st.lists(event_ids | st.just("unknown")))
    def ask_for_some_events(self, wanted):
        expected = {name: self.model.events[name] for name in wanted if name in self.model.events}
        assert self.queries.records(wanted) == expected

    @rule(
        event_id=st.none() | event_ids,
        statuses=st.none() | st.sets(st.sampled_from(Status)),
        limit=st.integers(0, 30),
    )
    def list_executions(self, event_id, statuses, limit):
        listed = self.queries.list_executions(event_id=event_id, statuses=statuses, limit=limit)
        assert listed == self.model.newest_first(event_id=event_id, statuses=statuses)[:limit]

    @rule(event_id=st.none() | event_ids, statuses=st.none() | st.sets(st.sampled_from(Status)))
    def page_through_the_executions(self, event_id, statuses):
        pages, after = [], None
        while page := self.queries.list_executions(
            event_id=event_id, statuses=statuses, after=after, limit=2
        ):
            pages.extend(page)
            after = ExecutionPlace(page[-1].scheduled_time, page[-1].execution_id)
        assert pages == self.model.newest_first(event_id=event_id, statuses=statuses)

    @rule(
        age=st.none() | instants,
        per_event=st.none() | st.integers(0, 4),
        keep=st.integers(0, 2),
        limit=st.integers(1, 3),
    )
    def trim(self, age, per_event, keep, limit):
        kept = self.model.trimmed(age, per_event, keep)
        self.trim_history(age, per_event, keep, limit)
        self.model.forget(self.model.executions.keys() - kept)
        assert {run.execution_id for run in self.queries.list_executions()} == kept

    @invariant()
    def every_execution_is_as_it_was_saved(self):
        for execution_id, execution in self.model.executions.items():
            assert self.queries.execution(execution_id) == execution

    @invariant()
    def every_fact_is_as_it_was_saved(self):
        assert self.queries.facts() == self.model.facts

    @invariant()
    def unfinished_executions_are_found(self):
        assert self.queries.unfinished() == self.model.unfinished()


class InFile(InMemory):
    """The same with a file, read through the connection that cannot write, reopened at will."""

    def open(self):
        self.directory = Path(tempfile.mkdtemp())
        self.connect()

    def connect(self):
        path = self.directory / "alicia.db"
        # What a power cut leaves is no question here, and NORMAL spares the disk.
        self.writing = connections.open_writing(path, "NORMAL")
        prepare(self.writing, path)
        self.reading = connections.open_reading(path)
        self.attach()

    @rule()
    def reopen(self):
        self.close()
        self.connect()

    def teardown(self):
        super().teardown()
        shutil.rmtree(self.directory)


class InDictionaries(InMemory):
    """The same questions to the store that is no SQL."""

    def open(self):
        self.queries = Tables()

    def close(self):
        pass

    def write(self, callers):
        return [self._refused(caller) for caller in callers]

    def _refused(self, caller):
        try:
            self.queries.commit(caller)
        except StoreError as error:
            return error
        return None

    def trim_history(self, age, per_event, keep, limit):
        by_event = age is not None or per_event is not None
        for event_id in self.queries.event_ids() if by_event else ():
            for kept in self.queries.expendable(event_id, keep, age, per_event):
                self.queries.delete(kept)

    @rule()
    def count_the_bytes(self):
        encode = msgspec.json.encode
        assert self.queries.size == sum(len(encode(r)) for r in self.model.executions.values())

    @rule()
    def ask_for_what_is_unfinished(self):
        assert self.queries.unfinished() == self.model.unfinished()


TestInMemory = InMemory.TestCase
TestInMemory.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestInDictionaries = InDictionaries.TestCase
TestInDictionaries.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestInFile = InFile.TestCase
TestInFile.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
