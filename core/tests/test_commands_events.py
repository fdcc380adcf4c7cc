"""Commands about events: definitions, selection, steering, and two edits at once."""

from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
import trio

from alicia_scheduler.api import Caller, CommandError, Permission
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.selection import SELECTION_LIMIT
from alicia_scheduler.kernel.definitions import OtherRevision, remove_event, save_event
from alicia_scheduler.testing.configured import running_host
from alicia_scheduler.testing.kernel import make_event

ADMIN = Caller(door="python", name="tester", permission=Permission.ADMIN, origin="api")

CONFIG = """
[scheduler]
timezone = "UTC"
[limits.disk]
capacity = 1
[events.filed]
schedule_type = "test.every"
schedule_config = { seconds = 3600 }
action = { type = "test.note" }
tags = ["red"]
"""


@asynccontextmanager
async def commanded(text=CONFIG, **options):
    control = None

    def before(host):
        nonlocal control
        control = Control(host)

    async with running_host(text, before=before, **options) as under_test:

        async def tell(command, /, *, caller=ADMIN, **arguments):
            return await control.execute(caller, command, arguments)

        yield under_test, tell


def definition(event_id=None, **fields):
    made = {
        "schedule_type": "test.every",
        "schedule_config": {"seconds": 3600},
        "action": {"type": "test.note"},
    }
    return made | fields | ({"event_id": event_id} if event_id else {})


async def refused(call, **known):
    """The refusal that a command meets."""
    with pytest.raises(CommandError) as refusal:
        await call
    for name, value in known.items():
        assert getattr(refusal.value, name) == value
    return refusal.value


def ids(answer):
    return [item["event_id"] for item in answer["done"]]


# -- create, get -----------------------------------------------------------------------------


async def test_what_is_created_is_there_scheduled_and_of_its_callers_origin():
    mqtt = Caller(door="mqtt", name="bus", permission=Permission.ADMIN, origin="mqtt")
    async with commanded() as (under_test, tell):
        answer = await tell("events/create", caller=mqtt, event=definition("new", tags=["a"]))
        event = answer["event"]
        assert answer["warnings"] == []
        assert (event["event_id"], event["revision"], event["origin"]) == ("new", 1, "mqtt")
        created = under_test.clock.now().timestamp()
        assert event["next_run"] == pytest.approx(created + 3600, abs=60)
        found = await tell("events/get", event_id="new")
        assert found == {"event": event, "problem": None, "under_way": []}
        assert [each["event_id"] for each in under_test.told("event_created")] == ["filed", "new"]


async def test_an_event_without_an_id_gets_one():
    async with commanded() as (_, tell):
        first, second = [await tell("events/create", event=definition()) for _ in range(2)]
    assert len({first["event"]["event_id"], second["event"]["event_id"]}) == 2
    assert first["event"]["name"] == first["event"]["event_id"]


@pytest.mark.parametrize("taken", ["filed", "made"])
async def test_an_id_that_is_taken_is_a_conflict(taken):
    async with commanded() as (_, tell):
        await tell("events/create", event=definition("made"))
        refusal = await refused(tell("events/create", event=definition(taken)), code="conflict")
    assert refusal.details == {"revision": 1}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"schedule_config": {"seconds": "x"}}, ("event", "schedule_config", "seconds")),
        ({"schedule_config": {"seconds": -1}}, ("event", "schedule_config", "seconds")),
        ({"schedule_config": {"second": 1}}, ("event", "schedule_config", "second")),
        ({"schedule_type": "cronn"}, ("event", "schedule_type")),
        ({"action": {"type": "test.note", "mesage": 1}}, ("event", "action", "mesage")),
        ({"action": {"type": "test.nope"}}, ("event", "action", "type")),
        ({"action": {"type": "test.note", "password": {"secret": "none"}}}, None),
        ({"limit": "dis"}, ("event", "limit")),
        ({"exclude": ["holidays"]}, ("event", "exclude")),
        ({"timezone": "Europe/Nowhere"}, ("event", "timezone")),
        ({"max_retries": -1}, ("event", "max_retries")),
        ({"revision": 7}, ("event", "revision")),
        ({"next_run": 7}, ("event", "next_run")),
        ({"colour": "red"}, ("event", "colour")),
        ({"on_success": ["new"]}, ("event",)),
        ({"event_id": "a b"}, ("event",)),
        ({"event_id": 7}, ("event", "event_id")),
    ],
)
async def test_a_wrong_definition_is_refused_at_its_place(fields, path):
    async with commanded() as (_, tell):
        event = definition("new") | fields
        refusal = await refused(tell("events/create", event=event), code="invalid_format")
        assert path is None or refusal.path[: len(path)] == path
        assert refusal.path[0] == "event"
        assert [each["event_id"] for each in (await tell("events/list"))["events"]] == ["filed"]


