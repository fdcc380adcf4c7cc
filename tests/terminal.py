"""A program in a terminal of its own: a pseudo-terminal, with everything recorded that it draws."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

PATIENCE = 60.0
"""Seconds that a slow machine may take for anything."""

ENTERS, LEAVES = "\x1b[?1049h", "\x1b[?1049l"
HIDES, SHOWS = "\x1b[?25l", "\x1b[?25h"
ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")


class Terminal:
    """Runs a command as the only thing in a terminal.

    Args:
        mute: the terminal itself neither shows what is typed nor throws away what is under way
            when a key interrupts. Otherwise both happen in the middle of a line just as well.

    Attributes:
        recorded: everything that was drawn so far.
        process: the command.
    """

    def __init__(self, command, *, columns=100, rows=30, env=None, cwd=None, mute=False):
        self.recorded = ""
        self._ours, theirs = pty.openpty()
        self._theirs = theirs
        self.resize(columns, rows)
        if mute:
            self._mute()
        self.before = termios.tcgetattr(theirs)
        environment = {**os.environ, "TERM": "xterm-256color", **(env or {})}
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            if not env or name not in env:
                environment.pop(name, None)
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment,
            cwd=cwd,
            start_new_session=True,
            # There are no threads here. It makes Ctrl-C a signal for the command.
            preexec_fn=lambda: fcntl.ioctl(theirs, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    @property
    def text(self):
        """What was drawn, without the commands to the terminal."""
        return self.plain(self.recorded)

    @property
    def picture(self):
        """The last picture of a program that draws one over the other, once it is whole."""
        pictures = self.recorded.split("\x1b[H")
        return self.plain(pictures[-2]) if len(pictures) > 1 else ""

    @property
    def settings(self):
        """How the terminal is set now."""
        return termios.tcgetattr(self._theirs)

    def resize(self, columns, rows):
        """As when somebody pulls at the window: the kernel tells the program."""
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _mute(self):
        settings = termios.tcgetattr(self._theirs)
        settings[3] = settings[3] & ~termios.ECHO | termios.NOFLSH
        termios.tcsetattr(self._theirs, termios.TCSANOW, settings)

    def type(self, text):
        os.write(self._ours, text.encode())

    @staticmethod
    def plain(recorded):
        """Without the commands to the terminal."""
        return ESCAPE.sub("", recorded)

    def interrupt(self):
        """Press Ctrl-C."""
        self.type("\x03")

    def until(self, wanted, what=None):
        """Wait until this was drawn, or a condition about this terminal holds."""
        met = wanted if callable(wanted) else lambda terminal: wanted in terminal.text
        deadline = time.monotonic() + PATIENCE
        while not met(self):
            assert time.monotonic() < deadline, f"no {what or wanted!r} in {self.text[-2000:]!r}"
            self._read()

    def end(self):
        """Wait for the command to end; its exit code."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it does not end: {self.text[-2000:]!r}"
            self._read()
        while self._read(0):
            pass
        return self.process.returncode

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def _read(self, wait=0.1):
        ready, _, _ = select.select([self._ours], [], [], wait)
        if not ready:
            return False
        data = os.read(self._ours, 65536)
        self.recorded += data.decode(errors="replace")
        return True
