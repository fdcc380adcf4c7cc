"""The keyboard of a program that has the whole terminal: single keys, and Ctrl-Z."""

from __future__ import annotations

import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import trio

__all__ = ["Keyboard"]


class Keyboard:
    """Standard input, when it is a terminal; nobody types anything when it is not."""

    def __init__(self) -> None:
        # Python has no sys.stdin where it was closed.
        typed = sys.stdin is not None and sys.stdin.isatty()
        self._handle = sys.stdin.fileno() if typed else None

    @contextmanager
    def by_keys(self) -> Iterator[None]:
        """While the block runs, keys come one by one and are not shown; Ctrl-C and Ctrl-Z are what
        they always are."""
        handle = self._handle
        if handle is None:
            yield
            return
        before = termios.tcgetattr(handle)
        try:
            tty.setcbreak(handle, termios.TCSANOW)
            yield
        finally:
            with suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(handle, termios.TCSANOW, before)

    async def until(self, keys: str) -> None:
        """Wait until one of these keys is pressed."""
        while self._handle is not None:
            await trio.lowlevel.wait_readable(self._handle)
            typed = os.read(self._handle, 1024)
            if not typed:
                break
            if not set(typed).isdisjoint(keys.encode()):
                return
        await trio.sleep_forever()

    async def stop_on_demand(
        self, leave: Callable[[], object], enter: Callable[[], object]
    ) -> None:
        """At each Ctrl-Z leave the terminal as it was, stop, and draw again when the shell lets us
        go on; until cancelled."""
        with trio.open_signal_receiver(signal.SIGTSTP) as received:
            async for _ in received:
                leave()
                # The usual way to stop, which the system leaves out where no shell could let us go
                # on.
                ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
                signal.raise_signal(signal.SIGTSTP)
                signal.signal(signal.SIGTSTP, ours)
                enter()
