"""The power is cut at many instants of one recorded run, and each time somebody looks."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import trio
from tests.crash.load import Load
from tests.disk.library import DiskLibrary, Record
from tests.powercut.images import Disk, Image, Survivors
from tests.witness.process import Host, kept_in

from alicia_scheduler.store import STORE_FILE, SqliteStore

__all__ = ["Recorded", "Verdicts", "boot", "cut_often", "recorded_run"]

SECONDS = 9.0
"""How long the recorded host runs; it is killed once in the middle, so recovery is recorded too."""

MAKING = 60
"""The first things that are done to the disk; the store is made by these."""

FINAL = frozenset(("completed", "failed", "cancelled", "skipped", "missed", "interrupted"))

Line = dict[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A run of the real process: what it did to its disk, and what was seen of it outside."""

    load: Load
    records: list[Record]
    effects: list[Line]
    heard: list[Line]


@dataclass
class Verdicts:
    """What was found in the images: for each broken promise, a few examples."""

    images: Counter[str] = field(default_factory=Counter)
    promises: int = 0
    broken: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        self.broken.setdefault(kind, []).append(example)

    def __str__(self) -> str:
        images = ", ".join(f"{count} {kind}" for kind, count in self.images.items())
        broken = "; ".join(
            f"{kind} {len(found)} times, e.g. {found[0]}" for kind, found in self.broken.items()
        )
        return f"images {images}; promises looked for {self.promises}; broken: {broken or 'none'}"


def recorded_run(home: Path, *, defect: str | None = None) -> Recorded:
    """Run a host under load, kill it, run it again and stop it, with its disk recorded."""
    state = home / "state"
    state.mkdir()
    library = DiskLibrary(home / "disk", state)
    load = Load.drawn(Random(1), time.time(), SECONDS, one_shots=40)
    host = Host(
        home, load.toml, state=state, defect=defect, environ=library.environ(recording=True)
    )
    try:
        host.start()
        host.wait_until_it_runs()
        time.sleep(SECONDS / 2)
        host.kill()
        host.start()
        host.wait_until_it_runs()
        time.sleep(SECONDS / 2)
        assert host.stop() == 0
    finally:
        host.close()
    return Recorded(load, list(library.records()), host.effects(), host.heard())


def cut_often(recorded: Recorded, folder: Path, *, instants: int, seed: int) -> Verdicts:
    """Cut at so many instants, half of them right behind an effect and a quarter while the store is
    made; look at three images of each."""
    rng = Random(seed)
    verdicts = Verdicts()
    for place, (image, survivors, instant) in enumerate(_cuts(recorded, instants, rng)):
        directory = folder / f"image-{place}"
        lay_down(image, directory)
        found = trio.run(_open, directory / STORE_FILE)
        verdicts.images[survivors.value] += 1
        if found:
            verdicts.add("opened with an incident", f"{directory.name}: {found}")
        _look(recorded, directory / STORE_FILE, instant, verdicts)
    return verdicts


def lay_down(image: Image, directory: Path) -> None:
    """Make an image a directory."""
    directory.mkdir()
    for name, content in image.items():
        if not name.endswith("-shm"):  # SQLite makes the index of its log anew after a cut
            (directory / name).write_bytes(content)


def _cuts(recorded: Recorded, instants: int, rng: Random) -> Iterator[tuple[Image, Survivors, int]]:
    records = recorded.records
    stamps = [record.stamp for record in records]
    effects = [bisect.bisect(stamps, effect["stamp"]) - 1 for effect in recorded.effects]
    chosen = {rng.choice(effects) for _ in range(instants // 2)}
    chosen |= {rng.randrange(MAKING) for _ in range(instants // 4)}
    while len(chosen) < instants:
        chosen.add(rng.randrange(len(records) - 1))
    disk = Disk()
    for place, record in enumerate(records):
        disk.play(record)
        if place in chosen and place + 1 < len(records):
            for survivors in Survivors:
                # The disk stays like this until the next thing is done to it.
                yield disk.image(survivors, rng), survivors, stamps[place + 1]


def boot(recorded: Recorded, home: Path, *, seed: int) -> tuple[int, list[str]]:
    """Start the real process on a torn image, and stop it once it has settled what it found.

    Returns:
        its exit code, and what it left running.
    """
    home.mkdir()
    rng = Random(seed)
    ((image, _, _),) = [cut for cut in _cuts(recorded, 1, rng) if cut[1] is Survivors.TORN]
    lay_down(image, home / "state")
    host = Host(home, recorded.load.toml)
    try:
        host.start()
        host.wait_until_it_runs()
        code = host.stop()
    finally:
        host.close()
    executions = host.kept().executions
    return code, [row["execution_id"] for row in executions if row["status"] == "running"]


async def _open(path: Path) -> list[str]:
    """Open as a host does, and give what it has to say about that."""
    async with SqliteStore.open(path) as store:
        await store.unfinished()
        return [*store.incidents, *map(str, await store.damaged())]


def _look(recorded: Recorded, path: Path, instant: int, verdicts: Verdicts) -> None:
    """Everything that was seen outside before the cut must be there."""
    kept = kept_in(f"file:{path}")
    rows = {row["execution_id"]: row for row in kept.executions}
    for problem in kept.problems:
        verdicts.add("unclean", f"{path.parent.name}: {problem}")
    for effect in recorded.effects:
        if effect["stamp"] < instant:
            verdicts.promises += 1
            row = rows.get(effect["execution_id"])
            if row is None or row["start_time"] is None:
                verdicts.add("effect without a row", f"{path.parent.name}: {effect}")
    for line in recorded.heard:
        if line["stamp"] < instant:
            verdicts.promises += 1
            if not _is_kept(line, rows, kept.event_ids):
                verdicts.add("told and forgotten", f"{path.parent.name}: {line}")


def _is_kept(line: Line, rows: dict[str, Line], event_ids: frozenset[str]) -> bool:
    if line["event_type"] == "event_created":
        return line["event_id"] in event_ids
    if "execution_id" not in line:
        return True
    row = rows.get(line["execution_id"])
    return row is not None and (line["status"] not in FINAL or row["status"] == line["status"])
