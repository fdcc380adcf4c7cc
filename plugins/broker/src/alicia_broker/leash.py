"""Run as a script: becomes another program that dies with its parent, even by SIGKILL.

``leash.py PARENT PROGRAM ARGUMENT…`` asks Linux for a signal at the parent's death (prctl(2),
PR_SET_PDEATHSIG, kept across execve), and turns into PROGRAM. Elsewhere it only does the latter.
A hook between fork and exec would do the same, but is not safe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Put the leash on and become the program."""
    parent, program, *arguments = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):  # it died before the leash was on
            sys.exit(1)
    os.execv(program, [program, *arguments])  # noqa: S606  # no shell is what is wanted


if __name__ == "__main__":
    main()
