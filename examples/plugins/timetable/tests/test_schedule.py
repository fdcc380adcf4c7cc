"""The schedule type: lessons, holidays, and what changes of the clocks do to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alicia_scheduler.api import ConfigError
from alicia_scheduler.testing import ScheduleContract

from alicia_timetable import alicia_schedule_types

TIMETABLE = """
terms = [[2026-01-08, 2026-07-15]]
holidays = [[2026-03-30, 2026-04-11]]

[[lessons]]
subject = "Maths"
days = ["mon", "thu"]
start = 08:00:00
end = 08:45:00

[[lessons]]
subject = "Night sky"
days = ["sun"]
start = 02:30:00
end = 03:15:00
"""


class TestLessons(ScheduleContract):
    kind = next(iter(alicia_schedule_types()))

    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.file = tmp_path / "timetable.toml"
        self.file.write_text(TIMETABLE, "utf-8")

    def examples(self) -> Iterable[dict[str, Any]]:
        file = str(self.file)
        return [
            {"file": file},
            {"file": file, "subject": "Maths", "moment": "end"},
            {"file": file, "subject": "Night sky"},
        ]

    def refused(self) -> Iterable[dict[str, Any]]:
        broken = self.file.with_name("broken.toml")
        broken.write_text(TIMETABLE.replace("thu", "thursday"), "utf-8")
        endless = self.file.with_name("endless.toml")
        endless.write_text(TIMETABLE.replace("2026-07-15", "9999-12-31"), "utf-8")
        return [
            {"file": str(self.file.with_name("missing.toml"))},
            {"file": str(broken)},
            {"file": str(endless)},
            {"file": str(self.file), "subject": "Latin"},
        ]

    def _next(
        self, options: dict[str, Any], month: int, day: int, hour: int = 0
    ) -> datetime | None:
        schedule = self.built({"file": str(self.file), **options})
        return schedule.next_after(datetime(2026, month, day, hour, tzinfo=UTC))

    def test_the_bell_rings_at_the_end_of_a_lesson(self) -> None:
        options = {"subject": "Maths", "moment": "end"}
        assert self._next(options, 1, 8) == datetime(2026, 1, 8, 7, 45, tzinfo=UTC)

    def test_holidays_are_left_out(self) -> None:
        # The last lesson before them in winter time, the next one in summer time.
        assert self._next({"subject": "Maths"}, 3, 26, 8) == datetime(2026, 4, 13, 6, tzinfo=UTC)

    def test_a_lesson_in_the_hour_that_is_left_out_begins_at_the_end_of_the_gap(self) -> None:
        options = {"subject": "Night sky"}
        assert self._next(options, 3, 28) == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)

    def test_after_the_last_term_there_is_nothing(self) -> None:
        assert self._next({}, 7, 16) is None

    def test_a_mistake_in_the_file_is_told_with_its_place(self) -> None:
        self.file.write_text(TIMETABLE.replace("thu", "thursday"), "utf-8")
        with pytest.raises(ConfigError, match="thursday"):
            self._next({}, 1, 8)
