"""Raw tables become typed objects; every mistake is found, placed and said in plain words."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert, convert_all, json_schema


class Colour(StrEnum):
    WARM = "warm"
    COLD = "cold"


class Bulb(msgspec.Struct, forbid_unknown_fields=True):
    watts: int
    colour: Colour = Colour.WARM


class Lamp(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    topic: str
    level: Annotated[int, Meta(ge=0, le=255)] = 0
    fade: Annotated[float, Meta(gt=0)] | None = None
    on: bool = False
    bulbs: list[Bulb] = []
    spare: Bulb | None = None
    labels: dict[str, int] = {}
    since: datetime | None = None


@dataclasses.dataclass(frozen=True)
class Room:
    name: str
    lamps: tuple[Lamp, ...] = ()
    size: float = dataclasses.field(default=1.0, kw_only=True)
    area: float = dataclasses.field(init=False, default=0.0)


@attrs.frozen
class House:
    street: str = attrs.field(validator=attrs.validators.min_len(2))
    _number: int = 1
    rooms: list[Room] = attrs.field(factory=list)
    floors: int = attrs.field(init=False, default=2)


def issues_of(raw: object, cls: type[Any], *path: str) -> list[ConfigError]:
    issues: list[ConfigError] = []
    assert convert_all(raw, cls, issues, path=path) is None
    return issues


def issue_of(raw: object, cls: type[Any]) -> ConfigError:
    (issue,) = issues_of(raw, cls)
    return issue


def field(annotation: Any) -> type[Any]:
    """A class with one required field ``x``."""
    return msgspec.defstruct("OneField", [("x", annotation)])


def taken(value: object, annotation: Any) -> Any:
    return convert({"x": value}, field(annotation)).x


def refused(value: object, annotation: Any) -> ConfigError:
    return issue_of({"x": value}, field(annotation))


# What is made


def test_a_struct_is_made_with_its_defaults() -> None:
    assert convert({"topic": "a/b"}, Lamp) == Lamp(topic="a/b")


def test_dataclasses_attrs_classes_and_structs_nest() -> None:
    raw = {
        "street": "Elm",
        "number": 4,
        "rooms": [{"name": "hall", "size": 2, "lamps": [{"topic": "a", "bulbs": [{"watts": 5}]}]}],
    }
    lamp = Lamp(topic="a", bulbs=[Bulb(watts=5)])
    assert convert(raw, House) == House("Elm", 4, [Room("hall", (lamp,), size=2.0)])


def test_a_whole_number_is_a_number() -> None:
    value = taken(3, float)
    assert (value, type(value)) == (3.0, float)


def test_renamed_fields_go_by_their_configured_name() -> None:
    class Renamed(msgspec.Struct, rename="kebab"):
        first_name: str

    assert convert({"first-name": "a"}, Renamed).first_name == "a"
    assert issue_of({"first_name": "a"}, Renamed).hint == "did you mean 'first-name'?"


def test_an_object_that_is_already_made_is_kept() -> None:
    bulb = Bulb(watts=3)
    assert convert({"topic": "a", "spare": bulb}, Lamp).spare is bulb


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "a"], tuple[int, str], (1, "a")),
        ([1, 1], set[int], {1}),
        ([1], frozenset[int], frozenset([1])),
        ([1], Sequence[int], [1]),
        ([1, "a"], list, [1, "a"]),
        ({"a": 1}, Mapping[str, int], {"a": 1}),
        ({"1": "a"}, dict[int, str], {1: "a"}),
        ({"a": [1]}, dict, {"a": [1]}),
        ("warm", Colour, Colour.WARM),
        (None, int | None, None),
        ("a", int | str, "a"),
        (["a"], str | list[str], ["a"]),
        (1.5, float | datetime, 1.5),
        (time(7, 30), time, time(7, 30)),
        (date(2026, 3, 29), date, date(2026, 3, 29)),
        ([1, 2], Point, Point(1, 2)),
        ({"deep": [1, None]}, Any, {"deep": [1, None]}),
    ],
)
def test_types_of_python_are_taken(value: object, annotation: Any, result: object) -> None:
    made = taken(value, annotation)
    assert (made, type(made)) == (result, type(result))


# Instants


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-29T01:00:00Z",
        "2026-03-29T03:00+02:00",
        "2026-03-29 03:00:00+02:00",
        1774746000,
        1774746000.0,
        datetime.fromisoformat("2026-03-29T03:00:00+02:00"),
    ],
)
def test_an_instant_may_be_iso_text_epoch_seconds_or_a_toml_date_time(value: object) -> None:
    made = taken(value, datetime)
    assert made == datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert made.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("2026-03-29T03:00", datetime),
        ("2026-03-29", datetime),
        (datetime(2026, 3, 29, 3), datetime),
        (datetime(2026, 3, 29, 3), float | datetime),
    ],
)
def test_a_local_date_time_is_no_instant(value: object, annotation: Any) -> None:
    issue = refused(value, annotation)
    assert "time zone" in issue.message
    assert issue.hint is not None
    assert "add Z" in issue.hint


@pytest.mark.parametrize(
    "value",
    [
        True,
        "tomorrow",
        "",
        "2026-02-30T00:00Z",
        "2026-01-01T23:59:60Z",
        float("nan"),
        float("inf"),
        1e300,
        10**400,
        [],
        date(2026, 3, 29),
        "0001-01-01T00:00:00+02:00",
    ],
)
def test_what_names_no_instant_is_refused(value: object) -> None:
    assert refused(value, datetime).path == ("x",)


def test_milliseconds_are_recognised() -> None:
    assert "divide by 1000" in str(refused(1774746000000, datetime))


def test_a_field_for_local_date_times_says_so_and_gets_them() -> None:
    assert taken(datetime(2026, 3, 29), Annotated[datetime, Meta(tz=False)]) == datetime(
        2026, 3, 29
    )


# Mistakes


def test_every_mistake_is_found_with_its_path() -> None:
    raw = {
        "topik": "a",
        "level": 256,
        "fade": "slow",
        "on": 1,
        "bulbs": [{"watts": 5}, {"watts": "5", "size": 1}, {}],
        "spare": {"watts": 5, "colour": "wram"},
        "labels": {"a": 1, "b": 2.5},
        "since": "noon",
    }
    assert [str(issue) for issue in issues_of(raw, Lamp, "sinks", "lamp")] == [
        "sinks.lamp.topik: unknown key 'topik' (did you mean 'topic'?)",
        "sinks.lamp.level: must be at most 255, not 256",
        "sinks.lamp.fade: must be a number, not text 'slow'",
        "sinks.lamp.on: must be true or false, not the number 1",
        "sinks.lamp.bulbs.1.size: unknown key 'size' (known keys: watts, colour)",
        "sinks.lamp.bulbs.1.watts: must be a whole number, not text '5' (write 5 without quotes)",
        "sinks.lamp.bulbs.2: the key 'watts' is missing (it takes a whole number)",
        (
            "sinks.lamp.spare.colour: must be one of 'warm', 'cold', not text 'wram' "
            "(did you mean 'warm'?)"
        ),
        "sinks.lamp.labels.b: must be a whole number, not the number 2.5",
        (
            "sinks.lamp.since: must be an instant, not text 'noon' "
            "(write 2026-03-29T07:30:00+02:00, 2026-03-29T05:30:00Z, or epoch seconds)"
        ),
    ]


def test_convert_raises_the_first_mistake() -> None:
    with pytest.raises(ConfigError, match=r"^events\.x\.level: must be at least 0, not -1$"):
        convert({"level": -1, "on": 1, "topic": "a"}, Lamp, path=("events", "x"))


def test_a_misspelt_required_key_is_one_mistake() -> None:
    assert issue_of({"watt": 5}, Bulb).hint == "did you mean 'watts'?"


def test_a_key_that_is_there_already_is_not_suggested() -> None:
    issue = issue_of({"watts": 5, "watt": 5}, Bulb)
    assert issue.hint == "known keys: watts, colour"


def test_hyphen_and_case_do_not_hide_what_was_meant() -> None:
    class Timed(msgspec.Struct):
        drain_timeout: float = 1.0

    assert issue_of({"DRAIN-TIMEOUT": 1}, Timed).hint == "did you mean 'drain_timeout'?"


def test_unknown_keys_are_refused_even_where_the_class_would_ignore_them() -> None:
    class Lax(msgspec.Struct):
        a: int = 1

    assert issue_of({"zzz": 1}, Lax).path == ("zzz",)


def test_fields_that_the_constructor_does_not_take_are_unknown() -> None:
    assert issue_of({"name": "hall", "area": 3}, Room).path == ("area",)
    assert issue_of({"street": "Elm", "floors": 3}, House).path == ("floors",)


@pytest.mark.parametrize("raw", [None, [], "text", 3])
@pytest.mark.parametrize("cls", [Lamp, Room, House])
def test_what_is_no_table_is_refused(raw: object, cls: type[Any]) -> None:
    assert "must be a table" in issue_of(raw, cls).message


@pytest.mark.parametrize(
    ("value", "annotation", "message"),
    [
        (True, int, "must be a whole number, not true"),
        (True, float, "must be a number, not true"),
        (True, Literal["a", 1], "must be one of 'a', 1, not true"),
        (3.0, int, "must be a whole number, not the number 3.0"),
        (None, int, "must be a whole number, not null"),
        ([], str, "must be text, not a list"),
        ({}, str, "must be text, not a table"),
        ("a", list[str], "must be a list, not text 'a'"),
        ({}, list[str], "must be a list, not a table"),
        ([], dict[str, int], "must be a table, not a list"),
        ([], int | str, "must be a whole number or text, not a list"),
        (5, str | list[str], "must be text, not the number 5"),
        ({}, str | list[str], "must be text or a list, not a table"),
        ("x", float | datetime, "must be a number or an instant, not text 'x'"),
        (float("nan"), float, "must be a finite number, not nan"),
        (float("-inf"), float, "must be a finite number, not -inf"),
        (10**400, float, "is out of range: a whole number of 1329 bits"),
        (0, Annotated[float, Meta(gt=0)], "must be more than 0, not 0"),
        (5, Annotated[float, Meta(lt=5)], "must be less than 5, not 5"),
        (7, Annotated[int, Meta(multiple_of=5)], "must be a multiple of 5, not 7"),
        ("", Annotated[str, Meta(min_length=1)], "must have at least 1 character, not ''"),
        ("abc", Annotated[str, Meta(max_length=2)], "must have at most 2 characters, not 'abc'"),
        ([], Annotated[list[int], Meta(min_length=1)], "must have at least 1 item, not 0"),
        ({}, Annotated[dict[str, int], Meta(min_length=1)], "must have at least 1 key, not 0"),
        ("b", Annotated[str, Meta(pattern="^a")], "must match the pattern '^a', not 'b'"),
        ([1], tuple[int, int], "must have 2 items, not 1"),
        ("x", date, "must be a valid date, not 'x'"),
        ("x", time, "must be a valid time, not 'x'"),
        (time(7, 30), str, "must be text, not the time 07:30:00"),
        (datetime(2026, 3, 29), str, "must be text, not the date and time 2026-03-29T00:00:00"),
    ],
)
def test_a_wrong_value_is_said_in_plain_words(value: object, annotation: Any, message: str) -> None:
    issue = refused(value, annotation)
    assert (issue.message, issue.path) == (message, ("x",))


@pytest.mark.parametrize(
    ("value", "annotation", "hint"),
    [
        (5, str, 'put it in quotes: "5"'),
        (time(7, 30), str, 'put it in quotes: "07:30:00"'),
        (False, str, 'put it in quotes: "false"'),
        ("true", bool, "write true without quotes"),
        ("2.5", float, "write 2.5 without quotes"),
        ("2.5", int, None),
        ("a", list[str], 'put it in brackets: ["a"]'),
        (1, list[int], "put it in brackets: [1]"),
        ("blue", Colour, None),
        ("cld", Colour, "did you mean 'cold'?"),
        ("x", Annotated[str, Meta(max_length=0, description="leave it empty")], "leave it empty"),
    ],
)
def test_a_near_miss_has_a_hint(value: object, annotation: Any, hint: str | None) -> None:
    assert refused(value, annotation).hint == hint


def test_a_mistake_inside_a_type_that_only_msgspec_knows_keeps_its_place() -> None:
    assert refused([1, "a"], Point).path == ("x", 1)


def test_a_long_value_is_quoted_short() -> None:
    assert len(refused("x" * 1000, int).message) < 120
    assert len(refused("\x1b" * 1000, int).message) < 120


def test_control_characters_are_quoted_harmlessly() -> None:
    assert refused("\x1b[31m\n", int).message.isprintable()


@pytest.mark.parametrize(
    "name",
    ["password", "auth_token", "api_key", "client-secret", "Authorization", "Cookie", "X-Api-Key"],
)
def test_the_value_of_a_secret_is_never_quoted(name: str) -> None:
    too_short = Annotated[str, Meta(min_length=20)]
    for wrong, annotation in (
        (73355608, str),
        ("73355608", int),
        ("73355608", list[str]),
        ("73355608", too_short),
    ):
        cls = msgspec.defstruct("Secret", [("value", annotation)], rename={"value": name})
        assert "73355608" not in str(issue_of({name: wrong}, cls))


# Rules of the class itself


class Span(msgspec.Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")
        if self.low == self.high:
            raise ConfigError("must differ from low", path=("high",), hint="add one")


def test_a_refusal_of_post_init_is_a_mistake_of_the_table() -> None:
    issue = issues_of({"low": 2, "high": 1}, Span, "a", "b")[0]
    assert (issue.message, issue.path) == ("low must not be above high", ("a", "b"))


def test_a_config_error_of_post_init_keeps_its_path_and_hint() -> None:
    issue = issues_of({"low": 1, "high": 1}, Span, "a")[0]
    assert (issue.path, issue.hint) == (("a", "high"), "add one")


def test_a_refusal_of_an_attrs_validator_is_a_mistake_of_the_table() -> None:
    assert "street" in issue_of({"street": "x"}, House).message


# Tagged unions


class Basic(msgspec.Struct, tag="basic", tag_field="kind"):
    user: str


class Bearer(msgspec.Struct, tag="bearer", tag_field="kind"):
    header: str = "Authorization"


def test_a_tag_chooses_the_class() -> None:
    assert taken({"kind": "bearer"}, Basic | Bearer | None) == Bearer()


def test_a_mistake_behind_a_tag_is_judged_by_that_class_alone() -> None:
    issue = refused({"kind": "basic", "usr": "a"}, Basic | Bearer)
    assert (issue.path, issue.hint) == (("x", "usr"), "did you mean 'user'?")


@pytest.mark.parametrize("annotation", [Basic | Bearer, Bearer])
def test_an_unknown_tag_suggests_the_near_one(annotation: Any) -> None:
    issue = refused({"kind": "baerer"}, annotation)
    assert (issue.path, issue.hint) == (("x", "kind"), "did you mean 'bearer'?")


def test_a_missing_tag_names_the_choices() -> None:
    assert refused({"user": "a"}, Basic | Bearer).hint == "it takes one of 'basic', 'bearer'"


# Everything


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["topic", "level", "bulbs", "watts"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*Lamp.__struct_fields__, "zzz"]), json))
def test_whatever_comes_there_is_an_object_or_a_list_of_mistakes(raw: dict[str, Any]) -> None:
    issues: list[ConfigError] = []
    made = convert_all(raw, Lamp, issues)
    assert isinstance(made, Lamp) == (not issues)


def test_a_class_that_cannot_be_a_table_is_the_callers_fault() -> None:
    with pytest.raises(TypeError, match="no msgspec Struct"):
        convert({}, int)


def test_a_json_schema_is_exported() -> None:
    schema = json_schema(Bulb)
    assert schema["$defs"]["Bulb"]["required"] == ["watts"]


def test_whatever_a_class_raises_is_a_mistake_with_its_place():
    class Fragile(msgspec.Struct):
        names: tuple[str, ...]

        def __post_init__(self):
            self.names[0]

    issues = []
    assert convert_all({"names": []}, Fragile, issues, path=("action",)) is None
    assert [str(issue) for issue in issues] == [
        "action: cannot be checked: IndexError: tuple index out of range"
    ]
