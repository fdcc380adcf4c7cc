"""The contract of every sink, kept by log."""

import json

import pytest

from alicia_scheduler.testing import SinkContract
from alicia_sink_log import alicia_sinks


class TestLog(SinkContract):
    kind = next(iter(alicia_sinks()))

    @pytest.fixture(autouse=True)
    def _stream(self, capfd):
        self.capfd, self.lines = capfd, []

    def options(self):
        return {"format": "json"}

    async def arrived(self):
        self.lines += self.capfd.readouterr().out.splitlines()
        return [json.loads(line)["sequence"] for line in self.lines]


class TestLogAsText(SinkContract):
    kind = next(iter(alicia_sinks()))

    @pytest.fixture(autouse=True)
    def _stream(self, capfd):
        self.capfd, self.lines = capfd, []

    def options(self):
        return {"format": "text"}

    def batch(self, first, last):
        named = super().batch(first, last)
        for notification in named:
            notification.event_data["name"] = f"number {notification.sequence}"
        return named

    async def arrived(self):
        self.lines += self.capfd.readouterr().out.splitlines()
        return [int(line.partition("number ")[2].split()[0]) for line in self.lines]
