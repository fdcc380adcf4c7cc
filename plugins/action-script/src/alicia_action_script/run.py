"""The action at work: one run of a program, from its start until nothing of it is left."""

from __future__ import annotations

import math
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import msgspec
import trio

from alicia_action_script.captured import Captured, Lines, kept_texts, without_first_word
from alicia_action_script.config import ScriptConfig, ScriptSettings, check_script, stdin_bytes
from alicia_action_script.diagnosis import start_failure
from alicia_action_script.environment import MARK, environment, kept_names
from alicia_action_script.launching import (
    Answer,
    Launched,
    Launcher,
    OutputPipe,
    launcher_running,
    memory_file,
)
from alicia_action_script.leftovers import end_marked
from alicia_scheduler.api import (
    ActionContext,
    ConfigError,
    EventExecution,
    Permanent,
    Retryable,
)

__all__ = ["ScriptAction", "open_script"]

DRAIN = 0.3
"""Seconds that are left to read the output once everything of a run has ended. More could only
come from what escaped and cannot be told from other programs."""

KILL_WITHIN = 4.0
"""Seconds beyond the grace within which a launcher that is well answers."""

KILL_LEFTOVERS = 2.0
"""Seconds that ending what a lost launcher left behind may take."""

ERROR_TAIL = 1500
"""Bytes from the end of the output that a failure's message tells."""


@asynccontextmanager
async def open_script(context: ActionContext) -> AsyncIterator[ScriptAction]:
    """The action, with the launcher of its programs; whatever runs is ended with it."""
    async with launcher_running() as launcher:
        yield ScriptAction(context, launcher)


class ScriptAction:
    """Runs the program of an event."""

    def __init__(self, context: ActionContext, launcher: Launcher) -> None:
        self._context = context
        self._launcher = launcher

    async def run(self, config: ScriptConfig, execution: EventExecution) -> dict[str, Any]:
        """Run the program; return its output once nothing of it is left.

        When cancelled, the program and all that it started get SIGTERM and, after ``grace``
        seconds, SIGKILL; only then does the cancellation go on.

        Raises:
            Retryable: it ended with another exit code than those that mean success, or by a
                signal; or it could not be started for now.
            Permanent: it can never be started, or its output is not the JSON it should be.
        """
        try:
            check_script(config, self._context.settings or ScriptSettings())
        except ConfigError as error:
            raise Permanent(str(error), error_class="not_allowed") from error
        out, err = Captured(config.output_limit), Captured(config.output_limit)
        tell = self._context.progress(execution) if config.live_output else None
        try:
            answer = await self._carried_out(config, execution, out, err, tell)
        except OSError as error:  # no descriptors, no memory
            raise Retryable(
                f"{config.argv[0]} could not be started: {error}", error_class="start"
            ) from error
        if answer is None:
            raise Retryable(
                "the launcher of programs was lost, and the program with it",
                error_class="launcher_lost",
            )
        if answer.survivors:
            self._context.logger.error(
                "something that event %s started cannot be killed", execution.event_id
            )
        if answer.failed is not None:
            raise await self._context.run_sync(self._start_failure, config, answer.failed)
        return _result(config, answer, out, err)

    async def _carried_out(
        self,
        config: ScriptConfig,
        execution: EventExecution,
        out: Captured,
        err: Captured,
        tell: Callable[[str], None] | None,
    ) -> Answer | None:
        """Launch the program, take its output in, and wait for its end; None when the launcher
        was lost."""
        async with OutputPipe() as out_pipe, OutputPipe() as err_pipe:
            mark = f"{MARK}={secrets.token_hex(16)}"
            launched = await self._launch(config, execution, mark, out_pipe.end, err_pipe.end)
            out_pipe.close_end()
            err_pipe.close_end()
            streams = ((out_pipe.stream, out), (err_pipe.stream, err))
            reading = trio.CancelScope(shield=True)
            async with trio.open_nursery() as nursery:
                done = trio.Event()
                nursery.start_soon(_read_both, streams, tell, reading, done)
                try:
                    answer = await self._answer(launched, config.grace, mark)
                    with trio.move_on_after(DRAIN):
                        await done.wait()
                finally:
                    reading.cancel()
                    with trio.CancelScope(shield=True):
                        await launched.aclose()
        return answer

    async def _launch(
        self,
        config: ScriptConfig,
        execution: EventExecution,
        mark: str,
        out_end: int,
        err_end: int,
    ) -> Launched:
        limits = msgspec.structs.asdict(config.limits)
        nice = limits.pop("nice")
        spec = {
            "argv": config.argv,
            "env": environment(config, execution, os.environ, mark.partition("=")[2]),
            "kept": kept_names(config),
            "cwd": config.cwd,
            "user": config.user,
            "limits": {name: value for name, value in limits.items() if value is not None},
            "nice": nice,
            "no_new_privs": config.no_new_privs,
        }
        with _stdin_file(config.stdin) as stdin:
            return await self._launcher.launch(
                spec,
                (stdin.fileno(), out_end, err_end),
                mark=mark,
                grace=config.grace,
            )

    async def _answer(self, launched: Launched, grace: float, mark: str) -> Answer | None:
        """The end of the run; a cancellation has it stopped, and goes on when it is. None when
        the launcher was lost, once what the run left behind is ended."""
        answer: Answer | None = None
        try:
            answer = await launched.answer()
        except trio.Cancelled:
            with trio.CancelScope(shield=True), trio.move_on_after(grace + KILL_WITHIN):
                self._launcher.wake()
                await launched.stop()
                answer = await launched.answer()
            raise
        finally:
            if answer is None:
                with trio.CancelScope(shield=True):
                    await self._context.run_sync(end_marked, mark, KILL_LEFTOVERS)
        return answer

    def _start_failure(self, config: ScriptConfig, failed: dict[str, Any]) -> Retryable | Permanent:
        return start_failure(
            failed["stage"],
            failed["errno"],
            failed.get("detail"),
            program=config.argv[0],
            cwd=config.cwd,
            user=config.user,
        )


