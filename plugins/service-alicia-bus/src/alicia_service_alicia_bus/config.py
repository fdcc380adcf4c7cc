"""What ``[services.alicia_bus]`` may say."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from alicia_scheduler.api import ConfigError, Permission, check_filter, check_topic

__all__ = ["AliciaBusConfig", "EnvelopeStyle"]

EnvelopeStyle = Literal["standard", "hybrid", "flat", "none"]
"""How a message of ours is wrapped; see :mod:`alicia_service_alicia_bus.envelope`."""

LEVEL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""A name that is a level of topics."""

WITHHELD = frozenset({"script_execution"})
"""Action types that the bus cannot put into an event unless the configuration says so: whoever
can publish would have a shell."""

DAY = 86_400


class AliciaBusConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the door lets in, and what it says by itself.

    Attributes:
        prefix: topic below which commands come, without a slash at the end; None means the
            connection's.
        bus: first level of the topics that all services of the bus share.
        service_name: what this host is called on the bus; two hosts on one need two names.
        instance_id: which of several of this name; None means the host's instance.
        requests: answer ``<prefix>/command/<noun>/<verb>``.
        flat_commands: answer the original's commands on ``<prefix>/+``.
        permission: what senders may do.
        allow, deny: commands, as globs of their names; what both name is denied.
        allow_actions: action types that senders may use although they are withheld.
        envelope: how replies to flat commands, and what the host says by itself, are wrapped.
        reply_topics: filters of the topics that senders may have replies sent to.
        max_payload: bytes of the longest command or report.
        max_rate: commands and reports a second, on average; twice as many may come at once.
        max_in_flight: commands that are carried out at a time.
        max_waiting: commands that wait for their turn.
        command_timeout: seconds that one command may take.
        remember, remember_limit: seconds that an answer is kept for a repetition of its command,
            and how many are.
        default_ttl: seconds that a command with a time but without a ``ttl`` is good for.
        clock_skew: seconds that a sender's clock may differ from ours.
        completion_topic: filter on which completion reports come; None for none.
        registration: tell the bus's discovery of this service.
        health_interval: seconds between two reports of health; 0 for none but when asked.
        control: obey the orchestrator.
        restart: what the command ``restart`` does.

    Raises:
        ConfigError: a value that can never work.
    """

    prefix: str | None = None
    bus: str = "alicia"
    service_name: str = "event_scheduler"
    instance_id: str | None = None
    requests: bool = True
    flat_commands: bool = True
    permission: Permission = Permission.ADMIN
    allow: tuple[str, ...] = (
        "events/*",
        "executions/*",
        "scheduler/*",
        "preview",
        "explain",
        "stats",
        "health",
    )
    deny: tuple[str, ...] = ()
    allow_actions: tuple[str, ...] = ()
    envelope: EnvelopeStyle = "hybrid"
    reply_topics: tuple[str, ...] = ("#",)
    max_payload: Annotated[int, Meta(ge=1024, le=1024 * 1024)] = 256 * 1024
    max_rate: Annotated[float, Meta(ge=1, le=10_000)] = 50.0
    max_in_flight: Annotated[int, Meta(ge=1, le=1000)] = 8
    max_waiting: Annotated[int, Meta(ge=1, le=10_000)] = 100
    command_timeout: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    remember: Annotated[float, Meta(ge=0, le=DAY)] = 600.0
    remember_limit: Annotated[int, Meta(ge=0, le=100_000)] = 1000
    default_ttl: Annotated[float, Meta(gt=0, le=DAY)] = 300.0
    clock_skew: Annotated[float, Meta(ge=0, le=DAY)] = 30.0
    completion_topic: str | None = "alicia/events/+"
    registration: bool = True
    health_interval: Annotated[float, Meta(ge=0, le=DAY)] = 60.0
    control: bool = True
    restart: Literal["reload", "exit", "ignore"] = "reload"

    def __post_init__(self) -> None:
        for name in ("prefix", "bus"):
            self._check_topic(name)
        for name in ("service_name", "instance_id"):
            value = getattr(self, name)
            if value is not None and LEVEL.fullmatch(value) is None:
                raise ConfigError(
                    f"{name} {value[:100]!r} cannot be a level of a topic",
                    path=(name,),
                    hint="1 to 64 of A-Z a-z 0-9 _ . -",
                )
        filters = [(("completion_topic",), self.completion_topic)] if self.completion_topic else []
        for path, topic_filter in (
            *filters,
            *((("reply_topics", n), topic) for n, topic in enumerate(self.reply_topics)),
        ):
            if topic_filter is not None and (problem := check_filter(topic_filter)):
                raise ConfigError(f"the filter {topic_filter[:100]!r} {problem}", path=path)
        if self.completion_topic == "":
            raise ConfigError(
                "completion_topic is empty",
                path=("completion_topic",),
                hint="name a topic that nobody publishes to, if no reports are wanted",
            )

    def _check_topic(self, name: str) -> None:
        topic = getattr(self, name)
        if topic is None:
            return
        if problem := check_topic(topic):
            raise ConfigError(f"{name} {topic[:100]!r} {problem}", path=(name,))
        if topic.startswith("/") or topic.endswith("/"):
            raise ConfigError(
                f"{name} {topic[:100]!r} begins or ends with a slash",
                path=(name,),
                hint=f"write {topic.strip('/')!r}",
            )

    @property
    def denied_actions(self) -> frozenset[str]:
        """Action types that senders cannot use."""
        return WITHHELD - set(self.allow_actions)
