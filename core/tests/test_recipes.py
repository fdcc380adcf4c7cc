"""Configurations that are finished when they are used: checked early, refused late if need be."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from alicia_scheduler.api import (
    ActionType,
    ConfigError,
    EventExecution,
    Permanent,
    Retryable,
    ScheduleType,
    Status,
    check_topic,
)
from alicia_scheduler.config.secrets import SecretSource
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.host.actions import OpenActions
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.finishing import Finishing
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.recipes import Recipe, read_options
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.host.secrets.vault import Secrets
from alicia_scheduler.host.templates.names import names_for
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import At, make_event


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something of every kind."""

    topic: str = "a"
    message: Any = None
    qos: Literal[0, 1, 2] = 0
    level: Annotated[int, Meta(ge=0, le=100)] = 0
    share: float = 0.0
    on: bool = False
    word: Literal["merge", "none"] = "none"
    at: datetime | None = None
    names: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    code: Annotated[str, Meta(pattern=r"^[0-9]{4}$")] | None = None
    user: str | None = None
    password: str | None = None
    tls: bool = False
    ca_file: str | None = None

    def __post_init__(self):
        if problem := check_topic(self.topic):
            raise ConfigError(f"topic {self.topic!r} {problem}", path=("topic",))
        if self.password is not None and self.user is None:
            raise ConfigError("password without user", path=("password",))
        if self.ca_file is not None and not self.tls:
            raise ConfigError("ca_file has no meaning without tls", path=("ca_file",))


def no_high_levels(config):
    """What a host might not allow, as an action type's own check would say it."""
    if config.level > 50:
        raise ConfigError(f"level {config.level} is not allowed here", path=("level",))


def read(**options):
    issues = []
    config = read_options(
        options, Options, issues, path=("action",), templates=True, allow=no_high_levels
    )
    return config, [str(issue) for issue in issues]


def mistakes(**options):
    config, issues = read(**options)
    assert (config is None) == bool(issues)
    return issues


# -- when the event is written ---------------------------------------------------------------


def test_plain_options_become_the_configuration_at_once():
    config, issues = read(topic="a/b", qos=1)
    assert config == Options(topic="a/b", qos=1)
    assert not issues


@pytest.mark.parametrize(
    "options",
    [
        {"topic": "home/{{ event.id }}"},
        {"qos": "{{ attempt }}"},
        {"level": "{{ attempt }}"},
        {"share": "{{ attempt / 2 }}"},
        {"on": "{{ attempt > 1 }}"},
        {"word": "{{ 'merge' }}"},
        {"word": "{% if attempt > 1 %}merge{% else %}none{% endif %}"},
        {"at": "{{ slot }}"},
        {"at": "{{ slot.date() }}T00:00Z"},
        {"names": ["a", "{{ event.id }}"]},
        {"names": "{{ event.tags }}"},
        {"headers": {"a": "{{ event.id }}", "b": {"secret": "token"}}},
        {"message": {"deep": [{"er": "{{ attempt }}"}, {"secret": "token"}]}},
        {"code": "{{ slot.strftime('%H%M') }}"},
        {"code": {"secret": "token"}},
        {"user": "u", "password": {"secret": "token"}},
        {"tls": "{{ attempt > 1 }}", "ca_file": "f"},
    ],
)
def test_what_may_become_right_is_accepted(options):
    config, issues = read(**options)
    assert not issues
    assert isinstance(config, Recipe)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"qos": "x{{ attempt }}"}, "action.qos: must be one of 0, 1, 2, and this template is"),
        ({"level": "{{ attempt }} "}, "action.level: must be a whole number, and this template"),
        ({"level": {"secret": "token"}}, "action.level: must be a whole number, and a secret is"),
        ({"on": {"secret": "token"}}, "action.on: must be true or false, and a secret is text"),
        ({"names": {"secret": "token"}}, "action.names: must be a list, and a secret is text"),
        ({"topic": "a/#", "message": "{{ slot }}"}, "action.topic: topic 'a/#'"),
        ({"topik": "x", "message": "{{ slot }}"}, "unknown key 'topik'"),
        ({"qos": 7, "message": "{{ slot }}"}, "action.qos: must be one of 0, 1, 2"),
        ({"message": {"a": ["{{ slto }}"]}}, "action.message.a.0: there is no name 'slto'"),
        ({"message": {"secret": "not a name!"}}, "action.message: names no secret"),
        ({"password": {"secret": "token"}, "message": "{{ slot }}"}, None),
        ({"level": 60, "message": "{{ slot }}"}, "action.level: level 60 is not allowed here"),
        ({"level": 60}, "action.level: level 60 is not allowed here"),
        ({"ca_file": "f", "message": "{{ slot }}"}, "ca_file has no meaning without tls"),
    ],
)
def test_what_can_never_become_right_is_refused_with_its_place(options, said):
    found = mistakes(**options)
    if said is None:
        # Only the value that is not known yet is complained about: that waits.
        assert not found
    else:
        assert len(found) == 1
        assert said in found[0]


