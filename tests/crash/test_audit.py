"""The audit finds each kind of broken promise in accounts that were made up."""

import json

import pytest
from tests.crash.audit import Audit
from tests.crash.load import Load
from tests.witness.process import Kept

LOAD = Load(
    toml="",
    one_shots={"once": 100.0, "careful": 200.0},
    grids={"tick": 1.0},
    at_most_once=frozenset({"careful"}),
    ends_at=303.0,
)


def row(execution_id, event_id, slot, status="completed", **fields):
    plain = {
        "execution_id": execution_id,
        "event_id": event_id,
        "scheduled_time": slot,
        "status": status,
        "trigger": "schedule",
        "reason": None,
        "retry_count": 0,
        "start_time": slot,
        "end_time": slot,
        "result": None,
    }
    return plain | fields


def effect(execution_id, event_id, slot, attempt=1):
    return {
        "execution_id": execution_id,
        "event_id": event_id,
        "slot": slot,
        "attempt": attempt,
    }


def heard(sequence, execution_id, status):
    return {"sequence": sequence, "execution_id": execution_id, "status": status}


def whole():
    """Accounts in which everything is as it should be, to be spoiled."""
    rows = [
        row("o1", "once", 100.0, "interrupted", reason="crash"),
        row("o2", "once", 100.0, trigger="recovery"),
        row("c1", "careful", 200.0, "interrupted", reason="crash"),
        row("t0", "tick", 300.0),
        row(
            "t1",
            "tick",
            301.0,
            "missed",
            reason="coalesced",
            start_time=None,
            result=json.dumps({"first": 301.0, "before": 303.0, "count": 2}),
        ),
        row("t3", "tick", 303.0, "skipped", reason="overlap", start_time=None),
    ]
    effects = [
        effect("o1", "once", 100.0),
        effect("o2", "once", 100.0),
        effect("c1", "careful", 200.0),
        effect("t0", "tick", 300.0),
    ]
    told = [heard(1, "o2", "completed"), heard(2, "t0", "completed")]
    return {
        "rows": rows,
        "effects": effects,
        "heard": told,
        "event_ids": {"once", "careful", "tick"},
    }


def found(accounts, problems=()):
    audit = Audit(LOAD)
    kept = Kept(accounts["rows"], frozenset(accounts["event_ids"]), problems)
    audit.at_the_end(kept, accounts["effects"], accounts["heard"])
    return set(audit.findings.broken)


def test_accounts_that_are_whole_have_no_findings():
    assert found(whole()) == set()


def test_every_due_slot_is_counted():
    audit = Audit(LOAD)
    accounts = whole()
    kept = Kept(accounts["rows"], frozenset(accounts["event_ids"]))
    audit.at_the_end(kept, accounts["effects"], accounts["heard"])
    assert (audit.slots, audit.reruns) == (6, 1)


SPOILED = {
    "event lost": lambda a: a["event_ids"].remove("careful"),
    "lost slot": lambda a: a["rows"].pop(-1),
    "two dispositions": lambda a: a["rows"].append(row("x", "tick", 300.0, "skipped")),
    "left unfinished": lambda a: a["rows"][-1].update(status="running"),
    "effect without a row": lambda a: a["effects"].append(effect("x", "tick", 303.0)),
    "completed without an effect": lambda a: a["effects"].pop(-1),
    "doubled attempt": lambda a: a["effects"].append(effect("t0", "tick", 300.0)),
    "doubled effect": lambda a: a["effects"].append(effect("c1", "careful", 200.0, attempt=2)),
    "run again against its policy": lambda a: a["rows"].append(
        row("c2", "careful", 200.0, "failed", trigger="recovery")
    ),
    "not run again": lambda a: a["rows"].pop(1),
    "told and not kept": lambda a: a["heard"].append(heard(3, "t3", "completed")),
    "two ends told": lambda a: a["heard"].append(heard(3, "t0", "completed")),
    "number told twice": lambda a: a["heard"].append(heard(2, "c1", "interrupted")),
    "slot off the grid": lambda a: a["rows"][-1].update(scheduled_time=302.7),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_broken_promise_is_found(kind):
    accounts = whole()
    SPOILED[kind](accounts)
    assert kind in found(accounts)


def test_a_store_that_is_not_clean_is_found():
    assert found(whole(), problems=("row 3 missing from index",)) == {"unclean store"}


def test_an_execution_that_ends_twice_is_found():
    audit = Audit(LOAD)
    before, after = [row("t0", "tick", 300.0)], [row("t0", "tick", 300.0, "failed")]
    effects = [effect("t0", "tick", 300.0)]
    for rows in (before, after):
        audit.after_a_kill(Kept(rows, LOAD.event_ids), effects, [])
    assert set(audit.findings.broken) == {"two ends"}


def test_an_end_that_is_forgotten_is_found():
    audit = Audit(LOAD)
    audit.after_a_kill(Kept([row("t3", "tick", 303.0, "skipped")], LOAD.event_ids), [], [])
    audit.after_a_kill(Kept([], LOAD.event_ids), [], [])
    assert set(audit.findings.broken) == {"end forgotten"}
