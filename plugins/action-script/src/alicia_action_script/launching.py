"""The host's side of the launcher: it runs while it is needed, and each run has a socket to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import trio

from alicia_scheduler.api import Retryable

__all__ = ["Answer", "Launched", "Launcher", "OutputPipe", "launcher_running", "memory_file"]

PROGRAM = str(Path(__file__).with_name("launcher.py"))

CLOSE_WITHIN = 3.0
"""Seconds that the launcher has to end what runs and itself."""

ANSWER_LIMIT = 64 * 1024
"""Bytes that the launcher's messages about one run have at the most."""


@dataclass(frozen=True)
class Answer:
    """How a run ended.

    Attributes:
        failed: why the program could not be started: ``stage``, ``errno``, ``detail``; or None.
        exit_code: as :attr:`subprocess.Popen.returncode`: negative for a signal. None when the
            program itself could not be killed.
        cpu_seconds: what it used, with the children it waited for.
        survivors: something of it could not be killed.
    """

    failed: Mapping[str, Any] | None
    exit_code: int | None
    cpu_seconds: float
    survivors: bool


class Launched:
    """A run under way, seen over its socket."""

    def __init__(self, conn: socket.socket) -> None:
        self._conn = trio.SocketStream(trio.socket.from_stdlib_socket(conn))
        self._received = b""

    async def answer(self) -> Answer | None:
        """Wait for the end of the run; None when the launcher was lost. After a cancellation it
        may be awaited again."""
        while len(self._received) < ANSWER_LIMIT:
            try:
                data = await self._conn.receive_some(4096)
            except trio.BrokenResourceError:
                data = b""
            if not data:
                break
            self._received += data
        said: dict[str, Any] = {}
        for line in self._received.splitlines():
            said |= json.loads(line)
        ended, failed = said.get("ended"), said.get("failed")
        if ended is not None:
            return Answer(failed, ended["exit_code"], ended["cpu_seconds"], ended["survivors"])
        return None if failed is None else Answer(failed, None, 0.0, survivors=False)

    async def stop(self) -> None:
        """Have the run ended. Only says so: the answer tells when it is done."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self._conn.send_eof()

    async def aclose(self) -> None:
        """Let go of the run; what still runs of it is ended."""
        await self._conn.aclose()


class Launcher:
    """The launcher process; started when it is first needed, and again when it was lost."""

    def __init__(self) -> None:
        self._process: trio.Process | None = None
        self._control: trio.SocketStream | None = None
        self._starting = trio.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process is not None else None

    async def launch(
        self, spec: Mapping[str, Any], standard: Sequence[int], *, mark: str, grace: float
    ) -> Launched:
        """Start a program.

        Args:
            spec: see :func:`alicia_action_script.launcher.become`.
            standard: descriptors for its standard input, output and error, which stay the
                caller's.
            mark: ``NAME=value`` from the environment in ``spec`` that no other run has.
            grace: seconds between SIGTERM and SIGKILL when the run is ended.

        Raises:
            Retryable: there is no launcher.
        """
        ours, theirs = socket.socketpair()
        with theirs, memory_file(json.dumps(spec).encode()) as file:
            ours.sendall(json.dumps({"mark": mark, "grace": grace}).encode() + b"\n")
            launched = Launched(ours)
            try:
                await self._send([theirs.fileno(), file.fileno(), *standard])
            except BaseException:
                with trio.CancelScope(shield=True):
                    await launched.aclose()
                raise
        return launched

    async def _send(self, descriptors: Sequence[int]) -> None:
        for attempt in (1, 2):
            control = await self._running()
            try:
                await control.socket.sendmsg(
                    [b"r"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, _packed(descriptors))]
                )
            except (BrokenPipeError, ConnectionError, trio.ClosedResourceError) as error:
                if self._control is control:  # else another run has seen to it
                    await self.aclose()
                if attempt == 2:
                    raise Retryable(
                        f"the launcher of programs cannot be reached: {error}",
                        error_class="launcher_lost",
                    ) from error
            else:
                return

    async def _running(self) -> trio.SocketStream:
        async with self._starting:
            if self._process is not None and self._process.poll() is not None:
                await self.aclose()
            if self._control is None:
                await self._start()
            assert self._control is not None  # noqa: S101 - _start saw to it
            return self._control

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            control = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
            try:
                self._process = await trio.lowlevel.open_process(
                    # -I and -S: nothing but the standard library, whatever the environment says.
                    [sys.executable, "-I", "-S", PROGRAM, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    cwd="/",
                )
            except BaseException as error:
                with trio.CancelScope(shield=True):
                    await control.aclose()
                if not isinstance(error, OSError):
                    raise
                raise Retryable(
                    f"the launcher of programs does not start: {error}",
                    error_class="launcher_lost",
                ) from error
            self._control = control

    def wake(self) -> None:
        """Let the launcher go on, should a program have stopped it (SIGSTOP)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    async def aclose(self) -> None:
        """End the launcher, and with it all that runs. Bounded, and not to be cancelled."""
        process, self._process = self._process, None
        control, self._control = self._control, None
        with trio.CancelScope(shield=True):
            if control is not None:
                await control.aclose()
            if process is not None:
                with trio.move_on_after(CLOSE_WITHIN):
                    await process.wait()
                    return
                process.kill()
                await process.wait()


@asynccontextmanager
async def launcher_running() -> AsyncIterator[Launcher]:
    """A launcher that is ended with the block."""
    launcher = Launcher()
    try:
        yield launcher
    finally:
        await launcher.aclose()


def _packed(descriptors: Sequence[int]) -> bytes:
    return b"".join(fd.to_bytes(4, sys.byteorder) for fd in descriptors)


class OutputPipe:
    """A pipe for a program's output; both ends are closed with the block.

    Attributes:
        stream: the reading end.
        end: the writing end, which no program but the one it is given to gets.
    """

    def __init__(self) -> None:
        reading, self.end = os.pipe()
        self.stream = trio.lowlevel.FdStream(reading)
        self._end_open = True

    def close_end(self) -> None:
        """Close the writing end, once the program has it."""
        if self._end_open:
            self._end_open = False
            os.close(self.end)

    async def __aenter__(self) -> OutputPipe:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close_end()
        await self.stream.aclose()


def memory_file(data: bytes) -> IO[bytes]:
    """A file that holds ``data``, to be read from its beginning. It touches no disk where the
    system can do that; and unlike a pipe it holds any size, and nobody need stay to write."""
    file: IO[bytes]
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("alicia-script"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    file.write(data)
    file.seek(0)
    return file
