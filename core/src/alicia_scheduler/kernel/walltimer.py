"""Waiting for an instant of the wall clock, and being told when somebody sets that clock.

Linux offers both in one descriptor: a timer on ``CLOCK_REALTIME`` with an absolute expiry, which
the kernel also fires when the machine wakes up past it, and cancels when the clock is set
(timerfd_create(2), ``TFD_TIMER_CANCEL_ON_SET``). Trio waits on it like on a socket, so nothing
ever polls.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
import weakref
from datetime import datetime

import trio

from alicia_scheduler.api.model import to_epoch

__all__ = ["WallTimer", "clock_is_synchronised"]

CLOCK_REALTIME = 0
TFD_TIMER_ABSTIME = 1
TFD_TIMER_CANCEL_ON_SET = 2
FAR = 2**31 - 1 if ctypes.sizeof(ctypes.c_long) == 4 else 2**33
"""Expiry in epoch seconds of a timer that only watches for the clock being set; on a 32-bit
system as far as its time goes. A wait that ends early is looked at again anyway."""


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


TIME_ERROR = 5
"""What adjtimex(2) returns while the clock is not synchronised."""


def clock_is_synchronised() -> bool:
    """Whether the system says that NTP or the like keeps its clock; True where it cannot say."""
    if not sys.platform.startswith("linux"):
        return True
    # struct timex, larger than on any architecture; all zero asks and sets nothing.
    answer: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    return answer != TIME_ERROR


class WallTimer:
    """One timer descriptor.

    Raises:
        OSError: the system has no such timers.
    """

    def __init__(self) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError(errno.ENOSYS, "timer descriptors are Linux's")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle: int = self._libc.timerfd_create(CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._handle < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._closer = weakref.finalize(self, os.close, self._handle)

    def close(self) -> None:
        """Give the descriptor back; otherwise that happens with the object's end."""
        self._closer()

    def agrees_with(self, now: datetime) -> bool:
        """Whether the timer counts by the same clock as ``now``, which a faked clock does not."""
        ahead = 1000.0
        self._arm(to_epoch(now) + ahead)
        left = _Itimerspec()
        if self._libc.timerfd_gettime(self._handle, ctypes.byref(left)) < 0:
            return False
        return bool(abs(left.value.seconds - ahead) < 10)

    async def wait_until(self, instant: datetime | None) -> bool:
        """Return when the wall clock has reached ``instant`` or has been set.

        Returns:
            True when the clock was set (stepped), False when the instant has come.
        """
        if self._arm(min(to_epoch(instant), float(FAR)) if instant is not None else float(FAR)):
            await trio.lowlevel.checkpoint()
            return True
        await trio.lowlevel.wait_readable(self._handle)
        try:
            os.read(self._handle, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ECANCELED:
                return True
            raise
        return False

    def _arm(self, epoch: float) -> bool:
        """Set the expiry; True when the clock was set since the timer was armed last, which is
        told once and by whichever comes first, this or the wait."""
        # A zero expiry would disarm the timer; an instant long past fires at once all the same.
        seconds = max(1, int(epoch // 1))
        nanoseconds = int(epoch % 1 * 1_000_000_000) if epoch > 0 else 0
        wanted = _Itimerspec(_Timespec(0, 0), _Timespec(seconds, nanoseconds))
        flags = TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET
        if self._libc.timerfd_settime(self._handle, flags, ctypes.byref(wanted), None) < 0:
            number = ctypes.get_errno()
            if number != errno.ECANCELED:
                raise OSError(number, "timerfd_settime failed")
            return True
        return False
