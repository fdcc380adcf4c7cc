"""The sink writes batches to a stream, and a stream that stands still stops nobody else."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from alicia_scheduler.api import Notification, SinkType
from alicia_scheduler.testing.context import TestContext
from alicia_sink_log import LogSinkConfig, alicia_sinks
from alicia_sink_log.sink import LogSink, open_sink

CONTEXT = TestContext("sink-log")


def notification(number: int, event_type: str = "error", message: str = "broken") -> Notification:
    return Notification(
        event_type=event_type,
        event_data={"message": message},
        timestamp=datetime(2026, 11, 23, 22, 15, tzinfo=UTC),
        source="event_scheduler",
        sequence=number,
    )


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(descriptor)


def read_all(descriptor: int) -> bytes:
    chunks = []
    while chunk := os.read(descriptor, 65536):
        chunks.append(chunk)
    return b"".join(chunks)


def test_the_plugin_offers_the_sink_type_log() -> None:
    (offered,) = alicia_sinks()
    assert isinstance(offered, SinkType)
    assert (offered.name, offered.config, offered.open) == ("log", LogSinkConfig, open_sink)


@pytest.mark.parametrize(("stream", "lines"), [("stdout", (2, 0)), ("stderr", (0, 2))])
async def test_lines_go_to_the_chosen_stream(
    stream: Any, lines: tuple[int, int], capfd: Any
) -> None:
    async with open_sink(LogSinkConfig(stream=stream), CONTEXT) as sink:
        await sink.write([notification(1), notification(2)])
    captured = capfd.readouterr()
    assert (captured.out.count("! error"), captured.err.count("! error")) == lines


async def test_json_lines_come_in_order(capfd: Any) -> None:
    async with open_sink(LogSinkConfig(format="json"), CONTEXT) as sink:
        await sink.write([notification(1), notification(2)])
        await sink.write([notification(3)])
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == [1, 2, 3]


@pytest.mark.parametrize(
    ("only", "written"),
    [
        ((), [1, 2, 3]),
        (("error",), [1]),
        (("execution_*",), [2, 3]),
        (("execution_started", "error"), [1, 2]),
        (("nothing",), []),
    ],
)
async def test_only_the_wanted_types_are_written(
    only: tuple[str, ...], written: list[int], capfd: Any
) -> None:
    async with open_sink(LogSinkConfig(format="json", only=only), CONTEXT) as sink:
        types = ["error", "execution_started", "execution_failed"]
        await sink.write([notification(number, kind) for number, kind in enumerate(types, 1)])
    lines = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == written


@pytest.mark.parametrize(
    "raw", [{"only": ["Error!"]}, {"format": "xml"}, {"stream": "file"}, {"x": 1}]
)
def test_a_configuration_that_means_nothing_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, LogSinkConfig)


async def test_a_reader_that_stands_still_holds_up_only_the_sink(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = LogSink(LogSinkConfig(), CONTEXT, descriptor=writing)
    batch = [notification(number, message="x" * 150) for number in range(1000)]
    done = trio.Event()

    async def write() -> None:
        await sink.write(batch)
        done.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        # More than a pipe holds was written, so this can only be the free loop.
        await trio.testing.wait_all_tasks_blocked()
        assert not done.is_set()
        collected = b""
        while collected.count(b"\n") < len(batch):
            collected += await trio.to_thread.run_sync(os.read, reading, 65536)
    assert done.is_set()


async def test_a_non_blocking_stream_gets_everything(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    sink = LogSink(LogSinkConfig(format="json"), CONTEXT, descriptor=writing)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(read_all(reading)))
    reader.start()
    await sink.write([notification(number, message="x" * 150) for number in range(1000)])
    os.close(writing)
    await trio.to_thread.run_sync(reader.join)
    lines = received[0].splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(1000))


async def test_a_reader_that_has_gone_is_an_error_for_the_host(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(reading)
    sink = LogSink(LogSinkConfig(), CONTEXT, descriptor=writing)
    with pytest.raises(BrokenPipeError):
        await sink.write([notification(1)])


async def test_what_the_streams_encoding_cannot_hold_is_replaced(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = LogSink(LogSinkConfig(), CONTEXT, descriptor=writing, encoding="ascii")
    await sink.write([notification(1, "execution_completed")])
    assert b"? completed" in os.read(reading, 1000)


PROGRAM = """
import trio
from datetime import UTC, datetime
from alicia_scheduler.api import Notification
from alicia_scheduler.testing.context import TestContext
from alicia_sink_log import LogSinkConfig
from alicia_sink_log.sink import open_sink

async def main():
    async with open_sink(LogSinkConfig(), TestContext("sink-log")) as sink:
        await sink.write([Notification(event_type="error", event_data={"message": "broken"},
                          timestamp=datetime(2026, 1, 1, tzinfo=UTC), source="x", sequence=1)])

trio.run(main)
"""


def on_terminal(**environ: str) -> str:
    """What the sink shows on a real terminal."""
    master, terminal = pty.openpty()
    inherited = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    try:
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            stdout=terminal,
            env={**inherited, "PYTHONIOENCODING": "utf-8", **environ},
            check=True,
            timeout=60,
        )
        return os.read(master, 1000).decode()
    finally:
        os.close(terminal)
        os.close(master)


def test_a_terminal_gets_colours() -> None:
    assert "\x1b[31m! error" in on_terminal()


def test_no_color_turns_colours_off() -> None:
    shown = on_terminal(NO_COLOR="1")
    assert "! error" in shown
    assert "\x1b" not in shown
