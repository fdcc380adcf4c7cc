"""The contract of every schedule, kept by rrule."""

from alicia_schedule_rrule import alicia_schedule_types
from alicia_scheduler.testing import ScheduleContract


class TestRrule(ScheduleContract):
    kind = next(iter(alicia_schedule_types()))

    def examples(self):
        return [
            {"rrule": "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "dtstart": "2020-01-01T00:00:00"},
            {"rrule": "FREQ=WEEKLY;INTERVAL=2;BYDAY=TH", "dtstart": "2026-01-08T19:00:00"},
            {"rrule": "FREQ=MONTHLY;BYDAY=-1SU;COUNT=5", "dtstart": "2026-01-08T02:30:00"},
            {"rrule": "FREQ=HOURLY;UNTIL=20270101T000000Z", "dtstart": "2026-01-08T19:00:00"},
        ]

    def refused(self):
        return [
            {"rrule": "FREQ=NEVER", "dtstart": "2026-01-08T19:00:00"},
            {"rrule": "FREQ=DAILY", "dtstart": "soon"},
        ]
