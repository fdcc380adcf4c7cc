"""The contract of every schedule, kept by cron."""

from alicia_schedule_cron import alicia_schedule_types
from alicia_scheduler.testing import ScheduleContract


class TestCron(ScheduleContract):
    kind = next(iter(alicia_schedule_types()))

    def examples(self):
        return [
            {"expression": "30 2 * * *"},
            {"expression": "*/7 * * * *"},
            {"expression": "0 0 29 feb mon"},
            {"expression": "*/10 0 3 * * sun"},
        ]

    def refused(self):
        return [
            {"expression": "61 * * * *"},
            {"expression": "* * * *"},
            {"expression": "0 0 31 2 *"},
        ]
