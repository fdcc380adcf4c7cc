"""The contract of every action, kept by service_call."""

from contextlib import asynccontextmanager

import trio

from alicia_action_service import alicia_action_types
from alicia_scheduler.testing import ActionContract, TestContext


async def blink(data, _execution):
    return {"blinked": data}


async def sleep(_data, _execution):
    await trio.sleep(30)


class TestServiceCall(ActionContract):
    kind = next(iter(alicia_action_types()))

    @asynccontextmanager
    async def opened(self):
        context = TestContext("action-service")
        context.service_calls |= {"lamp.blink": blink, "lamp.sleep": sleep}
        async with self.kind.open(context) as action:
            yield action

    def quick(self):
        return {"service": "lamp.blink", "data": {"times": 3}}

    def slow(self):
        return {"service": "lamp.sleep"}

    def failing(self):
        return {"service": "lamp.unknown"}
