"""Named calendars of the configuration."""

from datetime import date

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
    days = read_calendar("holidays", raw, folder, issues)
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
        ({}, "holds no day"),
    ],
)
def test_a_calendar_that_is_wrong_is_told_with_its_place(raw, complaint, tmp_path):
    tmp_path.joinpath("broken.ics").write_text("BEGIN:VCALENDAR\nnonsense")
    _, (issue,) = read(raw, tmp_path)
    assert issue.startswith("calendars.holidays")
    assert complaint in issue


def test_the_configuration_holds_its_calendars(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text('[calendars.school]\ndates = [2026-12-24, "2026-12-25"]\n')
    configuration = load(file)
    assert configuration.issues == []
    assert configuration.calendars == {"school": {date(2026, 12, 24), date(2026, 12, 25)}}
