"""What a piece of work may leave behind: descriptors, threads, child processes, tasks."""

from __future__ import annotations

import gc
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import trio

__all__ = ["Held", "leaves_nothing"]

DESCRIPTORS = Path("/proc/self/fd")

SETTLE = 2.0
"""Seconds that a thread or a process has to be gone once it was told to end."""

SHARED = ("Trio thread", "alicia-asyncio")
"""Names of threads that are kept for whoever needs one next; they belong to nobody."""


@dataclass(frozen=True)
class Held:
    """What this process holds at a moment."""

    descriptors: dict[int, str]
    threads: dict[int, str]
    children: frozenset[int]
    tasks: int

    @classmethod
    def now(cls) -> Held:
        """Look. Must be called within trio."""
        gc.collect()
        return cls(
            _descriptors(),
            {
                thread.ident: thread.name
                for thread in threading.enumerate()
                if thread.ident is not None and not thread.name.startswith(SHARED)
            },
            _children(),
            trio.lowlevel.current_statistics().tasks_living,
        )

    def beyond(self, before: Held) -> list[str]:
        """What is held now and was not before, in words."""
        found = []
        more = len(self.descriptors) - len(before.descriptors)
        if more > 0:
            new = [
                link
                for number, link in self.descriptors.items()
                if before.descriptors.get(number) != link
            ]
            found.append(f"{more} open descriptor(s), among {', '.join(new)}: close them")
        threads = [name for ident, name in self.threads.items() if ident not in before.threads]
        if threads:
            found.append(f"the thread(s) {', '.join(threads)}: end and join them")
        if children := self.children - before.children:
            found.append(f"{len(children)} child process(es): end them and wait for them")
        if self.tasks > before.tasks:
            found.append(
                f"{self.tasks - before.tasks} task(s): start them in a nursery that you close"
            )
        return found


async def leaves_nothing(before: Held, after_what: str, *, spare: int = 0) -> None:
    """Fail when more is held than before, once it had time to go.

    Args:
        after_what: what was done, for the message.
        spare: so many descriptors more are no leak.
    """
    found = _beyond(before, spare)
    for _ in range(20):
        if not found:
            return
        await trio.sleep(SETTLE / 20)
        found = _beyond(before, spare)
    assert not found, f"{after_what} leaves behind: {'; '.join(found)}"


def _beyond(before: Held, spare: int) -> list[str]:
    now = Held.now()
    if len(now.descriptors) - len(before.descriptors) <= spare:
        before = Held(now.descriptors, before.threads, before.children, before.tasks)
    return now.beyond(before)


def _descriptors() -> dict[int, str]:
    found: dict[int, str] = {}
    if not DESCRIPTORS.is_dir():
        return found  # not Linux: nothing is known
    for entry in DESCRIPTORS.iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)  # noqa: PTH115 - not always a path
        except OSError:
            continue  # the one that listed them
    return found


def _children() -> frozenset[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, task.read_text().split()))
        except OSError:
            continue
    return frozenset(found)
