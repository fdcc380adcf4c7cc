"""The accounts of a host that was killed: what was due, what happened, and whether they agree.

What was due is known from the definitions, what happened from the witness. The store is only asked
for what it claims; it is a copy, read without the product.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.crash.load import Load
from tests.witness.process import Kept

__all__ = ["Audit", "Findings"]

FINAL = frozenset(("completed", "failed", "cancelled", "skipped", "missed", "interrupted"))

GRID = 1e-4
"""Seconds by which a slot of a grid may differ from the grid, for the rounding of a float."""

Row = dict[str, Any]
Slot = tuple[str, float]


@dataclass
class Findings:
    """Broken promises: for each kind, a few examples of what broke it."""

    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, example: object) -> None:
        self.broken[kind].append(str(example))

    def __bool__(self) -> bool:
        return bool(self.broken)

    def __str__(self) -> str:
        return "\n".join(
            f"{kind}: {len(examples)}, e.g. {'; '.join(examples[:3])}"
            for kind, examples in self.broken.items()
        )


class Audit:
    """Checks what is there after each kill, and all of it at the end.

    Args:
        load: what was due.

    Attributes:
        slots: how many due slots were accounted for at the end.
        reruns: executions that took the place of an interrupted one.
    """

    def __init__(self, load: Load) -> None:
        self.findings = Findings()
        self.slots = 0
        self.reruns = 0
        self._load = load
        self._ended: dict[str, Row] = {}
        self._told_ends: set[str] = set()
        self._told_numbers: set[int] = set()

    def after_a_kill(self, kept: Kept, effects: list[Row], heard: list[Row]) -> None:
        """What must hold at any instant.

        Args:
            kept: what the store holds.
            effects: everything that the witness did.
            heard: what it was told since the last call.
        """
        rows = {row["execution_id"]: row for row in kept.executions}
        self._store(kept, rows)
        self._ends(rows)
        self._effects(rows, effects)
        self._told(rows, heard)

    def at_the_end(self, kept: Kept, effects: list[Row], heard: list[Row]) -> None:
        """What must hold when everything that was due had the time to end."""
        self.after_a_kill(kept, effects, heard)
        for row in kept.executions:
            if row["status"] not in FINAL:
                self.findings.add("left unfinished", _named(row))
        by_slot: dict[Slot, list[Row]] = defaultdict(list)
        covered: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for row in kept.executions:
            if row["reason"] == "coalesced":
                span = json.loads(row["result"])
                covered[row["event_id"]].append((span["first"], span["before"]))
            else:
                by_slot[row["event_id"], row["scheduled_time"]].append(row)
        for event_id, slot in self._due(by_slot):
            self.slots += 1
            ranges = sum(
                first - GRID <= slot < before - GRID for first, before in covered[event_id]
            )
            self._slot(event_id, slot, by_slot.get((event_id, slot), []), ranges)

    def _store(self, kept: Kept, rows: dict[str, Row]) -> None:
        for problem in kept.problems:
            self.findings.add("unclean store", problem)
        if len(rows) != len(kept.executions):
            self.findings.add("doubled id", len(kept.executions) - len(rows))
        if kept.executions:
            for event_id in self._load.event_ids - kept.event_ids:
                self.findings.add("event lost", event_id)

    def _ends(self, rows: dict[str, Row]) -> None:
        """An execution that has ended never changes again."""
        for execution_id, before in self._ended.items():
            now = rows.get(execution_id)
            if now is None:
                self.findings.add("end forgotten", _named(before))
            elif now != before:
                self.findings.add("two ends", f"{_named(before)}, then {_named(now)}")
        self._ended = {key: row for key, row in rows.items() if row["status"] in FINAL}

    def _effects(self, rows: dict[str, Row], effects: list[Row]) -> None:
        done = Counter((effect["execution_id"], effect["attempt"]) for effect in effects)
        of_slot = Counter((effect["event_id"], effect["slot"]) for effect in effects)
        for (execution_id, attempt), times in done.items():
            if times > 1:
                self.findings.add("doubled attempt", f"{execution_id}/{attempt}")
            if execution_id not in rows or rows[execution_id]["start_time"] is None:
                self.findings.add("effect without a row", execution_id)
        for (event_id, slot), times in of_slot.items():
            if times > 1 and event_id in self._load.at_most_once:
                self.findings.add("doubled effect", f"{event_id} at {slot}")
        for row in rows.values():
            last = row["execution_id"], row["retry_count"] + 1
            if row["status"] == "completed" and last not in done:
                self.findings.add("completed without an effect", _named(row))

    def _told(self, rows: dict[str, Row], heard: list[Row]) -> None:
        """What a listener was told has been kept, and is told once."""
        for line in heard:
            if line["sequence"] in self._told_numbers:
                self.findings.add("number told twice", line["sequence"])
            self._told_numbers.add(line["sequence"])
            if "execution_id" not in line:
                continue
            execution_id, status = line["execution_id"], line["status"]
            row = rows.get(execution_id)
            if row is None or (status in FINAL and row["status"] != status):
                self.findings.add("told and not kept", f"{line} against {row}")
            if status in FINAL:
                if execution_id in self._told_ends:
                    self.findings.add("two ends told", execution_id)
                self._told_ends.add(execution_id)

    def _due(self, by_slot: dict[Slot, list[Row]]) -> Iterator[Slot]:
        """Every slot that was due, from the definitions."""
        yield from self._load.one_shots.items()
        recorded: dict[str, list[float]] = defaultdict(list)
        for event_id, slot in by_slot:
            recorded[event_id].append(slot)
        for event_id, period in self._load.grids.items():
            slots = sorted(recorded[event_id])
            if not slots:
                self.findings.add("lost slot", f"every one of {event_id}")
                continue
            grid = slots[0]
            known = {round((slot - grid) / period): slot for slot in slots}
            for step, slot in known.items():
                if abs(slot - grid - step * period) > GRID:
                    self.findings.add("slot off the grid", f"{event_id} at {slot}")
            for step in range(int((self._load.ends_at - grid + GRID) / period) + 1):
                yield event_id, known.get(step, grid + step * period)

    def _slot(self, event_id: str, slot: float, rows: list[Row], ranges: int) -> None:
        """A slot has one row, or is in one range; or its rows are interrupted but for the last."""
        if not rows and not ranges:
            self.findings.add("lost slot", f"{event_id} at {slot}")
            return
        if (rows and ranges) or ranges > 1:
            self.findings.add("two dispositions", f"{event_id} at {slot}, in a range as well")
            return
        earlier, last = rows[:-1], rows[-1:]
        self.reruns += len(earlier)
        if any(row["status"] != "interrupted" for row in earlier):
            self.findings.add("two dispositions", "; ".join(map(_named, rows)))
        if earlier and event_id in self._load.at_most_once:
            self.findings.add("run again against its policy", "; ".join(map(_named, rows)))
        if last and last[0]["status"] == "interrupted" and event_id not in self._load.at_most_once:
            self.findings.add("not run again", _named(last[0]))


def _named(row: Row) -> str:
    return (
        f"{row['execution_id']} of {row['event_id']} at {row['scheduled_time']}: {row['status']}"
        f" ({row['reason']}, {row['trigger']})"
    )