async def test_a_plugin_that_breaks_over_a_definition_makes_it_a_mistake():
    async with commanded() as (_, tell):
        event = definition("new", schedule_type="test.at", schedule_config={"epochs": [1e300]})
        refusal = await refused(tell("events/create", event=event), code="invalid_format")
    assert refusal.message.startswith("cannot be checked: OverflowError")


async def test_all_mistakes_of_a_definition_are_told_at_once():
    async with commanded() as (_, tell):
        event = definition(timeout="x", jitter=-1)
        refusal = await refused(tell("events/create", event=event))
    paths = [issue["path"] for issue in refusal.details["issues"]]
    assert sorted(paths) == [["event", "jitter"], ["event", "timeout"]]


async def test_a_type_that_is_not_installed_is_refused_unless_it_may_come_later():
    event = definition("later", schedule_type="cron", schedule_config={"expression": "0 7 * * *"})
    async with commanded() as (_, tell):
        refusal = await refused(tell("events/create", event=event), code="not_supported")
        assert "cron" in refusal.message
        assert "allow_unresolved" in refusal.hint
        answer = await tell("events/create", event=event, allow_unresolved=True)
        assert len(answer["warnings"]) == 1
        assert "cron" in (await tell("events/get", event_id="later"))["problem"]


async def test_a_follower_that_does_not_exist_is_a_warning():
    async with commanded() as (_, tell):
        answer = await tell("events/create", event=definition("new", on_success=["nobody"]))
    assert answer["warnings"] == ["it names an event 'nobody' that does not exist"]


async def test_a_denied_action_can_neither_be_created_nor_slipped_in_nor_tried():
    caller = Caller(
        door="mqtt",
        name="bus",
        permission=Permission.ADMIN,
        denied_actions=frozenset(["test.hold"]),
    )
    hold = {"type": "test.hold"}
    async with commanded() as (_, tell):
        create = tell("events/create", caller=caller, event=definition("new", action=hold))
        await refused(create, code="not_allowed", path=("event",))
        await tell("events/create", caller=caller, event=definition("new"))
        for changes in ({"action": hold}, {"action": hold, "name": "x"}):
            update = tell(
                "events/update", caller=caller, event_id="new", revision=1, changes=changes
            )
            await refused(update, code="not_allowed")
        await tell("events/create", event=definition("held", action=hold))
        changes = {"schedule_config": {"seconds": 1}}
        update = tell("events/update", caller=caller, event_id="held", revision=1, changes=changes)
        await refused(update, code="not_allowed")
        for live in (False, True):
            test = tell("events/test", caller=caller, event_id="held", live=live)
            await refused(test, code="not_allowed")
        await tell("events/pause", caller=caller, event_id="held")


# -- update ----------------------------------------------------------------------------------


async def test_an_update_changes_what_it_names_and_makes_a_revision():
    async with commanded() as (_, tell):
        made = definition("new", tags=["a"], starts_at="2026-01-02T00:00:00Z", timeout=7)
        before = (await tell("events/create", event=made))["event"]
        changes = {"tags": ["b"], "mode": "queued", "ends_at": "2027-01-01T00:00:00Z"}
        answer = await tell("events/update", event_id="new", revision=1, changes=changes)
        after = answer["event"]
        assert (after["tags"], after["mode"], after["revision"]) == (["b"], "queued", 2)
        assert after["ends_at"] == 1798761600.0
        kept = before.keys() - {"tags", "mode", "ends_at", "revision", "updated_at"}
        assert {key: before[key] for key in kept} == {key: after[key] for key in kept}


async def test_an_update_of_another_revision_is_a_conflict_that_names_the_present_one():
    async with commanded() as (_, tell):
        await tell("events/create", event=definition("new"))
        await tell("events/update", event_id="new", revision=1, changes={"priority": 1})
        stale = tell("events/update", event_id="new", revision=1, changes={"priority": 2})
        refusal = await refused(stale, code="conflict", details={"revision": 2})
        assert "revision 2" in refusal.message
        assert (await tell("events/get", event_id="new"))["event"]["priority"] == 1


