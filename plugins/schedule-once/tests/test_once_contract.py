"""The contract of every schedule, kept by once."""

from alicia_schedule_once import alicia_schedule_types
from alicia_scheduler.testing import ScheduleContract


class TestOnce(ScheduleContract):
    kind = next(iter(alicia_schedule_types()))

    def examples(self):
        return [
            {"run_at": "2026-03-29T02:30"},
            {"run_at": "2026-10-25T02:30"},
            {"timestamp": 1_900_000_000.25},
        ]

    def refused(self):
        return [
            {"run_at": "tomorrow"},
            {"run_at": "2026-02-30T12:00"},
        ]
