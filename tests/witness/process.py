"""The real process: ``alicia run`` with the witness, and what it leaves outside."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Host", "Kept", "Tail", "kept_in", "size_of", "until"]

ALICIA = str(Path(sys.executable).parent / "alicia")
SITE = Path(__file__).parent / "site"

PATIENCE = 60.0
"""Seconds after which something that was waited for will not come. No test measures it."""

COLUMNS = (
    "execution_id, event_id, scheduled_time, status, trigger, reason, retry_count, start_time, "
    "end_time, result"
)


@dataclass(frozen=True)
class Kept:
    """What a store holds, read without the product.

    Attributes:
        executions: their rows, in the order in which they were made.
        event_ids: of every definition.
        problems: what SQLite's own check of the file found.
    """

    executions: list[dict[str, Any]] = field(default_factory=list)
    event_ids: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Wait for ``condition`` to be true and give what it gave."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.005)
    return found


def kept_in(database: str, *, check: bool = True) -> Kept:
    """Read a database that is given by its URI."""
    with closing(sqlite3.connect(database, uri=True)) as connection:
        problems: tuple[str, ...] = ()
        if check:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
            problems = () if found == ["ok"] else tuple(found)
        connection.row_factory = sqlite3.Row
        query = f"SELECT {COLUMNS} FROM executions ORDER BY sequence"
        executions = [dict(row) for row in connection.execute(query)]
        event_ids = frozenset(row[0] for row in connection.execute("SELECT event_id FROM events"))
    return Kept(executions, event_ids, problems)


class Host:
    """One configuration with its state directory, started as often as one likes.

    Args:
        home: where configuration and ledgers are; outside the state directory.
        events: the configuration's events; ``{act}`` in it begins an action with its ledger.
        state: the state directory.
        settings: more lines of ``[scheduler]``.
        defect: what to plant, see ``site/planted.py``.
        environ: more environment of the process.
    """

    def __init__(
        self,
        home: Path,
        events: str,
        *,
        state: Path | None = None,
        settings: str = "",
        defect: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.state = state or home / "state"
        self.ledger = home / "effects.jsonl"
        self.heard_file = home / "heard.jsonl"
        self.log = home / "host.log"
        self.config = home / "home.toml"
        self.process: subprocess.Popen[bytes] | None = None
        self._heard_since_start = Tail(self.heard_file)
        act = f'type = "witness.act", ledger = "{self.ledger}"'
        self.config.write_text(
            '[scheduler]\ntimezone = "UTC"\nsafe_mode = false\n'
            f'state_dir = "{self.state}"\n{settings}\n'
            f'[sinks."witness.hear"]\nledger = "{self.heard_file}"\n' + events.replace("{act}", act)
        )
        self._environ = {**os.environ, "PYTHONPATH": str(SITE), **(environ or {})}
        self._environ.pop("ALICIA_PLANT", None)
        if defect is not None:
            self._environ["ALICIA_PLANT"] = defect

    def start(self) -> None:
        """Start the process, in a group of its own; its words are appended to ``log``."""
        self._heard_since_start = Tail(self.heard_file, size_of(self.heard_file))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [ALICIA, "run", str(self.config)],
                stdout=log,
                stderr=log,
                env=self._environ,
                start_new_session=True,
            )

    def runs(self) -> bool:
        """True once the schedule of the process that was started last runs; ask until it does."""
        process = self._running()
        assert process.poll() is None, self.log.read_text()[-10_000:]
        lines = self._heard_since_start.new()
        return any(line["event_type"] == "host_started" for line in lines)

    def wait_until_it_runs(self) -> None:
        """Return when the schedule of the process that was started last runs."""
        until(self.runs, "the host to start")

    def kill(self) -> None:
        """SIGKILL, now."""
        process = self._running()
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE)

    def close(self) -> None:
        """End what still runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def effects(self) -> list[dict[str, Any]]:
        """What the action did, in order."""
        return Tail(self.ledger).new()

    def heard(self, event_type: str | None = None) -> list[dict[str, Any]]:
        """What the sink was told, in order."""
        lines = Tail(self.heard_file).new()
        return [line for line in lines if event_type in (None, line["event_type"])]

    def kept(self) -> Kept:
        """What a copy of the store holds. Take it while no process runs."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "copy.db"
            for part in ("", "-wal"):
                file = Path(f"{self.state}/alicia.db{part}")
                if file.exists():
                    Path(f"{copy}{part}").write_bytes(file.read_bytes())
            return kept_in(f"file:{copy}") if size_of(copy) else Kept()

    def history(self) -> list[dict[str, Any]]:
        """The executions of a store in use, read beside the host."""
        return kept_in(f"file:{self.state}/alicia.db?mode=ro", check=False).executions

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "start the host first"
        return self.process


def size_of(file: Path) -> int:
    """Bytes; 0 for a file that does not exist."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


class Tail:
    """Reads a ledger as it grows, from ``offset`` on."""

    def __init__(self, file: Path, offset: int = 0) -> None:
        self._file = file
        self._offset = offset

    def new(self) -> list[dict[str, Any]]:
        """The lines that have come since the last call. One that is on its way comes later."""
        if not self._file.exists():
            return []
        with self._file.open("rb") as opened:
            opened.seek(self._offset)
            whole, end, _ = opened.read().rpartition(b"\n")
        self._offset += len(whole) + len(end)
        return [json.loads(line) for line in whole.splitlines()]
