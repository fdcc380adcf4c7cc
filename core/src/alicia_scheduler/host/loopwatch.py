"""Who holds the loop: one task that does not wait keeps every other from running.

An instrument of trio notes which task is being stepped and since when: two attributes and a look at
the clock a step. A thread looks from time to time whether one step has gone on for too long, and
then at the stack, which names the plugin and the line. While nothing runs, the thread sleeps: an
idle host is not woken. Time that the machine gave to others is left out. What a blocking call in C
hides from the thread is measured all the same when the step is over.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio
from trio.abc import Instrument
from trio.lowlevel import Task

from alicia_scheduler.host.blame import plugin_in, plugin_of
from alicia_scheduler.host.record import PluginRecord

__all__ = ["HELD", "Hold", "LoopWatch", "TASKS"]

logger = logging.getLogger(__name__)

HELD = 0.25
"""Seconds of one step beyond which a task counts as holding the loop."""

ENDLESS = 5.0
"""Seconds of one step after which the thread says so, as it may never be over."""

TASKS = 1000
"""Tasks of one plugin beyond which it counts as leaving them behind; then twice as many, …"""


@dataclass(frozen=True)
class Hold:
    """The loop was held.

    Attributes:
        plugin: whose code did; None when it was no plugin's that is known.
        task: the name of the task.
        seconds: how long.
        place: the line of the plugin's code, where it was seen.
    """

    plugin: PluginRecord | None
    task: str
    seconds: float
    place: str | None

    def __str__(self) -> str:
        who = "the host" if self.plugin is None else f"the plugin {self.plugin.name}"
        at = f", at {self.place}" if self.place else ""
        return f"{who} held up everything for {self.seconds:.2f} s (task {self.task!r}{at})"


class LoopWatch(Instrument):
    """Watches the loop of the task that enters :meth:`watching`.

    Args:
        held: told of each hold when it is over, on the loop.
        leaks: told of a plugin and a sentence when it leaves tasks behind, on the loop.
        limit: seconds of a step that are no hold yet.
    """

    def __init__(
        self,
        held: Callable[[Hold], None],
        leaks: Callable[[PluginRecord, str], None] = lambda _plugin, _sentence: None,
        limit: float = HELD,
    ) -> None:
        self._held = held
        self._leaks = leaks
        self._limit = limit
        self._packages: dict[str, PluginRecord] = {}
        self._task: Task | None = None
        self._since = time.perf_counter()
        self._seen: tuple[float, PluginRecord | None, str | None] | None = None
        self._root: Task | None = None
        self._complained = -1.0
        self._tasks: dict[str, int] = {}
        self._thread_id = 0
        self._native_id = 0
        self._starved = 0.0
        self._stopped = False
        self._parked = False
        self._wake = threading.Event()

    def know(self, plugins: Iterable[PluginRecord]) -> None:
        """Recognise the code of these plugins."""
        self._packages = {each.package: each for each in plugins if each.package is not None}

    def tasks_of(self, plugin: PluginRecord) -> int:
        """How many tasks work for a plugin at this moment."""
        return self._tasks.get(plugin.name, 0)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block is open."""
        self._thread_id = threading.get_ident()
        self._native_id = threading.get_native_id()
        self._starved = _starved(self._native_id)
        self._root = trio.lowlevel.current_root_task()
        self._since = time.perf_counter()
        trio.lowlevel.add_instrument(self)
        thread = threading.Thread(target=self._look_on, name="loop watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            trio.lowlevel.remove_instrument(self)
            self._stopped = True
            self._wake.set()

    def returned(self, plugin: PluginRecord) -> None:
        """Code of ``plugin`` ends here, in the midst of a step: what the step has held so far is
        its doing, and what follows is not."""
        now = time.perf_counter()
        if now - self._since > self._limit:
            self._over(now, plugin)
            self._since = now

    # -- on the loop, for every step -----------------------------------------------------

    def before_task_step(self, task: Task) -> None:
        now = time.perf_counter()
        if now - self._since > self._limit and self._task is not None:
            self._over(now)
        self._task = task
        self._since = now

    def before_io_wait(self, timeout: float) -> None:
        now = time.perf_counter()
        if now - self._since > self._limit and self._task is not None:
            self._over(now)
        self._task = None
        self._since = now

    def after_io_wait(self, timeout: float) -> None:
        self._since = time.perf_counter()
        if self._parked:
            self._wake.set()

    def task_spawned(self, task: Task) -> None:
        plugin = plugin_of(task)
        if plugin is None:
            nursery = task.parent_nursery
            if nursery is not None and nursery.parent_task is self._root:
                self._left_behind(task)
            return
        count = self._tasks.get(plugin.name, 0) + 1
        self._tasks[plugin.name] = count
        if count >= TASKS and count & (count - 1) == 0:
            self._leaks(plugin, f"it has {count} tasks and goes on starting more")

    def task_exited(self, task: Task) -> None:
        plugin = plugin_of(task)
        if plugin is not None:
            self._tasks[plugin.name] = self._tasks.get(plugin.name, 0) - 1

    def _left_behind(self, task: Task) -> None:
        """A system task belongs to no nursery that anybody waits for; if it fails, all ends."""
        plugin = plugin_of(self._task)
        if plugin is not None:
            self._leaks(plugin, f"it started the task {task.name} that nobody waits for")

    def _over(self, now: float, plugin: PluginRecord | None = None) -> None:
        began, task = self._since, self._task
        seen, self._seen = self._seen, None
        seconds = now - began - (_starved(self._native_id) - self._starved)
        self._starved = _starved(self._native_id)
        if seconds <= self._limit:
            return
        place = None
        if seen is not None and seen[0] == began:
            plugin, place = seen[1] or plugin, seen[2]
        plugin = plugin or plugin_of(task)
        name = task.name if task is not None else "?"
        self._held(Hold(plugin, name, seconds, place))

    # -- in the thread -------------------------------------------------------------------

    def _look_on(self) -> None:
        last = -1.0
        while not self._stopped:
            since, task = self._since, self._task
            if task is None and since == last:
                self._park()
                continue
            held = time.perf_counter() - since
            if task is not None and held > self._limit:
                if held - (_starved(self._native_id) - self._starved) > self._limit:
                    self._see(since, task)
                if held > ENDLESS:
                    self._complain(since)
            else:
                self._starved = _starved(self._native_id)
            last = since
            self._wake.wait(self._limit)
            self._wake.clear()

    def _park(self) -> None:
        self._wake.clear()
        self._parked = True
        # Between the look at the task and this line a step may have begun, which saw nobody parked.
        if self._task is None and not self._stopped:
            self._wake.wait()
        self._parked = False
        self._wake.clear()

    def _see(self, since: float, task: Task) -> None:
        if self._seen is not None and self._seen[0] == since:
            return
        frame = sys._current_frames().get(self._thread_id)
        found = plugin_in(frame, self._packages)
        plugin, place = found or (plugin_of(task), None)
        if self._since != since:
            return  # it was over while we looked
        self._seen = (since, plugin, place)

    def _complain(self, since: float) -> None:
        """A step that may never end: nobody on the loop can say so."""
        if self._complained == since or self._seen is None or self._seen[0] != since:
            return
        self._complained = since
        _, plugin, place = self._seen
        who = "the host" if plugin is None else f"the plugin {plugin.name}"
        at = f", at {place}" if place else ""
        logger.error("%s has held up everything for %g s by now%s", who, ENDLESS, at)


def _starved(native_id: int) -> float:
    """Seconds that a thread was ready to run while the machine ran something else. That is nobody's
    fault here. 0 where Linux does not say."""
    try:
        with open(f"/proc/self/task/{native_id}/schedstat", "rb") as file:  # noqa: PTH123
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
