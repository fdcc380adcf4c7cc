"""When stopping takes too long: the process ends all the same, and says what was still open.

A plugin that shields itself from cancellation, or blocks the loop, can hold up an orderly stop for
ever. Everything that counts is in the store by then, so a plain thread may end the process.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections.abc import Callable, Sequence

__all__ = ["LastResort"]

EXIT_CODE = 1

HURRY = b"!"


class LastResort:
    """A thread that ends the process unless :meth:`cancel` comes first.

    Args:
        after: seconds to wait.
        still_open: names what has not ended, for the last words. Called from the thread.
    """

    def __init__(self, after: float, still_open: Callable[[], Sequence[str]]) -> None:
        self._after = after
        self._still_open = still_open
        self._ours, self._theirs = socket.socketpair()

    def start(self, after: float | None = None) -> None:
        """Begin to wait, for ``after`` seconds when that is another number by now."""
        self._after = self._after if after is None else after
        threading.Thread(target=self._wait, name="last resort", daemon=True).start()

    def hurry(self, after: float) -> None:
        """Wait no longer than ``after`` seconds from now."""
        self._after = after
        self._ours.send(HURRY)

    def cancel(self) -> None:
        """The stop came to its end."""
        self._ours.close()

    def _wait(self) -> None:
        with self._theirs:
            # A relative wait on a socket: whatever is done to the clocks cannot end it early.
            while select.select([self._theirs], [], [], self._after)[0]:
                if not self._theirs.recv(1):
                    return
        self._end()

    def _end(self) -> None:
        try:
            names = ", ".join(self._still_open()) or "nothing that is known"
        except Exception as error:  # noqa: BLE001 - nothing may keep the process from ending
            names = f"unknown ({error})"
        print(  # noqa: T201 - logging may be what hangs
            f"alicia: stopping took more than {self._after:g} s; ending the process. "
            f"Still open: {names}",
            file=sys.stderr,
            flush=True,
        )
        os._exit(EXIT_CODE)
