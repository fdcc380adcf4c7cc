"""A whole host in one process, with the types that tests write down in a line; in memory unless
it is given a directory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import trio

from alicia_scheduler.api.contracts import Schedule, ScheduleContext
from alicia_scheduler.api.descriptors import ActionType, ScheduleType
from alicia_scheduler.api.errors import ConfigError, Permanent
from alicia_scheduler.api.model import EventExecution, Notification, from_epoch
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration, load
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.host import Host
from alicia_scheduler.host.loader import Contributions, PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.testing.clock import VirtualClock
from alicia_scheduler.testing.kernel import At, Every

__all__ = ["HostUnderTest", "running_host"]


class EveryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds between two slots."""

    seconds: float

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ConfigError("must be more than 0", path=("seconds",))


class AtConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The slots, epoch seconds."""

    epochs: tuple[float, ...] = ()


class ActionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an action is told."""

    message: Any = None
    password: str | None = None


@dataclass
class HostUnderTest:
    """A running host and what can be seen of it.

    Attributes:
        ran: what the action ``test.note`` was called with.
        notifications: everything that was notified.
    """

    host: Host
    clock: VirtualClock
    ran: list[tuple[ActionConfig, EventExecution]] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)

    @property
    def kernel(self) -> Kernel:
        kernel = self.host.kernel
        assert kernel is not None
        return kernel

    def told(self, event_type: str) -> list[dict[str, Any]]:
        """The data of all notifications of a type."""
        return [item.event_data for item in self.notifications if item.event_type == event_type]


class _Actions:
    """``test.note`` takes note, ``test.hold`` never ends by itself, ``test.fail`` fails."""

    def __init__(self, ran: list[tuple[ActionConfig, EventExecution]]) -> None:
        self._ran = ran

    def types(self) -> list[ActionType]:
        return [
            ActionType(
                name=f"test.{name}",
                config=ActionConfig,
                open=self._open(run),
                summary=f"{name}s, for tests",
                preview=lambda config, execution: {"would": config.message},
            )
            for name, run in (("note", self._note), ("hold", self._hold), ("fail", self._fail))
        ]

    def _open(self, run: Callable[..., Any]) -> Callable[..., Any]:
        @asynccontextmanager
        async def open_action(context: Any) -> AsyncIterator[Any]:
            yield _Opened(run)

        return open_action

    async def _note(self, config: ActionConfig, execution: EventExecution) -> Any:
        self._ran.append((config, execution))
        return {"message": config.message}

    async def _hold(self, config: ActionConfig, execution: EventExecution) -> None:
        await trio.sleep_forever()

    async def _fail(self, config: ActionConfig, execution: EventExecution) -> None:
        raise Permanent(f"refused {config.message}", error_class="refused")


@dataclass(frozen=True)
class _Opened:
    run: Callable[..., Any]


def _every(config: EveryConfig, context: ScheduleContext) -> Schedule:
    return Every(context.anchor, config.seconds)


def _at(config: AtConfig, context: ScheduleContext) -> Schedule:
    return At(tuple(map(from_epoch, config.epochs)))


@asynccontextmanager
async def running_host(
    text: str = "",
    *,
    state_dir: Path | None = None,
    before: Callable[[Host], object] | None = None,
) -> AsyncIterator[HostUnderTest]:
    """A host that runs while the block is open, then stops. Its plugin ``test`` brings the schedule
    types ``test.every`` (``seconds``) and ``test.at`` (``epochs``) and the actions ``test.note``,
    ``test.hold`` and ``test.fail`` (``message``, ``password``).

    Args:
        text: the configuration, as TOML.
        state_dir: where the host keeps what it knows, with ``home.toml`` beside it; None for
            memory.
        before: is given the host before it starts, e.g. to give it its commands.
    """
    ran: list[tuple[ActionConfig, EventExecution]] = []
    record = PluginRecord(
        "test",
        "alicia-test",
        "1",
        contributions=Contributions(
            schedule_types=[
                ScheduleType(name="test.every", config=EveryConfig, build=_every, elapsed=True),
                ScheduleType(name="test.at", config=AtConfig, build=_at),
            ],
            action_types=_Actions(ran).types(),
        ),
    )
    registry = Registry([record])
    if state_dir is None:
        loaded = configuration(Document.parse(text, "home.toml"))
    else:
        file = state_dir.parent / "home.toml"
        file.write_text(text)
        loaded = load(file)
    clock = VirtualClock()
    checked = check_configuration(loaded, registry, now=clock.now())
    if checked.issues:
        raise checked.issues[0]
    host = Host(
        loaded.settings,
        checked,
        registry,
        state_dir=state_dir,
        clock=clock,
        configuration=loaded if state_dir is not None else None,
    )
    under_test = HostUnderTest(host, clock, ran)
    host.notifier.listen(under_test.notifications.append)
    if before is not None:
        before(host)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(host.run)
        await host.started.wait()
        yield under_test
        host.hurry()
