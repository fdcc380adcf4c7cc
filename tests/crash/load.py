"""What the host has to do while it is killed: events of every kind, whose slots are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

__all__ = ["Load"]

LEAD = 6.0
"""Seconds from now until the first one-shot: it must not have passed when the host first starts."""

COMMON = """
misfire = "all"
misfire_grace = 1000000
retry_delay = 0.3
retry_backoff = 1.0
retry_jitter = 0.0
"""


@dataclass(frozen=True)
class Load:
    """Events whose slots a test knows without asking the scheduler.

    Attributes:
        toml: their definitions.
        one_shots: the one slot (epoch seconds) of each event that has only one.
        ticking: events with a slot at every full second, until ``ends_at``.
        beating: events with a slot every second from when they were made, until ``ends_at``.
        at_most_once: events that say ``on_interrupted = "fail"``.
        ends_at: the instant after which nothing is due.
    """

    toml: str
    one_shots: dict[str, float]
    ticking: frozenset[str]
    beating: frozenset[str]
    at_most_once: frozenset[str]
    ends_at: float

    @property
    def event_ids(self) -> frozenset[str]:
        return frozenset(self.one_shots) | self.ticking | self.beating

    @classmethod
    def drawn(cls, rng: Random, now: float, seconds: float, one_shots: int) -> Load:
        """A load for the next so many seconds, with so many one-shots, half of them in bursts."""
        ends_at = float(int(now + seconds))
        tables: list[str] = []
        at_most_once: set[str] = set()

        def add(event_id: str, schedule: str, number: int, more: str = "") -> None:
            # Every combination of policy, duration and number of failing attempts comes up.
            if number % 2:
                at_most_once.add(event_id)
            policy = "fail" if number % 2 else "rerun"
            lasting = (0, 0.02, 0.3)[number // 2 % 3]
            failing = (0, 0, 1)[number // 6 % 3]
            tables.append(
                f"[events.{event_id}]\n{schedule}{COMMON}{more}"
                f'on_interrupted = "{policy}"\n'
                f"action = {{ {{act}}, seconds = {lasting}, failing = {failing} }}\n"
            )

        once: dict[str, float] = {}
        moments = [now + rng.uniform(LEAD, seconds) for _ in range(one_shots // 2)]
        bursts = [now + rng.uniform(LEAD, seconds) for _ in range(1 + one_shots // 20)]
        moments += [rng.choice(bursts) for _ in range(one_shots - len(moments))]
        for number, moment in enumerate(moments):
            event_id = f"once-{number}"
            once[event_id] = round(moment, 3)
            add(
                event_id,
                f'schedule_type = "once"\nschedule_config = {{ run_at = {once[event_id]} }}',
                number,
            )
        end = f"ends_at = {datetime.fromtimestamp(ends_at, UTC).isoformat()}\n"
        modes = ("parallel", "queued", "single")
        for number in range(9):
            more = f'{end}mode = "{modes[number % 3]}"\n'
            add(
                f"tick-{number}",
                'schedule_type = "cron"\nschedule_config = { expression = "* * * * * *" }',
                number,
                more,
            )
            add(
                f"beat-{number}",
                'schedule_type = "interval"\nschedule_config = { type = "seconds", value = 1 }',
                number + 9,
                more,
            )
        return cls(
            toml="".join(tables),
            one_shots=once,
            ticking=frozenset(f"tick-{number}" for number in range(9)),
            beating=frozenset(f"beat-{number}" for number in range(9)),
            at_most_once=frozenset(at_most_once),
            ends_at=ends_at,
        )
