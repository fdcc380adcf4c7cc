"""What a disk could hold when the power goes: rebuilt from everything that was done to it.

A write may be on the disk as soon as it is made and is there for sure once the file is synced. A
name may be there as soon as it is given and is there for sure once its directory is synced; names
get there in order, as with any file system that keeps a journal of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from random import Random

from tests.disk.library import Operation, Record

__all__ = ["SECTOR", "Disk", "Image", "Survivors"]

SECTOR = 512
"""Bytes that a disk writes wholly or not at all."""

Image = dict[str, bytes]
"""Files by name."""


class Survivors(Enum):
    """What of the writes without a sync is on the disk: nothing, any part of it, or all."""

    SYNCED = "synced"
    TORN = "torn"
    ALL = "all"


@dataclass
class _File:
    """A file: its content that is there for sure, and what has been done to it since."""

    durable: bytearray = field(default_factory=bytearray)
    since: list[Record] = field(default_factory=list)


class Disk:
    """A disk that records are played to, one after the other."""

    def __init__(self) -> None:
        self._files: dict[int, _File] = {}
        self._names: dict[str, int] = {}
        self._names_since: list[Record] = []

    def play(self, record: Record) -> None:
        """Take in the next thing that was done."""
        match record.operation:
            case Operation.CREATE:
                self._files[record.inode] = _File()
                self._names_since.append(record)
            case Operation.UNLINK | Operation.RENAME:
                self._names_since.append(record)
            case Operation.SYNC_DIRECTORY:
                for name in self._names_since:
                    _rename(self._names, name)
                self._names_since.clear()
            case Operation.SYNC:
                file = self._file(record.inode)
                for change in file.since:
                    _change(file.durable, change)
                file.since.clear()
            case _:
                self._file(record.inode).since.append(record)

    def image(self, survivors: Survivors, rng: Random) -> Image:
        """The files after a cut at this instant."""
        names = dict(self._names)
        named = {
            Survivors.SYNCED: 0,
            Survivors.TORN: rng.randint(0, len(self._names_since)),
            Survivors.ALL: len(self._names_since),
        }[survivors]
        for record in self._names_since[:named]:
            _rename(names, record)
        chance = rng.choice((0.1, 0.5, 0.9))
        image: Image = {}
        for name, inode in names.items():
            file = self._file(inode)
            content = bytearray(file.durable)
            if survivors is Survivors.ALL:
                for record in file.since:
                    _change(content, record)
            elif survivors is Survivors.TORN:
                for record in file.since:
                    _change_partly(content, record, rng, chance)
            image[name] = bytes(content)
        return image

    def _file(self, inode: int) -> _File:
        # A file that was there before the recording began.
        return self._files.setdefault(inode, _File())


def _rename(names: dict[str, int], record: Record) -> None:
    match record.operation:
        case Operation.CREATE:
            names[record.data.decode()] = record.inode
        case Operation.UNLINK:
            names.pop(record.data.decode(), None)
        case _:
            old, new = record.data.decode().split("\0")
            if old in names:
                names[new] = names.pop(old)


def _change(content: bytearray, record: Record) -> None:
    if record.operation is Operation.TRUNCATE:
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
    else:
        _put(content, record.offset, record.data)


def _change_partly(content: bytearray, record: Record, rng: Random, chance: float) -> None:
    """Let each sector of a write survive, or not, on its own."""
    if record.operation is Operation.TRUNCATE:
        if rng.random() < chance:
            _change(content, record)
        return
    begin, end = record.offset, record.offset + len(record.data)
    while begin < end:
        border = min(end, (begin // SECTOR + 1) * SECTOR)
        if rng.random() < chance:
            _put(content, begin, record.data[begin - record.offset : border - record.offset])
        begin = border


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content.extend(bytes(max(0, offset - len(content))))
    content[offset : offset + len(data)] = data
