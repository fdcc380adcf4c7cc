"""Alicia Scheduler's notifications as points in InfluxDB."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_scheduler.api import SinkType, hookimpl

from alicia_influxdb.sink import InfluxOptions, open_influx


@hookimpl
def alicia_sinks() -> Iterator[SinkType]:
    """Offer places that notifications go to."""
    yield SinkType(
        name="influxdb.points",
        config=InfluxOptions,
        open=open_influx,
        summary="writes each notification as a point to InfluxDB 2 or whatever speaks its protocol",
    )
