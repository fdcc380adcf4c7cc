"""Completion reports: what a receiver tells ends the attempt that waits for it, and no other."""

import pytest
import trio

PREFIX = "alicia/scheduler"
WAITING = {"topic": "home/job", "completion": "report", "qos": 1}

FORMS = {
    "flat": lambda body: body | {"source": "worker"},
    "enveloped": lambda body: {"message_id": "m", "source": "worker", "payload": body},
    "hybrid": lambda body: body | {"message_id": "m", "source": "worker", "payload": body},
}


async def started(client, far, **more):
    """An execution that waits for its report: its id."""
    event = far | {"event_id": "job", "action": WAITING, "retry_delay": 0} | more
    await client.command("create_event", event=event)
    await client.command("trigger_event", event_id="job")
    [message] = await client.wait_for("home/job")
    return message.json()["execution_id"]


async def ended(host, execution_id):
    with trio.fail_after(20):
        while True:
            execution = await host.kernel.store.execution(execution_id)
            if execution is not None and execution.status.final:
                return execution
            await trio.sleep(0.02)


def report(execution_id, **more):
    return {"event_type": "execution_complete", "execution_id": execution_id, **more}


@pytest.mark.parametrize("form", FORMS)
async def test_x1_x3_a_report_completes_the_execution_with_its_result(
    form, mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        execution_id = await started(client, far)
        client.tell("alicia/events/job", FORMS[form](report(execution_id, result={"rows": 3})))
        execution = await ended(host, execution_id)
        record = (await client.command("get_event", event_id="job"))["data"]["event"]
    assert execution.status == "completed"
    assert execution.result["report"] == {
        "status": "completed",
        "reporter": "worker",
        "result": {"rows": 3},
    }
    # X4: what the original's counters never saw.
    assert (record["run_count"], record["success_count"], record["last_status"]) == (
        1,
        1,
        "completed",
    )


async def test_a_failure_is_tried_again_and_keeps_what_was_told(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        execution_id = await started(client, far, max_retries=1)
        failed = report(execution_id, status="failed", result={"error": "no paper", "page": 4})
        client.tell("alicia/events/job", failed)
        # The message is published anew, with the same execution's id.
        again = await client.wait_for("home/job", 2)
        assert again[1].json()["execution_id"] == execution_id
        client.tell("alicia/events/job", failed | {"source": "printer"})
        execution = await ended(host, execution_id)
    assert (execution.status, execution.error_class) == ("failed", "reported_failure")
    assert execution.error_message == "printer reported a failure: no paper"
    assert execution.result["report"]["result"] == {"error": "no paper", "page": 4}


async def test_a_cancellation_ends_the_execution_as_cancelled(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        execution_id = await started(client, far, max_retries=3)
        client.tell(
            "alicia/events/job",
            report(execution_id, status="cancelled", error="by hand", source="printer"),
        )
        execution = await ended(host, execution_id)
    assert (execution.status, execution.reason) == ("cancelled", "called_off")
    assert execution.error_message == "printer cancelled it: by hand"
    assert execution.retry_count == 0


NO_REPORTS = {
    "a status that is not final": {"status": "running"},
    "a status of ours": {"status": "missed"},
    "a status that is none": {"status": 5},
    "another execution": {"execution_id": "00000000-0000-0000-0000-000000000000"},
    "an id that is no text": {"execution_id": []},
    "another type": {"event_type": "execution_started"},
}


@pytest.mark.parametrize("case", NO_REPORTS)
async def test_what_is_no_report_changes_nothing(case, mosquitto, host_at, client, far):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        execution_id = await started(client, far)
        client.tell("alicia/events/job", report(execution_id) | NO_REPORTS[case])
        client.tell("alicia/events/job", report(execution_id, result="the right one"))
        execution = await ended(host, execution_id)
    assert execution.result["report"]["result"] == "the right one"


async def test_a_report_after_the_timeout_is_late_and_not_applied(
    mosquitto, host_at, client, far, caplog
):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        execution_id = await started(client, far, timeout=0.3, max_retries=0)
        execution = await ended(host, execution_id)
        client.tell("alicia/events/job", report(execution_id, source="worker"))
        await client.command("get_stats")
        assert await ended(host, execution_id) == execution
    assert (execution.status, execution.reason) == ("failed", "timeout")
    assert any("too late, not applied" in r.getMessage() for r in caplog.records)


async def test_the_first_report_counts(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        execution_id = await started(client, far)
        client.tell("alicia/events/job", report(execution_id, result=1))
        client.tell("alicia/events/job", report(execution_id, status="failed"))
        execution = await ended(host, execution_id)
        await client.command("get_stats")
    assert (execution.status, execution.result["report"]["result"]) == ("completed", 1)
