"""Sink ``influxdb.points``: notifications in InfluxDB's line protocol, a batch a request."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import msgspec
from alicia_scheduler.api import Notification, SinkContext

TAGS = ("event_id", "status", "reason", "trigger")
FIELDS = ("lateness", "duration", "retry_count")


class InfluxOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the database is.

    Attributes:
        url: its address, such as ``http://localhost:8086``.
        org: the organisation that owns the bucket.
        bucket: where points are kept.
        token: a token that may write there.
        measurement: the name of the points.
        timeout: seconds that a request may take.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^/]+")]
    org: str
    bucket: str
    token: str = ""
    measurement: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_]*\Z")] = "alicia"
    timeout: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0


@asynccontextmanager
async def open_influx(config: InfluxOptions, context: SinkContext) -> AsyncIterator[InfluxSink]:
    """Each batch is a connection of its own, so nothing is opened."""
    yield InfluxSink(config, context)


class InfluxSink:
    """The sink at work."""

    def __init__(self, config: InfluxOptions, context: SinkContext) -> None:
        self._config = config
        self._context = context

    async def write(self, notifications: Sequence[Notification]) -> None:
        """Write a batch, and return when the database has it. To write it a second time changes
        nothing: the points have the same time and tags. OSError passes: the host comes again."""
        lines = [line_of(each, self._config.measurement) for each in notifications]
        await self._context.run_sync(self._post, "\n".join(lines).encode())

    def _post(self, content: bytes) -> None:
        config = self._config
        query = urlencode({"org": config.org, "bucket": config.bucket, "precision": "ns"})
        headers = {"Authorization": f"Token {config.token}"} if config.token else {}
        request = Request(f"{config.url}/api/v2/write?{query}", content, headers)  # noqa: S310
        try:
            urlopen(request, timeout=config.timeout).close()  # noqa: S310 - url begins with http
        except HTTPError as error:
            with error:
                said = error.read(200).decode(errors="replace")
            raise OSError(f"{config.url} answers {error.code}: {said}") from error


def line_of(notification: Notification, measurement: str) -> str:
    """A notification in the line protocol. The sequence number is in the nanoseconds too, so that
    two notifications of the same microsecond are two points."""
    data = notification.event_data
    tags = {"event_type": notification.event_type, **{name: data.get(name) for name in TAGS}}
    fields: dict[str, str] = {"sequence": f"{notification.sequence}i"}
    fields |= {name: repr(float(data[name])) for name in FIELDS if _is_number(data.get(name))}
    if data.get("error_message"):
        fields["error_message"] = json.dumps(_one_line(data["error_message"]), ensure_ascii=False)
    seconds = int(notification.timestamp.timestamp())
    nanoseconds = notification.timestamp.microsecond * 1000 + notification.sequence % 1000
    head = "".join(f",{name}={_tag(value)}" for name, value in tags.items() if value)
    told = ",".join(f"{name}={value}" for name, value in fields.items())
    return f"{measurement}{head} {told} {seconds * 10**9 + nanoseconds}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) < float("inf")


def _one_line(value: object) -> str:
    """Text without control characters, which the protocol has no escapes for."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", str(value))[:1000].strip()


def _tag(value: object) -> str:
    return re.sub(r"([,= ])", r"\\\1", _one_line(value).replace("\\", "/"))
