"""The contract of every action, kept by http_request."""

import time
from contextlib import asynccontextmanager

import pytest

from alicia_action_http import alicia_action_types
from alicia_scheduler.testing import ActionContract, TestContext
from alicia_scheduler.testing.web import WebServer, answer


def answer_or_wait(connection, line):
    if "/slow" in line:
        time.sleep(5)
    if "/refused" in line:
        answer("403 Forbidden")(connection, line)
        return
    answer(body=b'{"state": "ON"}')(connection, line)


class TestHttpRequest(ActionContract):
    kind = next(iter(alicia_action_types()))

    @pytest.fixture(autouse=True)
    def _server(self):
        self.server = WebServer(answer_or_wait)
        yield
        self.server.close()

    @asynccontextmanager
    async def opened(self):
        async with self.kind.open(TestContext("action-http")) as action:
            yield action

    def quick(self):
        return {"url": self.server.url()}

    def slow(self):
        return {"url": self.server.url("/slow")}

    def failing(self):
        return {"url": self.server.url("/refused")}
