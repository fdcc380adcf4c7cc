"""Named calendars of the configuration."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from alicia_scheduler.config.calendars import read_calendar
from alicia_scheduler.config.load import load

ICS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//
BEGIN:VEVENT
UID:1
DTSTART;VALUE=DATE:20261225
DTEND;VALUE=DATE:20261227
SUMMARY:Christmas
END:VEVENT
BEGIN:VEVENT
UID:2
DTSTART;VALUE=DATE:20200501
RRULE:FREQ=YEARLY
SUMMARY:Labour Day
END:VEVENT
BEGIN:VEVENT
UID:3
DTSTART:20260704T100000Z
DTEND:20260704T120000Z
SUMMARY:Noon
END:VEVENT
END:VCALENDAR
"""


def read(raw, folder):
    issues = []
    days = read_calendar("holidays", raw, folder, issues, ZoneInfo("Europe/Berlin"))
    return days, [str(issue) for issue in issues]


def test_dates_are_listed(tmp_path):
    days, issues = read({"dates": ["2026-12-25", "2026-12-26"]}, tmp_path)
    assert (days, issues) == ({date(2026, 12, 25), date(2026, 12, 26)}, [])


def test_an_ics_file_gives_every_day_an_entry_touches(tmp_path):
    tmp_path.joinpath("days.ics").write_text(ICS)
    days, issues = read({"file": "days.ics"}, tmp_path)
    assert issues == []
    assert {date(2026, 12, 25), date(2026, 12, 26), date(2026, 7, 4)} <= days
    assert date(2026, 12, 27) not in days


def test_a_repeating_entry_counts_in_every_year(tmp_path):
    tmp_path.joinpath("days.ics").write_text(ICS)
    days, _ = read({"file": "days.ics"}, tmp_path)
    assert {date(year, 5, 1) for year in range(2020, 2100)} <= days


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        ({"dates": ["25.12.2026"]}, "not a date of the calendar"),
        ({"dates": ["2026-12-25"], "fil": "x"}, "did you mean 'file'"),
        ({"file": "none.ics"}, "cannot be read"),
        ({"file": "broken.ics"}, "not a calendar"),
        ({"file": "tasks.ics"}, "holds no entry (days come from its VEVENTs"),
        ({"dates": ["20261225"]}, "not a date of the calendar"),
        ({}, "holds no day"),
    ],
)
def test_a_calendar_that_is_wrong_is_told_with_its_place(raw, complaint, tmp_path):
    tmp_path.joinpath("broken.ics").write_text("BEGIN:VCALENDAR\nnonsense")
    tmp_path.joinpath("tasks.ics").write_text(
        "BEGIN:VCALENDAR\nBEGIN:VTODO\nUID:1\nEND:VTODO\nEND:VCALENDAR\n"
    )
    _, (issue,) = read(raw, tmp_path)
    assert issue.startswith("calendars.holidays")
    assert complaint in issue