def test_all_mistakes_are_told_at_once():
    found = mistakes(topik=1, message={"a": "{{ x }}", "b": "{{"}, level={"secret": "t"})
    assert len(found) == 4


def test_the_text_of_a_wrong_reference_is_not_quoted():
    assert "hunter 22" not in mistakes(message={"secret": "hunter 22"})[0]


def test_services_and_sinks_have_no_templates():
    issues = []
    config = read_options(
        {"topic": "{{ x }}"}, Options, issues, path=("services", "x"), templates=False
    )
    assert config == Options(topic="{{ x }}")


# -- when the action runs --------------------------------------------------------------------

EXECUTION = EventExecution(
    execution_id="e1", event_id="event", revision=1, scheduled_time=START, start_time=START
)


class Ran:
    """The resolver of a host with one action type that keeps the configurations it is given."""

    def __init__(self, environ=None, history=()):
        self.environ = environ if environ is not None else {"TOKEN": "hunter22"}
        self.given = []
        self.history = list(history)
        clock = VirtualClock()
        self.secrets = Secrets({"token": SecretSource(env="TOKEN")}, environ=self.environ)
        registry = Registry([])
        plugin = PluginRecord("test", "test", "0")
        registry.action_types.add(
            plugin,
            [
                ActionType(
                    name="keep",
                    config=Options,
                    open=self.open,
                    check=lambda config, settings: no_high_levels(config),
                    preview=self.preview,
                )
            ],
        )
        registry.schedule_types.add(
            plugin,
            [ScheduleType(name="once", config=Options, build=lambda config, context: At(()))],
        )
        self.actions = OpenActions(Surroundings("test", clock, Notifier(clock)))
        finishing = Finishing(self.secrets, self, clock.now)
        self.resolver = Resolver(
            registry,
            Settings(timezone="Europe/Berlin"),
            {},
            self.actions,
            finishing=finishing,
        )

    async def list_executions(self, *, event_id, statuses, limit):
        return self.history

    async def execution(self, execution_id):
        return next((run for run in self.history if run.execution_id == execution_id), None)

    @asynccontextmanager
    async def open(self, context):
        yield self

    def preview(self, config, execution):
        raise ValueError("there is no picture of it")

    async def run(self, config, execution):
        self.given.append(config)

    async def __call__(self, execution=EXECUTION, **options):
        event = make_event(
            schedule_type="once",
            schedule_config={},
            action={"type": "keep", **options},
            tags=("night",),
        )
        prepared = self.resolver.prepare(event, START)
        problem = None
        async with self.actions.running():
            try:
                await self.resolver.run_action(prepared, execution)
            except (Retryable, Permanent) as error:
                problem = error
        if problem is not None:
            raise problem
        return self.given[-1]


