"""What the Store contract promises, kept by the embedded stores: SQLite in a file, in memory, and
in memory because its place cannot be written; and the one that is meant to be in memory."""

from __future__ import annotations

import errno
import os

import pytest

from alicia_scheduler.store import STORE_FILE, MemoryStore, SqliteStore, connections
from alicia_scheduler.testing import StoreContract


class TestStoreInAFile(StoreContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path):
        self.path = tmp_path / STORE_FILE

    def opened(self):
        return SqliteStore.open(self.path)


class TestSqliteInMemory(StoreContract):
    def opened(self):
        return SqliteStore.open(None)


class TestStoreInMemory(StoreContract):
    def opened(self):
        return MemoryStore.open()


class TestMakeshiftStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _place(self, tmp_path, monkeypatch):
        def refuse(path, _synchronous):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        self.path = tmp_path / STORE_FILE
        monkeypatch.setattr(connections, "open_writing", refuse)

    def opened(self):
        return SqliteStore.open(self.path)