async def test_an_update_that_changes_nothing_makes_no_revision():
    async with commanded() as (_, tell):
        await tell("events/create", event=definition("new"))
        answer = await tell("events/update", event_id="new", revision=1, changes={"priority": 0})
    assert answer["event"]["revision"] == 1


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"schedule_config": {"seconds": 0}}, ("changes", "schedule_config", "seconds")),
        ({"event_id": "other"}, ("changes", "event_id")),
        ({"origin": "file"}, ("changes", "origin")),
        ({"revision": 5}, ("changes", "revision")),
        ({"colour": 1}, ("changes", "colour")),
        ({"schedule_type": None}, ("changes", "schedule_type")),
    ],
)
async def test_a_wrong_change_is_refused_at_its_place(changes, path):
    async with commanded() as (_, tell):
        await tell("events/create", event=definition("new"))
        update = tell("events/update", event_id="new", revision=1, changes=changes)
        await refused(update, code="invalid_format", path=path)
        assert (await tell("events/get", event_id="new"))["event"]["revision"] == 1


async def test_what_was_unresolved_before_can_still_be_edited_otherwise():
    event = definition("later", schedule_type="cron", schedule_config={"expression": "0 7 * * *"})
    async with commanded() as (_, tell):
        await tell("events/create", event=event, allow_unresolved=True)
        answer = await tell("events/update", event_id="later", revision=1, changes={"name": "x"})
        assert (answer["event"]["name"], len(answer["warnings"])) == ("x", 1)
        changes = {"schedule_config": {"expression": "0 8 * * *"}}
        update = tell("events/update", event_id="later", revision=2, changes=changes)
        await refused(update, code="not_supported")


async def test_an_event_of_the_file_is_neither_edited_nor_deleted_but_steered():
    async with commanded() as (_, tell):
        update = tell("events/update", event_id="filed", revision=1, changes={"priority": 1})
        refusal = await refused(update, code="not_allowed")
        assert "edit the file" in refusal.hint
        await refused(tell("events/delete", event_id="filed"), code="not_allowed")
        for verb in ("disable", "enable", "trigger", "skip", "unskip", "pause", "resume"):
            assert ids(await tell(f"events/{verb}", event_id="filed")) == ["filed"]


# -- delete ----------------------------------------------------------------------------------


async def test_a_deleted_event_is_gone_with_what_ran_of_it_and_its_history_stays():
    async with commanded() as (under_test, tell):
        await tell("events/create", event=definition("new", action={"type": "test.hold"}))
        await tell("events/trigger", event_id="new")
        assert await tell("events/delete", event_id="new", revision=1) == {
            "done": [{"event_id": "new"}],
            "failed": [],
        }
        await refused(tell("events/get", event_id="new"), code="not_found")
        while not under_test.told("execution_cancelled"):
            await under_test.clock.advance(0.01)
        history = (await tell("executions/list", event_id="new"))["executions"]
        assert [run["reason"] for run in history] == ["removed"]


async def test_a_delete_for_another_revision_is_a_conflict():
    async with commanded() as (_, tell):
        await tell("events/create", event=definition("new"))
        await refused(tell("events/delete", event_id="new", revision=2), code="conflict")
        await refused(tell("events/delete", event_id="n*", revision=1), code="invalid_format")
        assert (await tell("events/get", event_id="new"))["event"]["revision"] == 1


async def test_of_many_those_that_may_not_be_deleted_are_told_and_stay():
    async with commanded() as (_, tell):
        for name in ("a", "b"):
            await tell("events/create", event=definition(name))
        answer = await tell("events/delete", event_id="*")
        assert ids(answer) == ["a", "b"]
        assert [(each["event_id"], each["code"]) for each in answer["failed"]] == [
            ("filed", "not_allowed")
        ]


