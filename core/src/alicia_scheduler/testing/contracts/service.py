"""What every service keeps: it opens and closes as often as the host likes, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from alicia_scheduler.api import Retryable, ServiceType
from alicia_scheduler.host.supervision import CLOSE_TIMEOUT
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.contracts.cancelling import cancel_at_each_await, in_time
from alicia_scheduler.testing.contracts.contract import OptionsContract
from alicia_scheduler.testing.contracts.leaks import Held, leaves_nothing

__all__ = ["ServiceContract"]

OPENINGS = 5


class ServiceContract(OptionsContract):
    """What every service keeps. Subclass it in a plugin's tests, under a name with ``Test``.

    Attributes:
        kind: the service type, as its hook yields it.
    """

    kind: ServiceType

    def options(self) -> dict[str, Any]:
        """The keys of ``[services.<name>]`` that the service is opened with."""
        self.missing("options", "the keys of [services.<name>] to open the service with")

    def context(self) -> TestContext:
        """The context that the service is opened with; a subclass adds services to it."""
        return TestContext("service-under-test")

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Any]:
        """The running service, opened with whatever it needs around it."""
        async with self.kind.open(self.config(self.options()), self.context()) as service:
            yield service

    async def use(self, service: Any) -> None:
        """Use the running service once, so that a test knows that it works. Nothing unless
        written."""

    def some_options(self) -> dict[str, Any]:
        return self.options()

    # -- open and close ------------------------------------------------------------------

    @pytest.mark.trio
    async def test_it_opens_and_closes_again_and_again(self) -> None:
        for number in range(OPENINGS):
            try:
                async with self.opened() as service:
                    await self.use(service)
            except Exception as error:
                raise AssertionError(
                    f"opened for the {number + 1}. time it fails: {type(error).__name__}: {error}. "
                    "Close all that was opened, so that the host can start it again"
                ) from error

    @pytest.mark.trio
    async def test_it_closes_in_time(self) -> None:
        async with self.opened() as service:
            await self.use(service)
            began = trio.current_time()
        took = trio.current_time() - began
        assert took <= CLOSE_TIMEOUT, (
            f"it takes {took:.1f} s to close; the host gives it {CLOSE_TIMEOUT:g} s"
        )

    @pytest.mark.trio
    async def test_opening_can_be_cancelled_at_each_await(self) -> None:
        async def open_and_close() -> None:
            async with self.opened():
                await trio.lowlevel.checkpoint()

        await cancel_at_each_await(open_and_close, "opening and closing", within=CLOSE_TIMEOUT)
        async with self.opened() as service:
            await self.use(service)

    @pytest.mark.trio
    async def test_it_can_be_cancelled_while_it_runs(self) -> None:
        async def run() -> None:
            async with self.opened():
                await trio.sleep_forever()

        scope = trio.CancelScope(deadline=trio.current_time() + 0.3)
        await in_time(run, scope, "the running service, cancelled,", CLOSE_TIMEOUT)
        assert scope.cancelled_caught, (
            "the service keeps the cancellation from its user: let trio.Cancelled pass"
        )

    @pytest.mark.trio
    async def test_an_error_of_its_user_passes_through(self) -> None:
        class Passing(Exception):
            pass

        def is_passing(error: BaseException) -> bool:
            if isinstance(error, BaseExceptionGroup):
                return any(map(is_passing, error.exceptions))
            return isinstance(error, Passing)

        try:
            async with self.opened():
                raise Passing("an error within the block")
        except Exception as error:
            if is_passing(error):
                return
            raise AssertionError(
                f"an error within the block becomes {type(error).__name__}: {error}"
            ) from error
        raise AssertionError("an error within the block is swallowed: let it pass through open()")

    @pytest.mark.trio
    async def test_a_closed_service_leaves_nothing_behind(self) -> None:
        async with self.opened() as service:
            await self.use(service)
        before = Held.now()
        for _ in range(OPENINGS):
            async with self.opened() as service:
                await self.use(service)
        await leaves_nothing(before, f"a service opened and closed {OPENINGS} times", spare=1)

    # -- what it promises ----------------------------------------------------------------

    @pytest.mark.trio
    async def test_what_it_yields_has_all_that_it_provides(self) -> None:
        contract = self.kind.provides
        if contract is None:
            return
        async with self.opened() as service:
            names = {name for base in contract.__mro__ for name in vars(base)}
            names |= set(getattr(contract, "__annotations__", {}))
            public = {name for name in names if not name.startswith("_")}
            missing = sorted(
                name
                for name in public
                if not hasattr(type(service), name) and not hasattr(service, name)
            )
        assert not missing, (
            f"it provides {contract.__name__}, but what it yields has no {', '.join(missing)}"
        )

    @pytest.mark.trio
    async def test_it_asks_only_for_the_services_that_it_requires(self) -> None:
        with TestContext.watching() as asked:
            async with self.opened() as service:
                await self.use(service)
        unknown = {contract.__name__ for contract in asked - set(self.kind.requires)}
        assert not unknown, (
            f"the service asks for {', '.join(sorted(unknown))}, which the host does not start "
            "before it: add it to requires of the service type"
        )

    @pytest.mark.trio
    async def test_without_what_it_requires_it_waits_or_says_so(self) -> None:
        if not self.kind.requires:
            return
        alone = TestContext("service-under-test")
        try:
            with trio.move_on_after(CLOSE_TIMEOUT):
                async with self.kind.open(self.config(self.options()), alone):
                    pass
        except Retryable:
            return  # ServiceUnavailable among them: the host tries again
        except Exception as error:
            raise AssertionError(
                f"without what it requires it raises {type(error).__name__}: {error}. Let "
                "ServiceUnavailable pass, so that the host knows that it is worth another try"
            ) from error
