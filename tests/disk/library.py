"""The preloaded library: how it is made, told what to do, and read."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = ["DiskLibrary", "Operation", "Record"]

SOURCE = Path(__file__).parent / "between.c"

HEADER = struct.Struct("=5Q")


class Operation(IntEnum):
    """What was done to a disk; the numbers of ``between.c``."""

    CREATE = 1
    WRITE = 2
    TRUNCATE = 3
    SYNC = 4
    SYNC_DIRECTORY = 5
    UNLINK = 6
    RENAME = 7


class Record(NamedTuple):
    """One thing done to the disk.

    Attributes:
        stamp: the monotonic clock (nanoseconds) before it was done.
        inode: the file; 0 where ``data`` names it.
        offset: where was written, or the new length.
        data: what was written; a name; or two names with a zero byte in between.
    """

    operation: Operation
    stamp: int
    inode: int
    offset: int
    data: bytes


class DiskLibrary:
    """Stands between a process and the files below ``directory``. Skips the test without a
    compiler.

    Args:
        folder: where the library, its records and its orders are; outside the directory.
        directory: the files that it looks at.
    """

    def __init__(self, folder: Path, directory: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            pytest.skip("a C compiler is needed (apt install gcc libc6-dev)")
        folder.mkdir(exist_ok=True)
        self.file = folder / "between.so"
        self._record = folder / "record"
        self._fault = folder / "fault"
        self._directory = directory.resolve()
        subprocess.run(
            [compiler, "-std=gnu11", "-Wall", "-O1", "-fPIC", "-shared", "-o", self.file, SOURCE],
            check=True,
        )

    def environ(self, *, recording: bool = False) -> dict[str, str]:
        """What a process needs to be looked at."""
        told = {
            "LD_PRELOAD": str(self.file),
            "DISK_DIRECTORY": str(self._directory),
            "DISK_FAULT": str(self._fault),
        }
        return told | ({"DISK_RECORD": str(self._record)} if recording else {})

    def fail_with(self, number: int) -> None:
        """From now on every write fails with this errno."""
        unfinished = self._fault.with_suffix(".part")
        unfinished.write_text(str(number))
        unfinished.replace(self._fault)

    def work_again(self) -> None:
        """Let writes through."""
        self._fault.unlink()

    def records(self) -> Iterator[Record]:
        """Everything that was done, in order; a record that a kill cut short is left out."""
        content = self._record.read_bytes()
        place = 0
        while place + HEADER.size <= len(content):
            operation, stamp, inode, offset, length = HEADER.unpack_from(content, place)
            place += HEADER.size
            data = content[place : place + length]
            if len(data) < length and operation != Operation.TRUNCATE:
                return
            place += length
            yield Record(Operation(operation), stamp, inode, offset, data)
