"""What every schedule keeps: a pure question with one answer, strictly later, in bounded time."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from alicia_scheduler.api import (
    ConfigError,
    DstGap,
    DstOverlap,
    Schedule,
    ScheduleContext,
    ScheduleType,
    clock_changes,
    load_timezone,
)
from alicia_scheduler.testing.contracts.contract import OptionsContract
from alicia_scheduler.testing.contracts.purity import TooLong, watched

__all__ = ["ScheduleContract"]

ANCHOR = datetime(2026, 1, 5, 9, 15, tzinfo=UTC)

MICROSECOND = timedelta(microseconds=1)

LAST = datetime.max.replace(tzinfo=UTC)

FAR = (
    datetime(1, 1, 3, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2038, 1, 19, 3, 14, 7, tzinfo=UTC),
    datetime(2100, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(9000, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 30, tzinfo=UTC),
    LAST - MICROSECOND,
    LAST,
)
"""Where calendars, zones and 32-bit numbers end."""

STEPS = 20
"""Most slots of one walk over a clock change."""

AROUND = (
    -1560,
    -181,
    -121,
    -91,
    -61,
    -60,
    -31,
    -30,
    -1,
    0,
    1,
    29,
    30,
    31,
    59,
    60,
    61,
    121,
    181,
    1560,
)
"""Minutes from a clock change at which a schedule is asked."""


class ScheduleContract(OptionsContract):
    """What every schedule keeps. Subclass it in a plugin's tests, under a name with ``Test``.

    Attributes:
        kind: the schedule type, as its hook yields it.
        zones: the zones in whose years 2011 and 2026 it is walked: changes of an hour and of half
            an hour, on both hemispheres, a day that was left out, an offset of 45 minutes.
    """

    kind: ScheduleType
    zones: Sequence[str] = (
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
    )

    def examples(self) -> Iterable[dict[str, Any]]:
        """Options that are right, each for another way to use the type."""
        self.missing("examples", "a list of schedule_config tables, one for each way to use it")

    def context(self, zone: str = "Europe/Berlin") -> ScheduleContext:
        """What the schedule is built with."""
        return ScheduleContext(
            timezone=load_timezone(zone), anchor=ANCHOR, latitude=52.5, longitude=13.4
        )

    def some_options(self) -> dict[str, Any]:
        return next(iter(self.examples()))

    def built(self, options: dict[str, Any], context: ScheduleContext | None = None) -> Schedule:
        """The schedule of some options."""
        return self.kind.build(self.config(options), context or self.context())

    # -- the answer ----------------------------------------------------------------------

    def test_each_slot_is_an_aware_utc_datetime_later_than_the_question(self) -> None:
        for options, zone, schedule in self._schedules():
            for instant in _instants(zone):
                self._answer(schedule, instant, f"{options} in {zone}")

    def test_no_slot_lies_between_a_question_and_its_answer(self) -> None:
        for options, zone, schedule in self._schedules():
            where = f"{options} in {zone}"
            for instant in _instants(zone):
                answer = self._answer(schedule, instant, where)
                if answer is None:
                    continue
                between = (instant + (answer - instant) * part for part in (0.25, 0.5, 0.9))
                for question in (*between, answer - MICROSECOND):
                    again = schedule.next_after(question)
                    assert again == answer or not instant <= question < answer, (
                        f"{where}: from {instant} the next slot is {answer}, but from {question}, "
                        f"which is in between, it is {again}. Give the first slot after the instant"
                    )

    def test_the_same_question_has_the_same_answer(self) -> None:
        for options, zone, schedule in self._schedules():
            questions = _instants(zone)
            first = [schedule.next_after(instant) for instant in questions]
            backwards = [schedule.next_after(instant) for instant in reversed(questions)]
            assert first == backwards[::-1], (
                f"{options} in {zone}: asked in another order it answers otherwise. "
                "Keep nothing from one question to the next"
            )

    def test_a_schedule_built_again_gives_the_same_slots(self) -> None:
        for options in self.examples():
            config = self.config(options)
            before = copy.deepcopy(config)
            first = _slots(self.kind.build(config, self.context()))
            assert config == before, (
                f"{options}: building changes the configuration; make a copy of what you change"
            )
            assert first == _slots(self.kind.build(config, self.context())), (
                f"{options}: built a second time it has other slots. Build from nothing but "
                "the configuration and the context"
            )

    def test_its_configuration_survives_pickling(self) -> None:
        for options in self.examples():
            config = self.config(options)
            copied = pickle.loads(pickle.dumps(config))  # noqa: S301 - our own
            assert _slots(self.kind.build(copied, self.context())) == _slots(
                self.kind.build(config, self.context())
            ), f"{options}: the pickled configuration gives other slots. Keep all of it in fields"

    def test_an_answer_touches_no_clock_no_file_and_no_dice(self) -> None:
        for options in self.examples():
            schedule = self.built(options)
            schedule.next_after(ANCHOR)  # what is imported and read on first use
            _, found = watched(lambda: schedule.next_after(ANCHOR))  # noqa: B023 - called at once
            assert not found, (
                f"{options}: next_after() asks {', '.join(sorted(found))}. It must be pure: "
                "read before, in build(), what the answer depends on"
            )

    def test_an_answer_takes_bounded_time(self) -> None:
        for options in self.examples():
            schedule = self.built(options)
            for instant in (ANCHOR, *FAR):
                try:
                    watched(lambda: schedule.next_after(instant))  # noqa: B023 - called at once
                except TooLong as error:
                    raise AssertionError(
                        f"{options} asked at {instant}: {error}. Reckon the slot instead of "
                        "searching it step by step, or bound the search and give None"
                    ) from error

    # -- clocks and calendars ------------------------------------------------------------

    def test_slots_go_on_over_every_clock_change(self) -> None:
        for options, zone, _ in self._schedules():
            for gap in (None, *DstGap):
                for overlap in (None, *DstOverlap):
                    context = replace(self.context(zone), dst_gap=gap, dst_overlap=overlap)
                    try:
                        schedule = self.built(options, context)
                    except ConfigError:
                        continue  # by this rule its only reading means nothing
                    for change in _changes(zone):
                        self._walk(schedule, change, f"{options} in {zone}, {gap}, {overlap}")

    def test_the_ends_of_the_calendar_are_no_error(self) -> None:
        for options in self.examples():
            schedule = self.built(options)
            for instant in FAR:
                try:
                    answer = schedule.next_after(instant)
                except Exception as error:
                    raise AssertionError(
                        f"{options} asked at {instant} raises {type(error).__name__}: {error}. "
                        "Give None when there is no slot any more"
                    ) from error
                assert answer is None or answer > instant, (
                    f"{options}: the slot after {instant} is {answer}; give a later one, or None"
                )
            assert schedule.next_after(LAST) is None, "nothing is later than the last instant"

    def test_slots_of_elapsed_time_move_with_their_anchor(self) -> None:
        if not self.kind.elapsed:
            return
        moved_by = timedelta(seconds=4321)
        for options in self.examples():
            before = _slots(self.built(options))
            context = replace(self.context(), anchor=ANCHOR + moved_by)
            after = _slots(self.built(options, context), ANCHOR + moved_by)
            assert after == [slot + moved_by for slot in before], (
                f"{options}: the type says elapsed=True, but its grid does not move with the "
                "anchor. Count from context.anchor, or leave elapsed out"
            )

    # -- words ---------------------------------------------------------------------------

    def test_it_describes_itself_in_one_line(self) -> None:
        for options in self.examples():
            words = self.built(options).describe()
            assert isinstance(words, str), f"{options}: describe() must give a text"
            assert words.strip(), f"{options}: describe() says nothing"
            assert "\n" not in words, f"{options}: describe() must be one line, not {words!r}"

    def test_what_can_never_mean_anything_is_a_config_error(self) -> None:
        for options in self.refused():
            try:
                self.built(options)
            except ConfigError as error:
                assert error.message, f"{options}: the ConfigError says nothing"
            except Exception as error:
                raise AssertionError(
                    f"{options} raises {type(error).__name__}: {error}. A bad configuration "
                    "raises ConfigError and nothing else"
                ) from error
            else:
                raise AssertionError(f"{options} is taken, though it can never mean anything")

    # -- the walk ------------------------------------------------------------------------

    def _schedules(self) -> Iterator[tuple[dict[str, Any], str, Schedule]]:
        for options in self.examples():
            for zone in self.zones:
                yield options, zone, self.built(options, self.context(zone))

    def _answer(self, schedule: Schedule, instant: datetime, where: str) -> datetime | None:
        answer = schedule.next_after(instant)
        if answer is None:
            return None
        assert isinstance(answer, datetime), f"{where}: next_after() gives {answer!r}, no datetime"
        assert answer.utcoffset() == timedelta(0), (
            f"{where}: the slot after {instant} is {answer!r}; give an aware datetime in UTC"
        )
        assert answer > instant, (
            f"{where}: the slot after {instant} is {answer}; it must be strictly later"
        )
        return answer

    def _walk(self, schedule: Schedule, change: datetime, where: str) -> None:
        """Ask around a change, then go from slot to slot over it."""
        before: datetime | None = None
        for minutes in AROUND:
            instant = change + timedelta(minutes=minutes)
            answer = self._answer(schedule, instant, where)
            assert answer is None or before is None or answer >= before, (
                f"{where}: asked later, at {instant}, it gives the earlier slot {answer} "
                f"instead of {before}"
            )
            before = answer
        following: datetime | None = change - timedelta(minutes=70)
        for _ in range(STEPS):
            if following is None or following > change + timedelta(hours=26):
                return
            following = self._answer(schedule, following, where)


def _changes(zone: str) -> list[datetime]:
    """The clock changes of 2011 and 2026."""
    place: ZoneInfo = load_timezone(zone)
    years = [
        (datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
        for year in (2011, 2026)
    ]
    return [change.at for start, end in years for change in clock_changes(start, end, place)]


def _instants(zone: str) -> list[datetime]:
    """Around the clock changes of a zone, the anchor, and the ends of a month and a year."""
    spots = [
        ANCHOR,
        datetime(2028, 2, 28, 23, 30, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, tzinfo=UTC),
    ]
    around = (timedelta(hours=-2), -MICROSECOND, timedelta(0), timedelta(minutes=31))
    return sorted(spot + offset for spot in (*spots, *_changes(zone)) for offset in around)


def _slots(schedule: Schedule, instant: datetime = ANCHOR, count: int = 10) -> list[datetime]:
    found: list[datetime] = []
    following = schedule.next_after(instant)
    while following is not None and len(found) < count:
        found.append(following)
        following = schedule.next_after(following)
    return found
