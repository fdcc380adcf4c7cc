"""Live lines of an attempt: cut, and told at a bounded rate."""

from datetime import UTC, datetime

import pytest

from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.host.progress import BURST, LINE_LIMIT, PER_SECOND, Progress
from alicia_scheduler.kernel.clock import SystemClock
from alicia_scheduler.kernel.notifications import Notifier


@pytest.fixture
def told():
    return []


@pytest.fixture
def elapsed():
    """Seconds, in a list so that a test may let them pass."""
    return [0.0]


@pytest.fixture
def progress(told, elapsed):
    notifier = Notifier(SystemClock())
    notifier.listen(told.append)
    execution = EventExecution(
        execution_id="x-1",
        event_id="backup",
        revision=1,
        scheduled_time=datetime(2026, 3, 1, tzinfo=UTC),
        retry_count=1,
    )
    return Progress(execution, notifier, lambda: elapsed[0])


def test_a_line_is_told_with_whose_it_is(progress, told):
    progress.tell("copying")
    (notification,) = told
    assert notification.event_type == "execution_output"
    assert notification.event_data == {
        "execution_id": "x-1",
        "event_id": "backup",
        "attempt": 2,
        "line": "copying",
        "left_out": 0,
    }


def test_a_long_line_is_cut(progress, told):
    progress.tell("x" * 10_000)
    assert told[0].event_data["line"] == "x" * (LINE_LIMIT - 1) + "…"


def test_no_part_of_a_secret_stands_where_a_line_is_cut(told, elapsed, progress):
    progress._notifier.redact = lambda data: data | {"line": data["line"].replace("pass", "***")}
    progress.tell("x" * (LINE_LIMIT - 4) + "pass" + "x" * 100)
    assert told[0].event_data["line"] == "x" * (LINE_LIMIT - 4) + "***…"


def test_a_flood_is_counted_instead_of_told(progress, told, elapsed):
    for _ in range(1000):
        progress.tell("x")
    assert len(told) == BURST
    elapsed[0] = 1.0
    progress.tell("later")
    assert told[-1].event_data["left_out"] == 1000 - BURST
    progress.tell("at once")
    assert told[-1].event_data["left_out"] == 0


def test_for_long_it_is_a_few_lines_a_second(progress, told, elapsed):
    for tenth in range(1000):
        elapsed[0] = tenth / 10
        for _ in range(10):
            progress.tell("x")
    assert len(told) <= BURST + 100 * PER_SECOND
