"""A real host around plugins that a test writes down: fake distributions, as pip would leave them,
in a folder on ``sys.path``."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import trio

from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host.check import check_configuration, disabled_plugins
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.host import Host
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.quarantine import Absence
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.remembered import Remembered

CANARY = """
from contextlib import asynccontextmanager
from datetime import timedelta
from msgspec import Struct
from alicia_scheduler.api import ActionType, ScheduleType, hookimpl

class Config(Struct, frozen=True, forbid_unknown_fields=True):
    pass

class Often:
    def next_after(self, instant):
        return instant + timedelta(seconds=0.1)
    def describe(self):
        return "often"

songs = []

class Sing:
    async def run(self, config, execution):
        songs.append(execution.execution_id)

@asynccontextmanager
async def opened(context):
    yield Sing()

@hookimpl
def alicia_schedule_types():
    yield ScheduleType(name="canary.often", config=Config, build=lambda config, context: Often())

@hookimpl
def alicia_action_types():
    yield ActionType(name="canary.sing", config=Config, open=opened)
"""

CONFIG = """
[scheduler]
timezone = "UTC"
min_interval = 0.05
drain_timeout = 0.2
[events.canary]
schedule_type = "canary.often"
schedule_config = {}
action = { type = "canary.sing" }
"""

BEAST = """
[events.beast]
schedule_type = "canary.often"
schedule_config = {{}}
action = {{ type = "{name}.act" }}
timeout = 0.3
max_retries = 0
max_runs = 1
"""


class Cage:
    """A folder of fake distributions, and a host that runs with them.

    Attributes:
        records: the plugins of the folder, by name; of two with one name the last.
    """

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        monkeypatch.syspath_prepend(str(folder))
        self._modules = []
        self.canary = CANARY
        self.install("canary", CANARY, module="zoo_canary")
        self.host = None

    def install(
        self,
        plugin,
        source,
        *,
        module=None,
        distribution=None,
        version="1.2",
        group="alicia_scheduler.plugins",
        requires="",
    ):
        """As ``pip install`` would; once more with another version, as ``--upgrade`` would."""
        distribution = distribution or f"zoo-{plugin}"
        module = module or f"zoo_{plugin}"
        self._modules.append(module)
        self.uninstall(distribution)
        self.folder.joinpath(f"{module}.py").write_text(source)
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        info.joinpath("METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}"
        )
        info.joinpath("RECORD").write_text(f"{module}.py,sha256={hash(source)},{len(source)}\n")
        info.joinpath("entry_points.txt").write_text(f"[{group}]\n{plugin} = {module}\n")

    def uninstall(self, distribution):
        for info in self.folder.glob(f"{distribution.replace('-', '_')}-*.dist-info"):
            for file in info.iterdir():
                file.unlink()
            info.rmdir()

    def forget(self):
        """Let other tests import these names anew."""
        for module in self._modules:
            sys.modules.pop(module, None)

    @property
    def songs(self):
        return sys.modules["zoo_canary"].songs

    @property
    def records(self):
        return {
            record.name: record
            for record in self.host.plugins.registry.plugins
            if record.distribution.startswith("zoo-")
        }

    def load(self, more="", *, patience=60.0, state_dir=None, remembered=None):
        """Everything up to a host that can run."""
        loaded = configuration(Document.parse(CONFIG + more, str(self.folder / "home.toml")))
        remembered = remembered or Remembered(state_dir)
        absence = Absence(
            disabled=remembered.disabled,
            quarantined=remembered.quarantined,
            now=datetime.now(UTC),
        )
        records = load_plugins(
            find_candidates(),
            disabled=disabled_plugins(loaded),
            left_out=absence,
            patience=patience,
        )
        registry = Registry(records)
        checked = check_configuration(loaded, registry, now=datetime.now(UTC))
        assert [str(issue) for issue in checked.issues] == []
        self.host = Host(
            loaded.settings,
            checked,
            registry,
            state_dir=state_dir,
            configuration=loaded,
            remembered=remembered,
        )
        self.told = []
        self.host.notifier.listen(self.told.append)
        return self.host

    @asynccontextmanager
    async def running(self, more="", **options):
        """A host that runs while the block is open and then stops in order."""
        host = self.load(more, **options)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.run)
            with trio.fail_after(60):
                await host.started.wait()
            yield host
            host.stop()
            nursery.cancel_scope.deadline = trio.current_time() + 60
        assert not nursery.cancel_scope.cancelled_caught, host.still_open()

    async def singing(self):
        """Wait until a healthy plugin's event has run anew."""
        before = len(self.songs)
        await until(lambda: len(self.songs) > before + 1)

    def errors(self, kind):
        """The data of the errors of a class that were notified."""
        return [
            item.event_data
            for item in self.told
            if item.event_type == "error" and item.event_data["class"] == kind
        ]


async def until(condition, seconds=60):
    """Wait for a condition, generously."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(0.01)
