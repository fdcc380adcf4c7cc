"""The syntax of a field: what it selects, and what is refused with which advice."""

from __future__ import annotations

import pytest

from alicia_schedule_cron.expression import MACROS, MAX_LENGTH, Expression
from alicia_schedule_cron.fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY
from alicia_scheduler.api import ConfigError


@pytest.mark.parametrize(
    ("rule", "text", "values"),
    [
        (MINUTE, "*", range(60)),
        (MINUTE, "*/7", range(0, 60, 7)),
        (MINUTE, "*/90", [0]),
        (MINUTE, "5", [5]),
        (MINUTE, "007", [7]),
        (MINUTE, "00000000000000000005", [5]),
        (MINUTE, "10-13", [10, 11, 12, 13]),
        (MINUTE, "5-5", [5]),
        (MINUTE, "5-5/3", [5]),
        (MINUTE, "10-20/4", [10, 14, 18]),
        (MINUTE, "50/4", [50, 54, 58]),
        (MINUTE, "59/15", [59]),
        (MINUTE, "30,10,10-12", [10, 11, 12, 30]),
        (SECOND, "*/20", [0, 20, 40]),
        (HOUR, "22-23,0-2", [0, 1, 2, 22, 23]),
        (DAY, "*/10", [1, 11, 21, 31]),
        (DAY, "?", range(1, 32)),
        (MONTH, "jan,Mar,DEC", [1, 3, 12]),
        (MONTH, "feb-4", [2, 3, 4]),
        (MONTH, "*/5", [1, 6, 11]),
        (WEEKDAY, "*", range(7)),
        (WEEKDAY, "?", range(7)),
        (WEEKDAY, "0", [0]),
        (WEEKDAY, "7", [0]),
        (WEEKDAY, "sun", [0]),
        (WEEKDAY, "5-7", [0, 5, 6]),
        (WEEKDAY, "1-7/2", [0, 1, 3, 5]),
        (WEEKDAY, "*/2", [0, 2, 4, 6]),
        (WEEKDAY, "mon-FRI", [1, 2, 3, 4, 5]),
    ],
)
def test_a_field_selects_values(rule, text, values):
    field = rule.parse(text)
    assert field.values == tuple(values)
    assert field.specials == ()


@pytest.mark.parametrize(
    ("rule", "text", "specials"),
    [
        (DAY, "L", ("l",)),
        (DAY, "l", ("l",)),
        (DAY, "15W", ("15w",)),
        (DAY, "lw", ("31w",)),
        (WEEKDAY, "fri#2", ("5#2",)),
        (WEEKDAY, "7#1", ("0#1",)),
        (WEEKDAY, "L5", ("l5",)),
        (WEEKDAY, "Lsun", ("l0",)),
        (WEEKDAY, "1#1,1#3", ("1#1", "1#3")),
    ],
)
def test_a_day_field_selects_days_by_the_shape_of_the_month(rule, text, specials):
    field = rule.parse(text)
    assert field.specials == specials
    assert field.values == ()


def test_values_and_days_by_the_shape_of_the_month_may_share_a_list():
    assert DAY.parse("1,15W,L").values == (1,)
    assert DAY.parse("1,15W,L").specials == ("15w", "l")


