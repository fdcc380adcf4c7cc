"""What an event's ``action = { type = "service_call", … }`` may say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alicia_action_service.places import parse_place
from alicia_action_service.presets import PRESETS, Preset
from alicia_scheduler.api import ConfigError, check_topic

__all__ = ["ServiceCallConfig", "SuccessCheck"]

Seconds = Annotated[float, Meta(gt=0, le=86_400)]

SERVICE = re.compile(r"[a-z][a-z0-9_]*\.[a-z0-9_]+")
ENTITY = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+|[0-9a-f]{32}|all|none")
"""An entity's id, or its id in the registry, or one of the two words that Home Assistant knows."""

HA_TARGET = ("entity_id", "device_id", "area_id", "floor_id", "label_id")

BELONGS = {
    "service": ("host", "home_assistant"),
    "target": ("bus", "home_assistant"),
    "preset": ("bus",),
    "request_topic": ("bus",),
    "reply_topic": ("bus",),
    "error_topic": ("bus",),
    "match": ("bus",),
    "success": ("bus",),
    "expect_answer": ("bus",),
    "envelope": ("bus",),
    "qos": ("bus",),
    "answer_timeout": ("bus", "home_assistant"),
    "return_response": ("home_assistant",),
    "idempotent": ("home_assistant",),
}
"""The options that mean something only on some of the ways."""


class SuccessCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place in an answer, and what must stand there for the call to have worked.

    Attributes:
        path: names and indices, as ``synthesis.success`` or ``items[0].state``.
        equals: the value there; left out, any value will do.
    """

    path: str
    equals: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        try:
            parse_place(self.path)
        except ValueError as error:
            raise ConfigError(str(error), path=("path",), hint="synthesis.success") from None


class ServiceCallConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service, what it is given, and the way to it.

    Attributes:
        via: ``host`` calls what the plugins of this host and the scheduler itself offer, ``bus``
            asks over MQTT, ``home_assistant`` calls a service of Home Assistant.
        service: ``domain.service``, in the host and in Home Assistant.
        data: what the service is given.
        target: in Home Assistant the entities, devices, areas, floors and labels that are meant;
            on the bus the values for the names in a preset's topics.
        preset: a service that is known on the Alicia bus.
        request_topic: the topic of any other service.
        reply_topic: where it answers; by default a topic for this one call, told to the service.
        error_topic: where it answers when it failed.
        match: the field that an answer shares with its request, where MQTT 5's correlation data
            is not available; by default ``request_id``.
        success: what an answer must hold; by default ``success`` must not be false, and
            ``status`` no word of failure.
        expect_answer: whether the call ends with the answer, or when the broker has the request.
        envelope: ``alicia`` wraps the request for the services of the Alicia bus, which is the
            default with a preset; ``none`` sends the data as they are.
        qos: of the request and of what it subscribes to.
        answer_timeout: seconds to wait for an answer. The event's ``timeout`` bounds it too.
        return_response: whether the service's own data are asked for.
        idempotent: calling twice does no harm, so a call whose result got lost is tried again.

    Raises:
        ConfigError: something of it cannot be meant.
    """

    via: Literal["host", "bus", "home_assistant"] = "host"
    service: str | None = None
    data: dict[str, Any] = msgspec.field(default_factory=dict)
    target: dict[str, str | tuple[str, ...]] = msgspec.field(default_factory=dict)
    preset: str | None = None
    request_topic: str | None = None
    reply_topic: str | None = None
    error_topic: str | None = None
    match: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    success: SuccessCheck | None = None
    expect_answer: bool | None = None
    envelope: Literal["alicia", "none"] | None = None
    qos: Literal[0, 1, 2] = 1
    answer_timeout: Seconds = 30.0
    return_response: bool = False
    idempotent: bool = False

    def __post_init__(self) -> None:
        self._check_way()
        if self.via == "bus":
            self._check_bus()
            return
        if self.service is None:
            raise ConfigError("the key 'service' is missing", path=("service",), hint=EXAMPLE)
        if SERVICE.fullmatch(self.service) is None:
            raise ConfigError(
                f"{self.service!r} is not the name of a service", path=("service",), hint=EXAMPLE
            )
        if self.via == "home_assistant":
            self._check_ha_target()

    @property
    def known(self) -> Preset | None:
        """The preset, if one is named."""
        return PRESETS.get(self.preset or "")

    @property
    def answered(self) -> bool:
        """True when the call waits for an answer."""
        if self.expect_answer is not None:
            return self.expect_answer
        return self.known is None or bool(self.reply_topic or self.known.reply_topic)

    def _check_way(self) -> None:
        defaults = dict(zip(self.__struct_fields__, self.__struct_defaults__, strict=True))
        for key, ways in BELONGS.items():
            value = getattr(self, key)
            if self.via in ways or value == {} or value == defaults[key]:
                continue
            others = " or ".join(f'via = "{way}"' for way in ways)
            raise ConfigError(
                f"has no meaning with via = {self.via!r}", path=(key,), hint=f"it is for {others}"
            )

    def _check_ha_target(self) -> None:
        for key, value in self.target.items():
            if key not in HA_TARGET:
                raise _unknown("target", key, HA_TARGET, "keys of a target")
            if not value:
                raise ConfigError(
                    "names nobody",
                    path=("target", key),
                    hint=f"the id of one {key[:-3]}, or a list",
                )
            for index, item in enumerate((value,) if isinstance(value, str) else value):
                path = ("target", key) if isinstance(value, str) else ("target", key, index)
                if key == "entity_id" and ENTITY.fullmatch(item) is None:
                    raise ConfigError(f"{item!r} is no entity", path=path, hint="light.kitchen")
                if not item:
                    raise ConfigError("is empty", path=path, hint=f"the id of one {key[:-3]}")

    def _check_bus(self) -> None:
        if (self.preset is None) == (self.request_topic is None):
            raise ConfigError(
                "says not what is to be called"
                if self.preset is None
                else "preset and request_topic exclude each other",
                path=("request_topic",),
                hint="write preset for a known service, or request_topic for any other",
            )
        for key in ("request_topic", "reply_topic", "error_topic"):
            topic = getattr(self, key)
            if topic is not None and (problem := check_topic(topic)):
                raise ConfigError(f"{topic[:100]!r} {problem}", path=(key,))
        if self.preset is not None:
            self._check_preset(self.preset)
        elif self.target:
            raise ConfigError(
                "has no meaning without preset", path=("target",), hint="put it into request_topic"
            )
        if not self.answered:
            self._check_unanswered()
        self._check_reserved()

    def _check_unanswered(self) -> None:
        for key in ("reply_topic", "error_topic", "match", "success"):
            if getattr(self, key) is not None:
                raise ConfigError(
                    "has no meaning where no answer is waited for",
                    path=(key,),
                    hint="expect_answer = true",
                )

    def _check_reserved(self) -> None:
        """Fields that the action writes itself, anew for each attempt."""
        known = self.known
        ours = {"reply_topic"}
        if self.answered and not (known is not None and self._match_given):
            ours.add(self.match or (known.match if known is not None else None) or "request_id")
        for key in self.data:
            if key in ours and self.answered:
                raise ConfigError(
                    "is written by the action itself, anew for each call",
                    path=("data", key),
                    hint="leave it out",
                )

    @property
    def _match_given(self) -> bool:
        """True when the field that answers are matched by is one that the event may choose."""
        match = self.match or (self.known.match if self.known is not None else None)
        known = self.known
        return known is not None and match in (*known.fields, *known.from_target)

    def _check_preset(self, name: str) -> None:
        known = PRESETS.get(name)
        if known is None:
            raise _unknown("", name, PRESETS, "presets", key="preset")
        for key in known.target:
            value = self.target.get(key)
            if value is None:
                raise ConfigError(
                    f"the key {key!r} is missing", path=("target",), hint=f'{key} = "…"'
                )
            if (
                not isinstance(value, str)
                or not value
                or set(value) & set("/+#")
                or (check_topic(f"x{value}"))
            ):
                raise ConfigError(
                    f"{value!r} cannot stand in a topic",
                    path=("target", key),
                    hint="one name, without / + and #",
                )
        for key in self.target:
            if key not in known.target:
                raise _unknown("target", key, known.target, f"targets of the preset {name!r}")
        for key in known.required:
            if key not in self.data:
                raise ConfigError(
                    f"the key {key!r} is missing",
                    path=("data",),
                    hint=f"the preset {name!r} takes {', '.join(known.fields)}",
                )
        for key, value in self.data.items():
            if key not in known.fields and not known.any_field:
                raise _unknown("data", key, known.fields, f"fields of the preset {name!r}")
            if key in known.choices and value not in known.choices[key]:
                words = ", ".join(known.choices[key])
                raise ConfigError(
                    f"the preset {name!r} knows no {key} {value!r}",
                    path=("data", key),
                    hint=f"it knows {words}",
                )


EXAMPLE = 'domain.service, as "scheduler.trigger" or "light.turn_on"'


def _unknown(
    table: str, name: str, known: Collection[str], what: str, *, key: str | None = None
) -> ConfigError:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"{what}: {', '.join(known) or 'none'}"
    if key is not None:
        return ConfigError(f"there is no {key} {name!r}", path=(key,), hint=hint)
    return ConfigError(f"unknown key {name!r}", path=(table, name), hint=hint)
