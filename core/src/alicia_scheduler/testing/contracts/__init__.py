"""Contracts that a plugin's tests subclass: what every schedule, action, sink, service and store
keeps, whatever it does.

A plugin says in a subclass what to test and with which options, and inherits the tests::

    class TestTide(ScheduleContract):
        kind = next(iter(alicia_schedule_types()))

        def examples(self):
            return [{"port": "hamburg"}]

The tests need pytest and pytest-trio: ``pip install 'alicia-scheduler[testing]'``. A test of a
contract cannot be replaced. One that a plugin cannot keep is marked with
``@pytest.mark.xfail(reason=…)`` in the subclass, so that whoever reads on knows why.
"""

from __future__ import annotations

from alicia_scheduler.testing.contracts.action import ActionContract
from alicia_scheduler.testing.contracts.schedule import ScheduleContract
from alicia_scheduler.testing.contracts.service import ServiceContract
from alicia_scheduler.testing.contracts.sink import SinkContract
from alicia_scheduler.testing.contracts.store import StoreContract

__all__ = [
    "ActionContract",
    "ScheduleContract",
    "ServiceContract",
    "SinkContract",
    "StoreContract",
]
