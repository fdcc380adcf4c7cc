"""What a notification looks like on the bus: topics and keys."""

from datetime import UTC, datetime, timedelta

import pytest

from alicia_scheduler.api import EventExecution, Notification, Status, to_wire
from alicia_sink_mqtt.messages import messages

SLOT = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
AT = SLOT + timedelta(seconds=2)


def notification(event_type, data):
    return Notification(
        event_type=event_type, event_data=data, timestamp=AT, source="event_scheduler", sequence=7
    )


def execution(status=Status.COMPLETED, **fields):
    run = EventExecution(
        execution_id="x-1",
        event_id="lights",
        revision=1,
        scheduled_time=SLOT,
        start_time=SLOT + timedelta(seconds=0.5),
        end_time=SLOT + timedelta(seconds=1.5),
        status=status,
        **fields,
    )
    return {**to_wire(run), "name": "Lights", "lateness": run.lateness, "duration": run.duration}


def by_topic(event_type, data):
    found = list(messages(notification(event_type, data)))
    assert len({topic for topic, _ in found}) == len(found)
    return dict(found)


def test_each_notification_goes_to_all_events_and_to_its_own_topic():
    found = by_topic("event_created", {"event_id": "lights"})
    assert set(found) == {"events", "event_created"}
    assert (
        found["events"]
        == found["event_created"]
        == {
            "event_type": "event_created",
            "event_data": {"event_id": "lights"},
            "timestamp": 1772346602.0,
            "source": "event_scheduler",
            "sequence": 7,
        }
    )


def test_a_started_execution_is_no_result():
    assert set(by_topic("execution_started", execution(Status.RUNNING))) == {
        "events",
        "execution_started",
    }


@pytest.mark.parametrize(
    "event_type",
    [
        "execution_completed",
        "execution_failed",
        "execution_timed_out",
        "execution_cancelled",
        "execution_skipped",
        "execution_missed",
        "execution_interrupted",
    ],
)
def test_every_end_of_an_execution_is_a_result(event_type):
    assert "execution_results" in by_topic(event_type, execution())


def test_a_result_has_the_keys_of_the_bus_and_ours():
    found = by_topic("execution_completed", execution(result={"status": "success"}))
    assert found["execution_results"] == {
        "execution_id": "x-1",
        "event_id": "lights",
        "status": "completed",
        "start_time": 1772346600.5,
        "end_time": 1772346601.5,
        "duration": 1.0,
        "result": {"status": "success"},
        "timestamp": 1772346602.0,
        "scheduled_time": 1772346600.0,
        "error_message": None,
        "error_class": None,
        "retry_count": 0,
        "reason": None,
        "trigger": "schedule",
        "lateness": 0.5,
    }


def test_a_duration_that_nobody_knows_is_zero():
    data = {**execution(Status.SKIPPED), "start_time": None, "lateness": None, "duration": None}
    result = by_topic("execution_skipped", data)["execution_results"]
    assert (result["duration"], result["lateness"]) == (0, None)


@pytest.mark.parametrize(
    "event_type", ["execution_failed", "execution_timed_out", "execution_interrupted"]
)
def test_a_failed_execution_is_an_error_too(event_type):
    data = execution(Status.FAILED, error_message="no answer", error_class="connection")
    assert by_topic(event_type, data)["errors"] == {
        "error": "no answer",
        "class": "connection",
        "event_id": "lights",
        "execution_id": "x-1",
        "timestamp": 1772346602.0,
    }


def test_a_failure_without_a_message_tells_its_reason():
    data = execution(Status.INTERRUPTED, reason="crash")
    assert by_topic("execution_interrupted", data)["errors"]["error"] == "crash"


def test_a_skipped_execution_is_no_error():
    assert "errors" not in by_topic("execution_skipped", execution(Status.SKIPPED))


def test_trouble_of_the_host_is_an_error():
    found = by_topic("error", {"message": "sink lost", "event_id": None, "class": "sink"})
    assert set(found) == {"events", "error", "errors"}
    assert found["errors"] == {
        "error": "sink lost",
        "class": "sink",
        "event_id": None,
        "timestamp": 1772346602.0,
    }


def test_a_recovery_is_told_on_its_fixed_topic_once_and_in_its_fixed_shape():
    found = by_topic("recovery", {"interrupted": 2, "rerun": 1})
    assert set(found) == {"events", "recovery"}
    assert found["recovery"] == {
        "status": "recovered",
        "timestamp": 1772346602.0,
        "interrupted": 2,
        "rerun": 1,
    }


@pytest.mark.parametrize(
    "event_type",
    ["events", "errors", "execution_results", "availability", "command", "a/b", "+", "", "$x"],
)
def test_a_type_that_is_no_topic_of_its_own_goes_to_all_events_only(event_type):
    assert list(dict(messages(notification(event_type, {})))) == ["events"]