@pytest.mark.parametrize(
    ("text", "starred"),
    [("*", True), ("*/2", True), ("*,13", True), ("?", True), ("13,*", False), ("1-31", False)],
)
def test_only_the_first_character_makes_a_star(text, starred):
    assert DAY.parse(text).starred is starred


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (rule, text)
        for rule in (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
        for text in [
            "", ",", "1,", ",1", "1,,2", "-", "-1", "+1", "1-", "1-2-3", "*-5", "1-*", "**", "*1",
            "1*", "*/", "/2", "*/0", "*/00", "*/-1", "*/x", "*/1.5", "*/2/3", "*//2", "*/*", "1.5",
            "1e1", "0x1", "1_0", "5%", "99", "0-99", "２", "٣", "²", "1–2", "*\0", "H", "R",
            "99999999999999999999", "0-99999999999", "*/99999999999999999999", "#", "1#", "#1", "W",
            "??", "1,?", "L-3", "monday", "january", "xyz",
        ]
    ],
)  # fmt: skip
def test_what_is_not_in_the_syntax_is_refused_in_every_field(rule, text):
    with pytest.raises(ConfigError):
        rule.parse(text)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (MINUTE, "60"),
        (HOUR, "24"),
        (DAY, "0"),
        (DAY, "32"),
        (MONTH, "0"),
        (MONTH, "13"),
        (WEEKDAY, "8"),
        (DAY, "0W"),
        (DAY, "32W"),
        (WEEKDAY, "1#0"),
        (WEEKDAY, "1#6"),
        (WEEKDAY, "8#1"),
        (WEEKDAY, "L8"),
        (MINUTE, "mon"),
        (MINUTE, "?"),
        (MINUTE, "L"),
        (HOUR, "15W"),
        (MONTH, "1#1"),
        (MONTH, "mon"),
        (DAY, "mon"),
        (WEEKDAY, "jan"),
    ],
)
def test_what_does_not_belong_in_a_field_is_refused_there(rule, text):
    with pytest.raises(ConfigError):
        rule.parse(text)


@pytest.mark.parametrize(
    ("rule", "text", "works"),
    [
        (MINUTE, "30-10", "30-59,0-10"),
        (HOUR, "22-2", "22-23,0-2"),
        (HOUR, "23-0", "23,0"),
        (DAY, "20-5", "20-31,1-5"),
        (MONTH, "dec-feb", "12,1-2"),
        (WEEKDAY, "fri-mon", "5-6,0-1"),
        (WEEKDAY, "sat-sun", "6-7"),
    ],
)
def test_a_reversed_range_is_refused_with_the_spelling_that_works(rule, text, works):
    with pytest.raises(ConfigError) as refusal:
        rule.parse(text)
    assert refusal.value.hint == f"write {works}"
    assert rule.parse(works).values


@pytest.mark.parametrize(
    ("rule", "text", "advice"),
    [
        (WEEKDAY, "monday", "names have three letters: mon"),
        (MONTH, "Sept", "names have three letters: sep"),
        (WEEKDAY, "5L", "the last such day is written L5"),
        (WEEKDAY, "fri#6", "write #1 to #5"),
        (HOUR, "25", "it takes 0 to 23"),
        (MINUTE, "*/0", "write a whole number from 1 after the '/'"),
    ],
)
def test_a_refusal_says_what_to_write(rule, text, advice):
    with pytest.raises(ConfigError) as refusal:
        rule.parse(text)
    assert refusal.value.hint == advice


@pytest.mark.parametrize("blank", [" ", "\t", "   ", " \t "])
def test_blanks_and_tabs_separate_fields(blank):
    text = blank + blank.join(["30", "6", "*", "*", "1"]) + blank
    assert Expression.parse(text) == Expression.parse("30 6 * * 1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "* * * *",
        "* * * * * * *",
        "0\u00a00 * * *",
        "0 0 * * *\n",
        "0 0 * * *\n* * * * *",
        "0 0 * * * # daily",
        "CRON_TZ=UTC 0 0 * * *",
        "@reboot",
        "@Daily",
        "@daily 5",
        "@",
        "daily",
    ],
)
def test_text_around_the_fields_is_refused(text):
    with pytest.raises(ConfigError):
        Expression.parse(text)


@pytest.mark.parametrize(("macro", "fields"), MACROS.items())
def test_a_macro_stands_for_its_fields(macro, fields):
    assert Expression.parse(f" {macro} ") == Expression.parse(fields)


def test_the_longest_sensible_expression_is_accepted():
    every = [",".join(map(str, range(*span))) for span in [(60,), (60,), (24,), (1, 32), (1, 13)]]
    text = " ".join([*every, "0,1,2,3,4,5,6"])
    assert Expression.parse(text).hours.values == tuple(range(24))


def test_an_endless_expression_is_refused_unread():
    with pytest.raises(ConfigError, match="characters"):
        Expression.parse("0" * MAX_LENGTH + ",0 * * * *")