async def test_a_preview_that_fails_says_so():
    ran = Ran()
    event = make_event(schedule_type="once", schedule_config={}, action={"type": "keep"})
    prepared = ran.resolver.prepare(event, START)
    with pytest.raises(Permanent, match="no picture of it") as caught:
        await ran.resolver.preview(prepared, EXECUTION)
    assert caught.value.error_class == "preview"


async def failure(ran, **options):
    with pytest.raises((Retryable, Permanent)) as caught:
        await ran(**options)
    return caught.value


@pytest.mark.parametrize(
    ("options", "field", "made"),
    [
        ({"topic": "home/{{ event.id }}"}, "topic", "home/event"),
        ({"topic": "{{ attempt }}"}, "topic", "1"),
        ({"topic": "{{ attempt > 0 }}"}, "topic", "true"),
        ({"qos": "{{ attempt }}"}, "qos", 1),
        ({"share": "{{ attempt }}"}, "share", 1.0),
        ({"names": "{{ event.tags }}"}, "names", ("night",)),
        ({"names": ["a", "{{ event.id }}"]}, "names", ("a", "event")),
        ({"message": "{{ attempt }}"}, "message", 1),
        ({"message": {"n": ["{{ attempt }}"]}}, "message", {"n": [1]}),
        ({"message": "{{ parent }}"}, "message", None),
        ({"at": "{{ slot }}"}, "at", START),
        ({"password": {"secret": "token"}, "user": "u"}, "password", "hunter22"),
        ({"headers": {"k": {"secret": "token"}}}, "headers", {"k": "hunter22"}),
        ({"message": {"execution": "{{ execution.id }} {{ execution.idempotency_key }}"}},
         "message", {"execution": f"e1 event/{START.timestamp():.6f}/1"}),
    ],
)  # fmt: skip
async def test_the_action_is_given_the_finished_configuration(options, field, made):
    config = await Ran()(**options)
    assert getattr(config, field) == made


async def test_instants_are_in_the_zone_of_the_event():
    config = await Ran()(message="{{ slot.isoformat() }} {{ now().tzname() }}")
    berlin = START.astimezone(ZoneInfo("Europe/Berlin"))
    assert config.message == f"{berlin.isoformat()} {berlin.tzname()}"


def completed(epoch, ended, result):
    return msgspec.structs.replace(
        EXECUTION,
        scheduled_time=datetime.fromtimestamp(epoch, UTC),
        end_time=datetime.fromtimestamp(ended, UTC),
        result=result,
        status=Status.COMPLETED,
    )


async def test_the_last_result_is_that_of_the_execution_that_completed_last():
    slot = START.timestamp()
    earlier = [completed(slot - 10, slot + 5, {"n": 2}), completed(slot - 20, slot - 19, {"n": 1})]
    config = await Ran(history=earlier)(message="{{ last_result.n }}")
    assert config.message == 2


async def test_what_another_event_triggered_sees_the_execution_it_follows():
    before = msgspec.structs.replace(completed(0, 1, {"n": 7}), execution_id="e0", event_id="pump")
    config = await Ran(history=[before])(
        msgspec.structs.replace(EXECUTION, parent_id="e0"),
        message="{{ parent.event_id }} {{ parent.status }} {{ parent.result.n }}",
    )
    assert config.message == "pump completed 7"


async def test_without_a_last_result_a_template_can_have_a_default():
    config = await Ran()(message="{{ last_result.n | default(0) }}")
    assert config.message == 0


async def test_the_window_begins_at_the_slot_before_that_completed():
    slot = START.timestamp()
    history = [completed(slot + 60, slot + 61, None), completed(slot - 300, slot, None)]
    config = await Ran(history=history)(message="{{ (window.end - window.start).total_seconds() }}")
    assert config.message == 300


async def test_the_window_of_the_first_run_begins_where_the_event_was_made():
    config = await Ran()(message="{{ window.start == slot }}")
    assert config.message is True