# -- selection -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "chosen"),
    [
        ({"event_id": "a-1"}, ["a-1"]),
        ({"event_id": "*"}, ["a-1", "a-2", "b-1", "filed"]),
        ({"event_id": "a-*"}, ["a-1", "a-2"]),
        ({"event_id": "a*"}, ["a-1", "a-2"]),
        ({"event_id": "?-1"}, ["a-1", "b-1"]),
        ({"event_id": "[ab]-1"}, ["a-1", "b-1"]),
        ({"event_id": ["b-1", "a-1"]}, ["a-1", "b-1"]),
        ({"event_id": ["b-1", "a-*"]}, ["a-1", "a-2", "b-1"]),
        ({"tag": "red"}, ["a-1", "filed"]),
        ({"tag": ["red", "blue"]}, ["a-1", "a-2", "filed"]),
        ({"event_id": "a*", "tag": "red"}, ["a-1"]),
        ({"event_id": ["a-1", "a-2"], "tag": "red"}, ["a-1"]),
        ({"event_id": "a-1", "tag": "red"}, ["a-1"]),
        ({"event_id": "a-1*"}, ["a-1"]),
    ],
)
async def test_a_selection_means_the_same_in_a_verb_and_in_a_listing(selection, chosen):
    async with commanded() as (under_test, tell):
        for name, tags in (("b-1", []), ("a-2", ["blue"]), ("a-1", ["red", "x"])):
            await tell("events/create", event=definition(name, tags=tags))
        assert ids(await tell("events/pause", **selection)) == chosen
        listed = await tell("events/list", **selection)
        assert [event["event_id"] for event in listed["events"]] == chosen
        assert ids(await tell("events/trigger", **selection)) == chosen
        # They were triggered in this order, too.
        started = [run["event_id"] for run in under_test.told("execution_started")]
        assert started == chosen
        history = (await tell("executions/list", **selection))["executions"]
        assert sorted(run["event_id"] for run in history) == chosen


@pytest.mark.parametrize(
    "selection",
    [{"event_id": "nobody"}, {"event_id": "n*"}, {"tag": "green"}, {"event_id": "a", "tag": "x"}],
)
async def test_a_selection_of_nothing_is_not_found(selection):
    async with commanded() as (_, tell):
        await refused(tell("events/pause", **selection), code="not_found")


async def test_a_selection_that_is_not_made_is_refused():
    async with commanded() as (_, tell):
        await refused(tell("events/pause"), code="invalid_format", path=("event_id",))


async def test_of_a_list_those_that_do_not_exist_are_told_and_the_others_done():
    async with commanded() as (_, tell):
        answer = await tell("events/skip", event_id=["zz", "filed", "aa"])
    assert ids(answer) == ["filed"]
    assert [(each["event_id"], each["code"]) for each in answer["failed"]] == [
        ("aa", "not_found"),
        ("zz", "not_found"),
    ]


async def test_a_listing_goes_on_page_by_page_with_its_filters():
    async with commanded() as (under_test, tell):
        for number in range(25):
            event = make_event(
                f"e{number:02}",
                schedule_type="test.every",
                schedule_config={"seconds": 60},
                action={"type": "test.note"},
                enabled=number % 2 == 0,
                origin="api",
            )
            await save_event(under_test.kernel, event)
        seen, after = [], None
        while True:
            page = await tell(
                "events/list",
                event_id="e*",
                enabled=True,
                origin="api",
                schedule_type="test.every",
                limit=5,
                **({"after_id": after} if after else {}),
            )
            seen.append([event["event_id"] for event in page["events"]])
            after = page["next"]
            if after is None:
                break
        assert [len(page) for page in seen] == [5, 5, 3]
        assert [event_id for page in seen for event_id in page] == [
            f"e{number:02}" for number in range(0, 25, 2)
        ]
        assert (await tell("events/list", origin="file"))["events"][0]["event_id"] == "filed"
        assert (await tell("events/list", status=["failed"]))["events"] == []


async def test_a_verb_refuses_more_events_than_it_can_answer_for_before_it_does_anything(
    monkeypatch,
):
    monkeypatch.setattr("alicia_scheduler.control.selection.SELECTION_LIMIT", 3)
    assert SELECTION_LIMIT >= 1000
    async with commanded() as (_, tell):
        for name in "abc":
            await tell("events/create", event=definition(name))
        refusal = await refused(tell("events/pause", event_id="*"), code="not_supported")
        assert "more than 3" in refusal.message
        listed = (await tell("events/list"))["events"]
        assert {event["paused_until"] for event in listed} == {None}


# -- steering --------------------------------------------------------------------------------


