"""All that a plugin imports. Nothing here imports the kernel or the host, or trio.

Names are re-exported from the modules beside this one; ``API_VERSION`` is ``(major, minor)`` and
moves only when something here does.
"""

from alicia_scheduler.api.contracts import (
    Action,
    ActionContext,
    PluginContext,
    Schedule,
    ScheduleContext,
    ServiceContext,
    Sink,
    SinkContext,
)
from alicia_scheduler.api.descriptors import (
    ActionType,
    HostInfo,
    ScheduleType,
    ServiceType,
    SinkType,
    StoreType,
)
from alicia_scheduler.api.errors import (
    AliciaError,
    ConfigError,
    Permanent,
    Retryable,
    ServiceUnavailable,
    StoreError,
)
from alicia_scheduler.api.hookspecs import hookimpl
from alicia_scheduler.api.model import (
    DstGap,
    DstOverlap,
    EventExecution,
    EventRecord,
    EventState,
    Misfire,
    Mode,
    Notification,
    OnInterrupted,
    ScheduledEvent,
    Status,
    Trigger,
    from_epoch,
    to_epoch,
    to_wire,
)
from alicia_scheduler.api.mqtt import MqttConnection, MqttMessage, check_topic
from alicia_scheduler.api.store import Store, StoreContext
from alicia_scheduler.api.walltime import (
    ClockChange,
    ClockPolicy,
    OnGap,
    OnRepeat,
    Readings,
    clock_changes,
    first_instant,
    instants_of,
    load_timezone,
    next_instant,
    reading_at,
)

API_VERSION = (1, 0)

__all__ = [
    "API_VERSION",
    "Action",
    "ActionContext",
    "ActionType",
    "AliciaError",
    "ClockChange",
    "ClockPolicy",
    "ConfigError",
    "DstGap",
    "DstOverlap",
    "EventExecution",
    "EventRecord",
    "EventState",
    "HostInfo",
    "Misfire",
    "Mode",
    "MqttConnection",
    "MqttMessage",
    "Notification",
    "OnGap",
    "OnInterrupted",
    "OnRepeat",
    "Permanent",
    "PluginContext",
    "Readings",
    "Retryable",
    "Schedule",
    "ScheduleContext",
    "ScheduleType",
    "ScheduledEvent",
    "ServiceContext",
    "ServiceType",
    "ServiceUnavailable",
    "Sink",
    "SinkContext",
    "SinkType",
    "Status",
    "Store",
    "StoreContext",
    "StoreError",
    "StoreType",
    "Trigger",
    "check_topic",
    "clock_changes",
    "first_instant",
    "from_epoch",
    "hookimpl",
    "instants_of",
    "load_timezone",
    "next_instant",
    "reading_at",
    "to_epoch",
    "to_wire",
]
