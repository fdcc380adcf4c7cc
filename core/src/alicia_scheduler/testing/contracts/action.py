"""What every action keeps: it ends when it is cancelled, says honestly what came of it, and leaves
nothing behind."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
import trio

from alicia_scheduler.api import Action, ActionType, EventExecution
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.kernel.overdue import GRACE
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.contracts.cancelling import cancel_at_each_await, in_time
from alicia_scheduler.testing.contracts.contract import OptionsContract
from alicia_scheduler.testing.contracts.leaks import Held, leaves_nothing
from alicia_scheduler.testing.kernel import make_event

__all__ = ["ActionContract"]

RUNS = 25
"""So often an action is run to see whether each run leaves something behind."""

BEGUN = 0.3
"""Seconds after which a slow run is surely in the middle of it."""


class ActionContract(OptionsContract):
    """What every action keeps. Subclass it in a plugin's tests, under a name with ``Test``.

    Attributes:
        kind: the action type, as its hook yields it.
    """

    kind: ActionType

    def quick(self) -> dict[str, Any]:
        """Options of a run that succeeds soon."""
        self.missing("quick", "options of a run that succeeds soon")

    def slow(self) -> dict[str, Any]:
        """Options of a run that takes ten seconds or more."""
        self.missing("slow", "options of a run that takes ten seconds or more")

    def failing(self) -> dict[str, Any] | None:
        """Options of a run that soon fails, as when what it speaks to is not there. None when
        there are none."""
        self.missing("failing", "options of a run that soon fails, or return None")

    def context(self) -> TestContext:
        """The context that the action is opened with; a subclass adds services to it."""
        return TestContext("action-under-test")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Action]:
        """The action, opened with whatever it needs around it."""
        async with self.kind.open(self.context()) as action:
            yield action

    def some_options(self) -> dict[str, Any]:
        return self.quick()

    def execution(self) -> EventExecution:
        """An execution to run."""
        return new_execution(make_event(), START)

    # -- honest --------------------------------------------------------------------------

    @pytest.mark.trio
    async def test_a_result_has_a_form_in_json(self) -> None:
        async with self.opened() as action:
            result = await action.run(self.config(self.quick()), self.execution())
        try:
            msgspec.json.encode(result)
        except TypeError as error:
            raise AssertionError(
                f"the result {result!r} cannot be kept ({error}): return what JSON can hold"
            ) from error

    @pytest.mark.trio
    async def test_a_run_that_fails_says_so(self) -> None:
        options = self.failing()
        if options is None:
            pytest.skip("this action names no run that fails")
        async with self.opened() as action:
            with trio.move_on_after(GRACE + 10) as patience:
                try:
                    result = await action.run(self.config(options), self.execution())
                except Exception as error:  # noqa: BLE001 - whatever it is, it says that it failed
                    assert str(error), f"{type(error).__name__} says nothing: give it a sentence"
                    return
        assert not patience.cancelled_caught, "the failing run does not end: bound its waits"
        raise AssertionError(
            f"the failing run returned {result!r}, which counts as done: raise Retryable or "
            "Permanent instead"
        )

    @pytest.mark.trio
    async def test_a_run_changes_nothing_of_its_configuration(self) -> None:
        config = self.config(self.quick())
        before = copy.deepcopy(config)
        async with self.opened() as action:
            await action.run(config, self.execution())
        assert config == before, "a run changed its configuration, which the next one gets too"

    @pytest.mark.trio
    async def test_runs_at_the_same_time_do_not_mix(self) -> None:
        config = self.config(self.quick())
        ended: list[object] = []

        async def run(action: Action) -> None:
            ended.append(await action.run(config, self.execution()))

        async with self.opened() as action:
            try:
                async with trio.open_nursery() as nursery:
                    for _ in range(5):
                        nursery.start_soon(run, action)
            except* Exception as group:
                raise AssertionError(
                    f"of five runs at the same time only {len(ended)} succeed, though each does "
                    f"alone ({group.exceptions[0]}): keep what belongs to a run out of the action"
                ) from group

    # -- cancelled -----------------------------------------------------------------------

    @pytest.mark.trio
    async def test_a_run_that_is_cancelled_ends(self) -> None:
        async with self.opened() as action:
            scope = trio.CancelScope(deadline=trio.current_time() + BEGUN)
            config = self.config(self.slow())
            await in_time(
                lambda: action.run(config, self.execution()),
                scope,
                "a run that is cancelled",
                self._cleanup(self.slow()) + GRACE,
            )
            assert scope.cancelled_caught, (
                "the slow run returned instead of being cancelled: let trio.Cancelled pass, and "
                "give slow() options that take long enough"
            )
            # And the action is still good for others.
            await action.run(self.config(self.quick()), self.execution())

    @pytest.mark.trio
    async def test_a_run_can_be_cancelled_at_each_await(self) -> None:
        config = self.config(self.quick())
        async with self.opened() as action:
            await cancel_at_each_await(
                lambda: action.run(config, self.execution()),
                "a run",
                within=self._cleanup(self.quick()) + GRACE,
            )
            await action.run(config, self.execution())

    # -- nothing left behind -------------------------------------------------------------

    @pytest.mark.trio
    async def test_runs_leave_nothing_behind(self) -> None:
        config = self.config(self.quick())
        async with self.opened() as action:
            await action.run(config, self.execution())
            before = Held.now()
            for _ in range(RUNS):
                await action.run(config, self.execution())
            await leaves_nothing(before, f"each of {RUNS} runs", spare=1)

    @pytest.mark.trio
    async def test_a_closed_action_leaves_nothing_behind(self) -> None:
        async with self.opened() as action:
            await action.run(self.config(self.quick()), self.execution())
        before = Held.now()
        async with self.opened() as action:
            await action.run(self.config(self.quick()), self.execution())
        await leaves_nothing(before, "an action that was opened, run and closed", spare=1)

    # -- its type ------------------------------------------------------------------------

    @pytest.mark.trio
    async def test_it_asks_only_for_the_services_that_it_requires(self) -> None:
        needs = self.kind.needs(self.quick()) if self.kind.needs is not None else ()
        declared = {*self.kind.requires, *needs}
        with TestContext.watching() as asked:
            async with self.opened() as action:
                await action.run(self.config(self.quick()), self.execution())
        unknown = {contract.__name__ for contract in asked - declared}
        assert not unknown, (
            f"the action asks for {', '.join(sorted(unknown))}, which the host does not start for "
            f"it: add it to requires of the action type"
        )

    def test_a_preview_says_what_a_run_would_do(self) -> None:
        if self.kind.preview is None:
            return
        said = self.kind.preview(self.config(self.quick()), self.execution())
        try:
            msgspec.json.encode(said)
        except TypeError as error:
            raise AssertionError(f"the preview {said!r} has no form in JSON ({error})") from error

    def _cleanup(self, options: dict[str, Any]) -> float:
        return self.kind.cleanup(options) if self.kind.cleanup is not None else 0.0