async def _read_both(
    streams: tuple[tuple[trio.lowlevel.FdStream, Captured], ...],
    tell: Callable[[str], None] | None,
    scope: trio.CancelScope,
    done: trio.Event,
) -> None:
    """Read until both streams end. The scope is shielded: a program that is being ended must not
    hang on a full pipe."""
    with scope:
        async with trio.open_nursery() as nursery:
            for stream, captured in streams:
                nursery.start_soon(_read, stream, captured, Lines(tell) if tell else None)
    done.set()


async def _read(stream: trio.lowlevel.FdStream, captured: Captured, lines: Lines | None) -> None:
    try:
        async for data in stream:
            captured.feed(data)
            if lines is not None:
                lines.feed(data)
    finally:
        if lines is not None:
            lines.close()


def _stdin_file(value: Any) -> IO[bytes]:
    data = stdin_bytes(value)
    return memory_file(data) if data else Path(os.devnull).open("rb")


def _result(config: ScriptConfig, answer: Answer, out: Captured, err: Captured) -> dict[str, Any]:
    """What the history keeps of a success.

    Raises:
        Retryable: it was none.
        Permanent: it was one, but its output is not what it should be.
    """
    code = answer.exit_code
    if code is None:
        raise Retryable("the program cannot be killed", error_class="unkillable")
    if code < 0:
        name = _signal_name(-code)
        raise Retryable(
            f"ended by signal {-code} ({name}){_last_words(out, err)}",
            error_class=f"signal_{-code}",
        )
    if code not in config.success_codes:
        raise Retryable(
            f"ended with exit code {code}{_last_words(out, err)}", error_class=f"exit_{code}"
        )
    result: dict[str, Any] = {
        "action_type": "script_execution",
        "status": "success",
        "exit_code": code,
        "signal": None,
        "cpu_seconds": answer.cpu_seconds,
        "stdout_bytes": out.total,
        "stderr_bytes": err.total,
    }
    if config.parse_json:
        result["output"] = _parsed(out, config.output_limit)
        out = Captured(0)
    result["stdout"], result["stderr"], result["left_out"] = kept_texts(
        out, err, config.output_limit
    )
    return result


def _parsed(out: Captured, limit: int) -> Any:
    """The standard output as JSON.

    Raises:
        Permanent: it is none, or too long.
    """
    whole = out.whole
    if whole is None:
        raise Permanent(
            f"the standard output has {out.total} bytes, more than output_limit = {limit}",
            error_class="bad_json",
        )
    try:
        value = msgspec.json.decode(whole)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        shown = whole[:200].decode(errors="replace")
        raise Permanent(
            f"the standard output is no JSON: {error}; it begins {shown!r}", error_class="bad_json"
        ) from error
    if isinstance(value, float) and not math.isfinite(value):
        raise Permanent("the standard output is too large a number", error_class="bad_json")
    return value


def _last_words(out: Captured, err: Captured) -> str:
    """The end of what it said: of its standard error, else of its standard output."""
    for name, captured in (("stderr", err), ("stdout", out)):
        text = captured.text(2 * ERROR_TAIL)[0].strip()
        if text:
            if len(text) > ERROR_TAIL:
                end = without_first_word(bytearray(text[-ERROR_TAIL:].encode()))
                text = f"…{end.decode().lstrip()}"
            return f"; {name}: {text}"
    return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - signal.SIGRTMIN}"
