"""What is looked at: an installed distribution, its plugins, its source and its tests."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from alicia_scheduler.api import AliciaError
from alicia_scheduler.host.discovery import Candidate, find_candidates
from alicia_scheduler.host.hooks import HookFault, PluginHooks
from alicia_scheduler.host.loader import Contributions, PluginRecord, host_info, load_plugins

__all__ = ["Imported", "NotAPlugin", "Plugin", "Source", "Subject"]

IMPORT_PATIENCE = 60.0
"""Seconds that an import is waited for."""


class NotAPlugin(AliciaError):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class Source:
    """A module of the plugin.

    Attributes:
        name: its path below the package's folder, for messages.
    """

    name: str
    tree: ast.Module


@dataclass(frozen=True)
class Imported:
    """What happened while a fresh interpreter imported the plugin.

    Attributes:
        seconds: processor time that it took, beyond what the host has imported anyway.
        touched: what it touched outside: connections, processes, files written.
        threads: names of the threads that it started.
    """

    seconds: float
    touched: tuple[str, ...]
    threads: tuple[str, ...]
    problem: str | None = None


@dataclass
class Plugin:
    """One entry point of the distribution.

    Attributes:
        import_problem: why it cannot be imported.
        hook_problem: why its hooks cannot be used.
        refusal: why the host refuses what the hooks yield.
    """

    candidate: Candidate
    contributions: Contributions = field(default_factory=Contributions)
    import_problem: str | None = None
    hook_problem: str | None = None
    refusal: str | None = None

    @property
    def name(self) -> str:
        return self.candidate.name

    def offers(self) -> Iterator[tuple[str, Any, type[Any]]]:
        """Each type with the word for its kind and its class of options."""
        for kind, items in self.contributions.by_kind().items():
            for item in items:
                yield kind, item, getattr(item, "data" if kind == "service call" else "config")


class Subject:
    """An installed distribution.

    Args:
        name: of the distribution.
        distribution: instead of the installed one of that name.

    Raises:
        NotAPlugin: it is not installed, or has no entry point of ours.
    """

    def __init__(self, name: str, distribution: metadata.Distribution | None = None) -> None:
        try:
            self.distribution = distribution or metadata.distribution(name)
        except metadata.PackageNotFoundError:
            raise NotAPlugin(
                f"no distribution {name!r} is installed here: pip install it first"
            ) from None
        self.name = str(self.metadata["Name"])
        candidates = find_candidates([self.distribution])
        if not candidates:
            raise NotAPlugin(
                f"{self.name} has no entry point in the group 'alicia_scheduler.plugins': "
                'name its module there, in [project.entry-points."alicia_scheduler.plugins"]'
            )
        self.plugins = [_loaded(candidate) for candidate in candidates]

    @property
    def metadata(self) -> Mapping[str, str]:
        """The distribution's metadata."""
        return self.distribution.metadata  # type: ignore[return-value]  # a Message is one

    @property
    def requires(self) -> list[str]:
        """What it requires, extras left out."""
        return [each for each in self.distribution.requires or () if "extra ==" not in each]

    @cached_property
    def packages(self) -> list[Path]:
        """The folders (or single modules) of its top-level packages."""
        found = []
        for plugin in self.plugins:
            top = plugin.candidate.entry_point.module.partition(".")[0]
            spec = find_spec(top)
            if spec is not None and spec.origin is not None:
                origin = Path(spec.origin)
                place = origin.parent if spec.submodule_search_locations else origin
                if place not in found:
                    found.append(place)
        return found

    @cached_property
    def sources(self) -> list[Source]:
        """Its modules, parsed."""
        found = []
        for package in self.packages:
            files = sorted(package.rglob("*.py")) if package.is_dir() else [package]
            for file in files:
                tree = ast.parse(file.read_text("utf-8"))
                found.append(Source(str(file.relative_to(package.parent)), tree))
        return found

    @property
    def readme(self) -> str:
        """The long description that comes with the distribution."""
        text = self.distribution.read_text("METADATA") or ""
        return text.partition("\n\n")[2]

    @cached_property
    def tests(self) -> list[ast.Module] | None:
        """Its tests, when it is installed from a folder of its source (``pip install -e``); None
        when they cannot be seen."""
        text = self.distribution.read_text("direct_url.json")
        if text is None:
            return None
        url = urlsplit(json.loads(text).get("url", ""))
        folder = Path(unquote(url.path)) / "tests"
        if url.scheme != "file" or not folder.is_dir():
            return None
        return [ast.parse(file.read_text("utf-8")) for file in sorted(folder.rglob("*.py"))]

    @cached_property
    def imported(self) -> list[tuple[Plugin, Imported]]:
        """How the import of each plugin goes in a fresh interpreter."""
        return [(plugin, _import_afresh(plugin.candidate)) for plugin in self.plugins]


def _loaded(candidate: Candidate) -> Plugin:
    plugin = Plugin(candidate)
    try:
        module = candidate.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - an import may raise anything
        plugin.import_problem = f"{type(error).__name__}: {error}"
        return plugin
    try:
        hooks = PluginHooks(candidate.name, module)
        hooks.schedule_types(host_info())
    except HookFault as fault:
        plugin.hook_problem = str(fault)
        return plugin
    except Exception as error:  # noqa: BLE001 - a hook may raise anything
        plugin.hook_problem = f"a hook raises {type(error).__name__}: {error}"
        return plugin
    record: PluginRecord = load_plugins([candidate])[0]
    plugin.refusal = record.reason
    plugin.contributions = record.contributions
    return plugin


PROGRAM = """
import json, sys, threading, time
import alicia_scheduler.api, trio, msgspec, pluggy
touched = []
def note(event, args):
    if event in ("socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen",
                 "os.system", "os.fork", "os.posix_spawn"):
        touched.append(event)
    elif event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        touched.append(f"open({args[0]!r}, {args[1]!r})")
sys.dont_write_bytecode = True
sys.addaudithook(note)
before = time.process_time()
problem = None
try:
    __import__(sys.argv[1])
except BaseException as error:
    problem = f"{type(error).__name__}: {error}"
seconds = time.process_time() - before
names = [each.name for each in threading.enumerate() if each is not threading.main_thread()]
print("\\n" + json.dumps([seconds, touched, names, problem]))
sys.stdout.flush()
import os
os._exit(0)
"""


def _import_afresh(candidate: Candidate) -> Imported:
    command = [sys.executable, "-c", PROGRAM, candidate.entry_point.module]
    environment_path = [path for path in sys.path if path]
    try:
        done = subprocess.run(  # noqa: S603 - the interpreter itself
            command,
            capture_output=True,
            text=True,
            timeout=IMPORT_PATIENCE,
            check=False,
            env=_environment(environment_path),
        )
    except subprocess.TimeoutExpired:
        return Imported(IMPORT_PATIENCE, (), (), "it does not end")
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        return Imported(0.0, (), (), (done.stderr.strip() or "it ended the interpreter")[-200:])
    seconds, touched, threads, problem = json.loads(lines[-1])
    return Imported(seconds, tuple(touched), tuple(threads), problem)


def _environment(path: list[str]) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