def test_the_configuration_holds_its_calendars(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text('[calendars.school]\ndates = [2026-12-24, "2026-12-25"]\n')
    configuration = load(file)
    assert configuration.issues == []
    assert configuration.calendars == {"school": {date(2026, 12, 24), date(2026, 12, 25)}}


@pytest.mark.parametrize("name", ["sat", "Mon", "2026-12-24", "school/holidays"])
def test_a_calendar_that_exclude_could_not_name_is_refused(name, tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(f'[calendars."{name}"]\ndates = ["2026-12-25"]\n')
    (issue,) = load(file).issues
    assert "cannot be the name of a calendar" in str(issue)
    assert issue.line == 1


# -- entries of an .ics file -----------------------------------------------------------------


def ics(*entries):
    """A calendar; an entry is its lines, separated by blanks."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//"]
    for entry in entries:
        lines += ["BEGIN:VEVENT", "UID:1", *entry.split(), "END:VEVENT"]
    return "\n".join([*lines, "END:VCALENDAR", ""])


def days_of(folder, *entries):
    folder.joinpath("days.ics").write_text(ics(*entries))
    days, issues = read({"file": "days.ics"}, folder)
    assert issues == []
    return sorted(f"{day:%Y-%m-%d}" for day in days)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=DAILY;COUNT=3", "01-01 01-02 01-03"),
        ("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=DAILY;UNTIL=20260102", "01-01 01-02"),
        ("DTSTART:20260101T120000Z RRULE:FREQ=DAILY;UNTIL=20260102T120000Z", "01-01 01-02"),
        (
            "DTSTART;VALUE=DATE:20260101 RRULE:FREQ=DAILY;COUNT=3 EXDATE;VALUE=DATE:20260102",
            "01-01 01-03",
        ),
        (
            "DTSTART;TZID=Japan:20260101T090000 RDATE:20260102T000000Z EXDATE:20260102T000000Z",
            "01-01",
        ),
        ("DTSTART;VALUE=DATE:20260101 RDATE;VALUE=DATE:20260105,20260107", "01-01 01-05 01-07"),
        (
            "DTSTART;VALUE=DATE:20260101 RRULE:FREQ=WEEKLY;COUNT=2 RRULE:FREQ=DAILY;COUNT=2",
            "01-01 01-02 01-08",
        ),
        (
            "DTSTART;VALUE=DATE:20260101 RRULE:FREQ=DAILY;BYDAY=TH,FR;BYMONTHDAY=-1,2;COUNT=2",
            "01-01 01-02 04-02",
        ),
        ("DTSTART;TZID=Europe/Berlin:20260101T230000 DURATION:PT2H", "01-01 01-02"),
        ("DTSTART:20260101T233000Z DURATION:PT1H", "01-02"),  # 00:30 in Berlin
        ("DTSTART:20260101T110000 DTEND:20260102T000000", "01-01"),
    ],
)
def test_the_days_of_an_entry_are_those_it_touches_by_the_clock_of_the_host(
    entry, expected, tmp_path
):
    assert days_of(tmp_path, entry) == [f"2026-{day}" for day in expected.split()]


def test_a_repetition_that_began_long_ago_goes_on(tmp_path):
    days = days_of(tmp_path, "DTSTART;VALUE=DATE:19700101 RRULE:FREQ=YEARLY")
    assert {"2026-01-01", "2100-01-01"} <= set(days)


def test_a_repetition_that_was_moved_or_cancelled_is_not_on_its_old_day(tmp_path):
    assert days_of(
        tmp_path,
        "DTSTART;VALUE=DATE:20260101 RRULE:FREQ=WEEKLY;COUNT=3",
        "DTSTART;VALUE=DATE:20260110 RECURRENCE-ID;VALUE=DATE:20260108",
        "DTSTART;VALUE=DATE:20260115 RECURRENCE-ID;VALUE=DATE:20260115 STATUS:CANCELLED",
    ) == ["2026-01-01", "2026-01-10"]


def test_a_daily_rule_that_never_comes_true_leaves_the_entrys_own_day(tmp_path):
    entry = "DTSTART;VALUE=DATE:20260101 RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
    assert days_of(tmp_path, entry) == ["2026-01-01"]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("SUMMARY:Lost", "the entry 'Lost' cannot be read: it has no DTSTART"),
        ("SUMMARY:Lost DTSTART;VALUE=DATE:2026-01-01", "the entry 'Lost' cannot be read"),
        ("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=MINUTELY", "repeats MINUTELY, and days repeat"),
        ("DTSTART;VALUE=DATE:20260101 RRULE:FREQ=OFTEN", "OFTEN"),
        ("DTSTART;VALUE=DATE:99991231", "the entry '1' cannot be read"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(entry, complaint, tmp_path):
    tmp_path.joinpath("days.ics").write_text(ics(entry))
    _, (issue,) = read({"file": "days.ics"}, tmp_path)
    assert issue.startswith("calendars.holidays.file")
    assert complaint in issue
