"""A plugin as somebody wrote it for API 1.0, with one of everything there was. It is never touched
again: it must run with every later minor."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import click
from msgspec import Struct

from alicia_scheduler.api import (
    ActionType,
    ConfigError,
    Permanent,
    Retryable,
    ScheduleType,
    ServiceCall,
    ServiceType,
    SinkType,
    StoreType,
    hookimpl,
)

seen = []


class Lamp:
    """The contract of the service."""


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Blink(Struct, frozen=True, forbid_unknown_fields=True):
    times: int = 1


@dataclass(frozen=True)
class Grid:
    seconds: float = 0.1


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    colour: str = "red"


class Every:
    def __init__(self, seconds, anchor):
        self.step, self.anchor = timedelta(seconds=seconds), anchor

    def next_after(self, instant):
        return self.anchor + max(1, (instant - self.anchor) // self.step + 1) * self.step

    def describe(self):
        return f"every {self.step}"


def build(config, context):
    context.require_timezone()
    return Every(config.seconds, context.anchor)


class Blinker:
    def __init__(self, context):
        self.context = context

    async def run(self, config, execution):
        if execution.retry_count == 0 and config.times == 2:
            raise Retryable("once more", after=0)
        if config.times > 3:
            raise Permanent("too often")
        assert isinstance(self.context.service(Lamp), Lamp)
        self.context.progress(execution)("blinking")
        await self.context.run_sync(len, "abc")
        self.context.logger.debug("%s in %s", self.context.plugin, self.context.instance)
        colour = self.context.settings.colour
        seen.append("action")
        return {"times": config.times, "colour": colour, "at": self.context.now().isoformat()}


@asynccontextmanager
async def open_action(context):
    yield Blinker(context)


class Recorder:
    async def write(self, notifications):
        seen.extend("sink" for each in notifications if each.event_type == "execution_completed")


@asynccontextmanager
async def open_sink(config, context):
    yield Recorder()


@asynccontextmanager
async def open_service(config, context):
    yield Lamp()


@asynccontextmanager
async def open_store(config, context):
    yield None


async def ring(context, data, execution):
    seen.append("call")
    return {"rung": data.times}


def check(config, settings):
    if config.times < 0:
        raise ConfigError("must not be negative", path=("times",))


@hookimpl
def alicia_schedule_types(info):
    assert info.api_version >= (1, 0)
    yield ScheduleType(
        name="old.every", config=Grid, build=build, elapsed=True, summary="every so often"
    )


@hookimpl
def alicia_action_types():
    yield ActionType(
        name="old.blink",
        config=Blink,
        open=open_action,
        requires=(Lamp,),
        needs=lambda options: (),
        check=check,
        calls=lambda config: None,
        default_timeout=5.0,
        cleanup=lambda options: 0.0,
        preview=lambda config, execution: {"times": config.times},
        summary="blinks",
    )


@hookimpl
def alicia_sinks():
    return [
        SinkType(
            name="old.record",
            config=Nothing,
            open=open_sink,
            accepts=frozenset({"execution_completed"}),
            requires=(Lamp,),
            summary="records",
        )
    ]


@hookimpl
def alicia_services():
    yield ServiceType(
        name="old.lamp",
        config=Nothing,
        open=open_service,
        provides=Lamp,
        requires=(),
        summary="a lamp",
    )


@hookimpl
def alicia_service_calls():
    yield ServiceCall(name="old.ring", data=Blink, call=ring, summary="rings")


@hookimpl
def alicia_stores():
    yield StoreType(name="old.store", config=Nothing, open=open_store, summary="keeps nothing")


@hookimpl
def alicia_settings():
    yield Settings


@hookimpl
def alicia_commands():
    yield click.Command("old")
