"""Commands under anything: arguments of every shape, selections of every kind."""

from contextlib import asynccontextmanager
from fnmatch import fnmatchcase

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alicia_scheduler.api import Caller, CommandError, Permission
from alicia_scheduler.control.command import Request
from alicia_scheduler.control.commands import COMMANDS
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.schema import answer_schema
from alicia_scheduler.control.selection import Selection, selected_ids, selected_page
from alicia_scheduler.kernel import listing
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.testing.configured import running_host
from alicia_scheduler.testing.kernel import make_event

ADMIN = Caller(door="python", name="tester", permission=Permission.ADMIN)

CODES = {
    "not_found",
    "invalid_format",
    "not_allowed",
    "not_supported",
    "conflict",
    "unknown_command",
    "unavailable",
}

WORDS = st.sampled_from(
    ["bell", "b*", "*", "[", "[!", "new", "", "test.every", "test.note", "2026-01-02T00:00:00Z"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | WORDS
    | st.just(10**400)
)
KEYS = st.text(max_size=8) | st.sampled_from(
    ["event_id", "schedule_type", "schedule_config", "action", "type", "seconds", "name", "tags"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@asynccontextmanager
async def commanded():
    control = None

    def before(host):
        nonlocal control
        control = Control(host)

    async with running_host(before=before) as under_test:
        await save_event(under_test.kernel, an_event("bell"))
        yield under_test, control


def an_event(event_id, **fields):
    return make_event(
        event_id,
        schedule_type="test.every",
        schedule_config={"seconds": 3600},
        action={"type": "test.note"},
        **fields,
    )


def arguments_of(name):
    """Arguments with the right keys, some of them, and wrong values, most of them."""
    keys = [field.encode_name for field in msgspec.structs.fields(COMMANDS[name].arguments)]
    return st.fixed_dictionaries({}, optional=dict.fromkeys([*keys, "bogus"], VALUES))


@pytest.mark.parametrize("name", sorted(COMMANDS))
@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_a_command_answers_or_refuses_whatever_it_is_given(name, data):
    async with commanded() as (under_test, control):
        for _ in range(20):
            arguments = data.draw(arguments_of(name))
            try:
                answer = await control.execute(ADMIN, name, arguments)
            except CommandError as refusal:
                if refusal.code not in CODES:
                    raise
                msgspec.json.encode(refusal.to_json())
            else:
                jsonschema.validate(
                    answer, answer_schema(COMMANDS[name]), jsonschema.Draft202012Validator
                )
                msgspec.json.encode(answer)
        assert not under_test.kernel.stopping


NAMES = st.text(alphabet="ab.-", max_size=3).map(lambda rest: f"a{rest}") | st.text(
    alphabet="abz", min_size=1, max_size=4
)
PATTERNS = st.text(alphabet="abz.*?[]!-", min_size=1, max_size=5)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    names=st.lists(NAMES, unique=True, max_size=12),
    patterns=st.none() | PATTERNS | st.lists(PATTERNS, min_size=1, max_size=3).map(tuple),
    tag=st.none() | st.sampled_from(["even", "none", ("even", "odd")]),
    page=st.integers(1, 5),
)
async def test_a_selection_is_what_a_look_at_each_event_would_choose(names, patterns, tag, page):
    tags = {name: ("even",) if len(name) % 2 == 0 else ("odd",) for name in names}
    listed = (patterns,) if isinstance(patterns, str) else patterns
    wanted = (tag,) if isinstance(tag, str) else tag

    def chosen(name):
        by_name = listed is None or any(
            fnmatchcase(name, each) if any(c in each for c in "*?[") else name == each
            for each in listed
        )
        return by_name and (wanted is None or bool(set(wanted) & set(tags[name])))

    expected = sorted(filter(chosen, names))
    selection = Selection(event_id=patterns, tag=tag)
    before, listing.PAGE = listing.PAGE, page
    try:
        async with running_host(before=Control) as under_test:
            for name in names:
                await save_event(under_test.kernel, an_event(name, tags=tags[name]))
            kernel = Request(under_test.host.commands, ADMIN).kernel
            found, after_id = [], None
            while True:
                records, after_id = await selected_page(kernel, selection, after_id=after_id)
                found += [record.event.event_id for record in records]
                if after_id is None:
                    break
            assert found == expected
            if expected and (patterns or tag):
                ids, _ = await selected_ids(kernel, selection)
                assert ids == expected
    finally:
        listing.PAGE = before