async def test_a_failing_template_ends_the_execution_and_names_its_field():
    error = await failure(Ran(), message={"a": ["{{ 1 / 0 }}"]})
    assert isinstance(error, Permanent)
    assert error.error_class == "template"
    assert str(error) == "action.message.a.0: the template failed: division by zero"


@pytest.mark.parametrize("source", ["{{ last_result.n }}", "{{ 1 / (attempt - 1) }}"])
async def test_a_template_that_failed_on_data_that_may_change_is_tried_again(source):
    error = await failure(Ran(), message=source)
    assert isinstance(error, Retryable)
    assert error.error_class == "template"


async def test_a_rendered_configuration_is_checked_again():
    error = await failure(Ran(), topic="home/{{ '#' }}")
    assert error.error_class == "template"
    assert "action.topic: topic 'home/#'" in str(error)
    error = await failure(Ran(), qos="{{ 5 }}")
    assert "action.qos: must be one of 0, 1, 2" in str(error)


async def test_what_the_host_does_not_allow_cannot_come_from_a_template():
    error = await failure(Ran(), level="{{ 60 * attempt // attempt }}")
    assert error.error_class == "template"
    assert "action.level: level 60 is not allowed here" in str(error)


async def test_all_templates_of_an_action_share_their_bounds():
    loop = "{% for n in range(900) %}{{ n }}{% endfor %}"
    error = await failure(Ran(), message=[loop] * 5)
    assert "takes more than" in str(error)


async def test_a_missing_secret_is_tried_again_and_comes_when_it_is_there():
    ran = Ran(environ={})
    error = await failure(ran, message={"secret": "token"})
    assert isinstance(error, Retryable)
    assert error.error_class == "secret"
    assert "action.message: the secret 'token' is missing" in str(error)
    ran.environ["TOKEN"] = "now there"
    assert (await Ran(environ=ran.environ)(message={"secret": "token"})).message == "now there"


async def test_a_secret_that_its_field_refuses_is_not_in_the_error():
    error = await failure(Ran(), code={"secret": "token"})
    assert isinstance(error, Retryable)
    assert error.error_class == "secret"
    assert "action.code: refuses the value of the secret 'token'" in str(error)
    assert "hunter22" not in str(error)


async def test_a_secret_with_the_text_of_a_template_is_not_rendered():
    ran = Ran(environ={"TOKEN": "{{ event.id }}"})
    assert (await ran(message={"secret": "token"})).message == "{{ event.id }}"


async def test_the_definition_keeps_the_reference_and_not_the_value():
    ran = Ran()
    event = make_event(
        schedule_type="once",
        schedule_config={},
        action={"type": "keep", "message": {"secret": "token"}},
    )
    prepared = ran.resolver.prepare(event, START)
    assert "hunter22" not in repr(prepared) + repr(event)


VALUES = st.recursive(
    st.sampled_from(
        [0, 1, 1.5, True, None, "x", "7", "{{ slot }}", "{{ attempt }}", "{{ event }}",
         "{{ none }}", "a{{ attempt }}", "{{ 1 / 0 }}", "{{ last_result.x }}", "{{ nope }}", "{{",
         {"secret": "token"}, {"secret": "other"}, {"secret": "!"}, {"secret": 1}]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=5,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(Options.__struct_fields__), VALUES, max_size=4))
@settings(deadline=None)
def test_whatever_is_written_is_refused_with_places_or_finished_or_fails(options):
    config, issues = read(**options)
    assert (config is None) == bool(issues)
    assert all(issue.startswith("action") for issue in issues)
    if not isinstance(config, Recipe):
        return
    names = names_for(
        make_event(), EXECUTION, zone=ZoneInfo("UTC"), now=lambda: START,
        completed=None, previous=None,
    )  # fmt: skip
    values = {"token": "hunter22", "other": "1234"}
    try:
        rendered = config.rendered(names)
        shown = repr(config.shown(rendered))
        assert isinstance(config.finished(rendered, values), Options)
    except (Retryable, Permanent) as error:
        shown = str(error)
    assert "hunter22" not in shown
