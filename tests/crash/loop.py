"""The loop: start, kill at a chosen instant, look at what is left; and let it end at last."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import median

from tests.crash.audit import Audit
from tests.crash.load import Load
from tests.witness.process import Host, Tail, size_of, until

__all__ = ["Outcome", "killed_in_a_loop"]

ROUND = 2.0
"""Seconds of load for a round; a round takes less, so all of them are under load."""

LONG_OUTAGE = 6.0
"""Seconds; longer than what the planner takes for punctual, so what follows is a catch-up."""


@dataclass
class Outcome:
    """What the loop did and what it found."""

    audit: Audit
    kills: Counter[str] = field(default_factory=Counter)
    restarts: list[float] = field(default_factory=list)
    effects: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    exit_code: int | None = None

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kills.items()))
        ends = ", ".join(f"{count} {status}" for status, count in self.statuses.most_common())
        broken = self.audit.findings.broken
        lost = len(broken.get("lost slot", ())) + len(broken.get("event lost", ()))
        doubled = sum(
            len(broken.get(kind, ())) for kind in ("doubled effect", "doubled attempt", "two ends")
        )
        return (
            f"kills {self.kills.total()} ({kinds}); due slots {self.audit.slots}; "
            f"executions {self.statuses.total()} ({ends}); effects {self.effects}; "
            f"reruns {self.audit.reruns}; lost {lost}; doubled {doubled}; restart "
            f"{median(self.restarts or [0]):.2f} s, at worst {max(self.restarts or [0]):.2f} s"
        )


def killed_in_a_loop(
    home: Path,
    *,
    rounds: int,
    one_shots: int,
    seed: int,
    defect: str | None = None,
    patience: float = 120.0,
) -> Outcome:
    """Kill a host at least ``rounds`` times under load, then let it finish; all is accounted.

    A fifth of the kills are within start-up and recovery, a third at the instant at which an
    effect is seen, the others at random. A loop that finds a broken promise ends at once.
    """
    rng = Random(seed)
    load = Load.drawn(rng, time.time(), rounds * ROUND + 4, one_shots)
    host = Host(home, load.toml, defect=defect)
    outcome = Outcome(Audit(load))
    heard = Tail(host.heard_file)
    try:
        # The first start makes the events; before that there is nothing to lose.
        _start(host, outcome)
        host.kill()
        while outcome.kills.total() < rounds or time.time() < load.ends_at:
            kind = rng.choices(("at start", "at an effect", "at random"), (3, 5, 7))[0]
            _one_round(host, outcome, kind, rng)
            outcome.audit.after_a_kill(host.kept(), host.effects(), heard.new())
            if outcome.audit.findings:
                return outcome
        _start(host, outcome)
        until(lambda: _all_ended(host, load), "all that was due to end", patience)
        outcome.exit_code = host.stop()
        kept, effects = host.kept(), host.effects()
        outcome.audit.at_the_end(kept, effects, heard.new())
        outcome.effects = len(effects)
        outcome.statuses.update(row["status"] for row in kept.executions)
    except AssertionError as error:
        outcome.audit.findings.add("broken off", error)
    finally:
        host.close()
    return outcome


def _start(host: Host, outcome: Outcome) -> None:
    began = time.monotonic()
    host.start()
    host.wait_until_it_runs()
    outcome.restarts.append(time.monotonic() - began)


def _one_round(host: Host, outcome: Outcome, kind: str, rng: Random) -> None:
    if kind == "at start":
        host.start()
        usual = median(outcome.restarts)
        time.sleep(rng.uniform(0.3, 1.1) * usual)
    else:
        _start(host, outcome)
        if kind == "at an effect":
            _wait_for_effects(host, rng.randint(1, 40))
        else:
            time.sleep(rng.uniform(0, 1.2))
    host.kill()
    outcome.kills[kind] += 1
    if rng.random() < 0.03:
        time.sleep(LONG_OUTAGE)


def _wait_for_effects(host: Host, count: int) -> None:
    """Return within a moment of the last of so many effects, or when none comes."""
    seen, size = 0, size_of(host.ledger)
    deadline = time.monotonic() + 1.5
    while seen < count and time.monotonic() < deadline:
        now = size_of(host.ledger)
        if now != size:
            seen, size = seen + 1, now
        else:
            time.sleep(0.0002)


def _all_ended(host: Host, load: Load) -> bool:
    time.sleep(0.2)
    return time.time() > load.ends_at + 1 and all(
        row["end_time"] is not None for row in host.history()
    )