async def test_a_pause_ends_at_an_instant_or_after_a_duration_or_never():
    async with commanded() as (under_test, tell):
        now = under_test.clock.now()
        (done,) = (await tell("events/pause", event_id="filed", duration=60))["done"]
        assert done["paused_until"] == pytest.approx(now.timestamp() + 60, abs=30)
        until = (now + timedelta(days=1)).isoformat()
        (done,) = (await tell("events/pause", event_id="filed", until=until))["done"]
        assert done["paused_until"] == (now + timedelta(days=1)).timestamp()
        (done,) = (await tell("events/pause", event_id="filed"))["done"]
        assert done["paused_until"] > now.timestamp() + 1e9
        (done,) = (await tell("events/resume", event_id="filed"))["done"]
        assert done["paused_until"] is None
        both = tell("events/pause", event_id="filed", until=until, duration=3)
        await refused(both, code="invalid_format", path=("duration",))


async def test_trying_an_event_leaves_no_trace():
    async with commanded() as (under_test, tell):
        answer = await tell("events/test", event_id="filed", live=True)
        assert answer["live"]["status"] == "completed"
        assert answer["preview"] == {"would": None}
        assert len(under_test.ran) == 1
        assert (await tell("executions/list"))["executions"] == []


# -- two at once -----------------------------------------------------------------------------


async def outcomes(*calls):
    """What became of calls that were made at once: ``ok`` or the code."""
    found = []

    async def one(call):
        try:
            await call
        except CommandError as error:
            found.append(error.code)
        else:
            found.append("ok")

    async with trio.open_nursery() as nursery:
        for call in calls:
            nursery.start_soon(one, call)
    return sorted(found)


async def test_of_two_edits_at_once_one_wins(tmp_path):
    async with commanded(state_dir=tmp_path / "state") as (_, tell):
        await tell("events/create", event=definition("new"))
        assert await outcomes(
            *(
                tell("events/update", event_id="new", revision=1, changes={"priority": number})
                for number in range(1, 6)
            )
        ) == ["conflict"] * 4 + ["ok"]
        assert (await tell("events/get", event_id="new"))["event"]["revision"] == 2


async def test_of_two_creations_of_one_id_at_once_one_wins(tmp_path):
    async with commanded(state_dir=tmp_path / "state") as (under_test, tell):
        found = await outcomes(
            *(tell("events/create", event=definition("new", priority=n)) for n in range(5))
        )
        assert found == ["conflict"] * 4 + ["ok"]
        assert len(under_test.told("event_created")) == 2


@pytest.mark.parametrize("first", ["delete", "update"])
async def test_of_a_deletion_and_an_edit_at_once_one_wins(first, tmp_path):
    async with commanded(state_dir=tmp_path / "state") as (under_test, tell):
        await tell("events/create", event=definition("new"))
        calls = {
            "update": tell("events/update", event_id="new", revision=1, changes={"priority": 1}),
            "delete": tell("events/delete", event_id="new", revision=1),
        }
        found = await outcomes(calls.pop(first), *calls.values())
        there = "new" in await under_test.kernel.store.records(["new"])
        assert (found, there) in ((["not_found", "ok"], False), (["conflict", "ok"], True))
        assert (under_test.kernel.catalog.get("new") is not None) is there


async def test_an_edit_while_a_switch_is_made_sees_it_or_is_a_conflict(tmp_path):
    async with commanded(state_dir=tmp_path / "state") as (_, tell):
        await tell("events/create", event=definition("new"))
        update = tell("events/update", event_id="new", revision=1, changes={"priority": 1})
        found = await outcomes(tell("events/disable", event_id="new"), update)
        event = (await tell("events/get", event_id="new"))["event"]
        assert event["enabled"] is False
        assert (found, event["revision"]) in ((["ok", "ok"], 3), (["conflict", "ok"], 2))


async def test_the_locks_of_edits_are_given_back():
    async with commanded() as (under_test, tell):
        create = [tell("events/create", event=definition("new")) for _ in range(3)]
        await outcomes(*create)
        assert under_test.host.commands.edits._locks == {}


async def test_the_kernel_itself_holds_an_edit_against_the_revision_that_is_there():
    async with commanded() as (under_test, _):
        kernel = under_test.kernel
        event = make_event(
            "new",
            schedule_type="test.every",
            schedule_config={"seconds": 60},
            action={"type": "test.note"},
        )
        await save_event(kernel, event, expected=0)
        with pytest.raises(OtherRevision):
            await save_event(kernel, event, expected=0)
        with pytest.raises(OtherRevision):
            await remove_event(kernel, "new", expected=2)
        await remove_event(kernel, "new", expected=1)
        with pytest.raises(KeyError):
            await remove_event(kernel, "new")
