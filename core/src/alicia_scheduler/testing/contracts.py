"""Contracts that a plugin's tests subclass: what every action must keep, whatever it does.

A plugin says in a subclass how to open its action and what to run, and inherits the tests::

    class TestMyAction(ActionContract):
        kind = next(iter(alicia_action_types()))

        @asynccontextmanager
        async def opened(self):
            async with self.kind.open(TestContext("my-action")) as action:
                yield action

        def quick(self):
            return {"path": "/tmp/x"}

        def slow(self):
            return {"path": "/tmp/x", "seconds": 60}
"""

from __future__ import annotations

import copy
import gc
from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import trio

from alicia_scheduler.api import Action, ActionType, ConfigError, EventExecution
from alicia_scheduler.config.convert import convert, convert_all
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.kernel.overdue import GRACE
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import make_event

__all__ = ["ActionContract"]

RUNS = 25
"""So often an action is run to see whether each run leaves something behind."""

BEGUN = 0.3
"""Seconds after which a slow run is surely in the middle of it."""


class ActionContract:
    """What every action keeps. Subclass it in a plugin's tests, under a name with ``Test``.

    Attributes:
        kind: the action type, as its hook yields it.
    """

    kind: ActionType

    @abstractmethod
    def opened(self) -> AbstractAsyncContextManager[Action]:
        """The action, opened with whatever it needs around it."""

    @abstractmethod
    def quick(self) -> dict[str, Any]:
        """Options of a run that succeeds soon."""

    @abstractmethod
    def slow(self) -> dict[str, Any]:
        """Options of a run that takes ten seconds or more."""

    def config(self, options: dict[str, Any]) -> Any:
        """The validated configuration of some options."""
        return convert(options, self.kind.config)

    def execution(self) -> EventExecution:
        """An execution to run."""
        return new_execution(make_event(), START)

    def test_the_type_says_what_it_is(self) -> None:
        assert self.kind.name
        assert self.kind.summary

    def test_an_option_that_does_not_exist_is_refused_by_name(self) -> None:
        issues: list[ConfigError] = []
        options = {**self.quick(), "no_such_option": 1}
        convert_all(options, self.kind.config, issues, path=())
        assert any("no_such_option" in str(issue) for issue in issues)

    def test_the_options_have_a_json_schema(self) -> None:
        schema = msgspec.json.schema(self.kind.config)
        name = schema["$ref"].rpartition("/")[2]
        assert set(self.quick()) <= set(schema["$defs"][name]["properties"])

    async def test_a_result_has_a_form_in_json(self) -> None:
        async with self.opened() as action:
            result = await action.run(self.config(self.quick()), self.execution())
        msgspec.json.encode(result)

    async def test_a_run_changes_nothing_of_its_configuration(self) -> None:
        config = self.config(self.quick())
        before = copy.deepcopy(config)
        async with self.opened() as action:
            await action.run(config, self.execution())
        assert config == before

    async def test_a_run_that_is_cancelled_ends(self) -> None:
        cleanup = self.kind.cleanup(self.slow()) if self.kind.cleanup is not None else 0.0
        async with self.opened() as action:
            with trio.fail_after(BEGUN + cleanup + GRACE):
                with trio.move_on_after(BEGUN) as scope:
                    await action.run(self.config(self.slow()), self.execution())
            assert scope.cancelled_caught, "the slow run ended before it was cancelled"
            # And the action is still good for others.
            await action.run(self.config(self.quick()), self.execution())

    async def test_runs_leave_no_descriptor_behind(self) -> None:
        config = self.config(self.quick())
        async with self.opened() as action:
            await action.run(config, self.execution())
            before = _descriptors()
            for _ in range(RUNS):
                await action.run(config, self.execution())
            assert _descriptors() <= before + 1


def _descriptors() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
