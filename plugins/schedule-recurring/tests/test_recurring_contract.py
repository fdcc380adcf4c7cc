"""The contract of every schedule, kept by recurring."""

from alicia_schedule_recurring import alicia_schedule_types
from alicia_scheduler.testing import ScheduleContract


class TestRecurring(ScheduleContract):
    kind = next(iter(alicia_schedule_types()))

    def examples(self):
        return [
            {"frequency": "hourly"},
            {"frequency": "daily", "time_of_day": ["02:30", "03:15:30"]},
            {"frequency": "weekly", "time_of_day": "02:30", "days_of_week": ["sun", 0]},
            {"frequency": "monthly", "days_of_month": [31, -1], "short_month": "clamp"},
        ]

    def refused(self):
        return [
            {"frequency": "daily", "time_of_day": "25:00"},
            {"frequency": "monthly", "days_of_month": [0]},
            {"frequency": "weekly", "days_of_week": []},
        ]
