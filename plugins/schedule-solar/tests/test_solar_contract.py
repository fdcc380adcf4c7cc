"""The contract of every schedule, kept by solar."""

from alicia_schedule_solar import alicia_schedule_types
from alicia_scheduler.testing import ScheduleContract


class TestSolar(ScheduleContract):
    kind = next(iter(alicia_schedule_types()))

    def examples(self):
        return [
            {"event": "sunset", "offset_minutes": -20, "latitude": 52.52, "longitude": 13.405},
            {"event": "sunrise"},
            {"event": "dawn", "latitude": 69.65, "longitude": 18.96},
            {"event": "noon", "latitude": -33.87, "longitude": 151.21},
        ]

    def refused(self):
        return [
            {"event": "teatime"},
            {"event": "sunset", "latitude": 91, "longitude": 0},
        ]
