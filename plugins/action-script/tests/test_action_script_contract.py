"""The contract of every action, kept by script_execution."""

from contextlib import asynccontextmanager

from alicia_action_script import alicia_action_types
from alicia_scheduler.testing import ActionContract, TestContext


class TestScriptExecution(ActionContract):
    kind = next(iter(alicia_action_types()))

    @asynccontextmanager
    async def opened(self):
        async with self.kind.open(TestContext("action-script")) as action:
            yield action

    def quick(self):
        return {"command": ["true"]}

    def slow(self):
        return {"command": ["sleep", "30"]}

    def failing(self):
        return {"command": ["false"]}
