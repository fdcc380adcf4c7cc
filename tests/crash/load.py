"""What the host has to do while it is killed: events of every kind, whose slots are known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

__all__ = ["Load"]

LEAD = 6.0
"""Seconds from now until the first one-shot: it must not have passed when the host first starts."""

COMMON = """
misfire_grace = 1000000
retry_delay = 0.3
retry_backoff = 1.0
retry_jitter = 0.0
"""

# What is late and runs one by one is let in at a stagger, so not too much of it may come together.
GRIDS = {
    "tick": (
        1.0,
        "latest",
        'schedule_type = "cron"\nschedule_config = { expression = "* * * * * *" }',
    ),
    "beat": (
        1.0,
        "latest",
        'schedule_type = "interval"\nschedule_config = { type = "seconds", value = 1 }',
    ),
    "tock": (
        10.0,
        "all",
        'schedule_type = "cron"\nschedule_config = { expression = "*/10 * * * * *" }',
    ),
}
"""For each kind of event with many slots: its period in seconds, misfire policy and schedule."""


@dataclass(frozen=True)
class Load:
    """Events whose slots a test knows without asking the scheduler.

    Attributes:
        toml: their definitions.
        one_shots: the one slot (epoch seconds) of each event that has only one.
        grids: the period (seconds) of events with many slots, which end at ``ends_at``.
        at_most_once: events that say ``on_interrupted = "fail"``.
        ends_at: the instant after which nothing is due.
    """

    toml: str
    one_shots: dict[str, float]
    grids: dict[str, float]
    at_most_once: frozenset[str]
    ends_at: float

    @property
    def event_ids(self) -> frozenset[str]:
        return frozenset(self.one_shots) | frozenset(self.grids)

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
        grids: dict[str, float] = {}
        for kind, (period, misfire, schedule) in GRIDS.items():
            for number in range(6):
                event_id = f"{kind}-{number}"
                grids[event_id] = period
                mode = ("parallel", "queued", "single")[number % 3]
                more = f'{end}mode = "{mode}"\nmisfire = "{misfire}"\n'
                add(event_id, schedule, number + number // 3, more)
        return cls(
            toml="".join(tables),
            one_shots=once,
            grids=grids,
            at_most_once=frozenset(at_most_once),
            ends_at=ends_at,
        )
