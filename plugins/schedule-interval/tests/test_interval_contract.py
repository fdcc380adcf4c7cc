"""The contract of every schedule, kept by interval."""

from alicia_schedule_interval import alicia_schedule_types
from alicia_scheduler.testing import ScheduleContract


class TestInterval(ScheduleContract):
    kind = next(iter(alicia_schedule_types()))

    def examples(self):
        return [
            {"type": "minutes", "value": 5},
            {"type": "days", "value": 1},
            {"interval": 0.25},
        ]

    def refused(self):
        return [
            {"interval": 0},
            {"interval": 1e300},
        ]
