"""The sink, against a web server that takes points as InfluxDB does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from alicia_scheduler.api import Notification
from alicia_scheduler.testing import SinkContract, TestContext, make_notification
from alicia_scheduler.testing.web import WebServer, answer

from alicia_influxdb import alicia_sinks
from alicia_influxdb.sink import line_of


@pytest.fixture
def database() -> Iterator[WebServer]:
    """A database that takes everything."""
    server = WebServer(answer("204 No Content"))
    yield server
    server.close()


class TestPoints(SinkContract):
    kind = next(iter(alicia_sinks()))

    @pytest.fixture(autouse=True)
    def _database(self, database: WebServer) -> None:
        self.database = database

    def options(self) -> dict[str, Any]:
        return {"url": self.database.url(""), "org": "home", "bucket": "b", "token": "secret"}

    async def arrived(self) -> Sequence[int]:
        lines = b"\n".join(self.database.bodies).decode().splitlines()
        return [int(found[1]) for line in lines if (found := re.search(r"sequence=(\d+)i", line))]

    async def _write(self, *notifications: Notification, **options: object) -> None:
        config = self.config({**self.options(), **options})
        async with self.kind.open(config, TestContext("influxdb")) as sink:
            await sink.write(notifications)

    async def test_a_batch_is_one_request_to_the_bucket_with_the_token(self) -> None:
        await self._write(make_notification(1), make_notification(2))
        (head,) = self.database.heads
        assert head.startswith("POST /api/v2/write?org=home&bucket=b&precision=ns ")
        assert "Authorization: Token secret" in head

    async def test_a_database_that_says_no_is_an_error(self) -> None:
        refusing = WebServer(answer("401 Unauthorized", b"no such token"))
        try:
            with pytest.raises(OSError, match="401: no such token"):
                await self._write(make_notification(1), url=refusing.url(""))
        finally:
            refusing.close()


def test_a_notification_becomes_a_point() -> None:
    assert line_of(make_notification(1, "execution_failed", error_message='say "no"\n\\'), "m") == (
        "m,event_type=execution_failed,event_id=lamp,status=completed "
        'sequence=1i,lateness=0.004,duration=0.5,error_message="say \\"no\\" \\\\" '
        "1767225601000000001"
    )


def test_separators_in_a_tag_are_escaped() -> None:
    assert r",event_id=a\,b\=c\ d/e," in line_of(make_notification(1, event_id="a,b=c d\\e"), "m")


def test_two_notifications_of_the_same_moment_are_two_points() -> None:
    first, second = make_notification(1), make_notification(2)
    same = Notification(
        event_type=second.event_type,
        event_data=first.event_data,
        timestamp=first.timestamp,
        source=second.source,
        sequence=second.sequence,
    )
    assert line_of(first, "m").split()[-1] != line_of(same, "m").split()[-1]
