"""The services that are known on the Alicia bus: where they take requests, where they answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One kind of service.

    Attributes:
        summary: one line for people.
        request_topic: ``{name}`` stands for that key of the event's ``target``.
        required, optional: the fields of a request. What else it is sent, the service passes over.
        any_field: the fields are not known.
        choices: the values that a field may have, where they are known.
        from_target: keys of the target that are fields of the request too.
        reply_topic, error_topic: where it answers; None: it does not.
        match: the field that an answer shares with its request.
        strict: an answer without that field is somebody else's.
        success: the place in an answer that says whether it worked; None: the usual words.
    """

    summary: str
    request_topic: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    from_target: tuple[str, ...] = ()
    reply_topic: str | None = None
    error_topic: str | None = None
    match: str | None = None
    strict: bool = True
    success: str | None = None
    any_field: bool = False
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def target(self) -> tuple[str, ...]:
        """The keys that an event's target must have."""
        topics = f"{self.request_topic} {self.reply_topic}"
        return tuple(dict.fromkeys(re.findall(r"\{(\w+)\}", topics)))

    @property
    def fields(self) -> tuple[str, ...]:
        """All fields of a request that an event may give."""
        return self.required + self.optional


def _device(verb: str, through: str) -> Preset:
    return Preset(
        summary=f"command a device through {through}",
        request_topic=f"alicia/devices/{{device_id}}/{verb}",
        required=("command",),
        optional=("parameters",),
        reply_topic="alicia/devices/{device_id}/response",
        match="command_id",
    )


PRESETS: dict[str, Preset] = {
    "tts": Preset(
        summary="speak a text",
        request_topic="alicia/voice/tts/request",
        required=("text",),
        optional=("voice", "session_id"),
        reply_topic="alicia/voice/tts/response",
        error_topic="alicia/voice/tts/error",
        match="session_id",
        success="synthesis.success",
    ),
    "assistant": Preset(
        summary="ask the assistant",
        request_topic="alicia/voice/ai/request",
        required=("text",),
        optional=("session_id", "context"),
        reply_topic="alicia/voice/ai/response",
        error_topic="alicia/voice/ai/error",
        match="session_id",
        success="ai_response.success",
    ),
    "announce": Preset(
        summary="play a sound on speakers",
        request_topic="alicia/devices/speakers/announce",
        required=("speaker_ids", "audio_path"),
        optional=("volume",),
    ),
    "sonos": Preset(
        summary="command a Sonos speaker: set_volume, play_audio, stop",
        request_topic="alicia/devices/sonos/{speaker_id}/command",
        required=("command",),
        optional=("volume", "audio_url"),
        choices={"command": ("set_volume", "play_audio", "stop")},
    ),
    "device_command": _device("command", "the device manager"),
    "device_control": _device("control", "device control"),
    "ha_service": Preset(
        summary="call a service of Home Assistant through the bridge, which does not answer",
        request_topic="alicia/integration/ha/service",
        required=("domain", "service"),
        optional=("service_data",),
    ),
    "ha_state": Preset(
        summary="get_state or set_state of an entity through the bridge",
        request_topic="alicia/integration/ha/command",
        required=("command",),
        optional=("parameters",),
        from_target=("entity_id",),
        choices={"command": ("get_state", "set_state")},
        reply_topic="alicia/devices/ha_{entity_id}/status",
        match="entity_id",
    ),
    "personality": Preset(
        summary="give a user's assistant a personality",
        request_topic="alicia/personality/activate",
        required=("user_id", "personality_id"),
        reply_topic="alicia/personality/activated",
        match="user_id",
        strict=False,
    ),
    "capability": Preset(
        summary="ask whoever has a capability; fields and answers are its own",
        request_topic="capability:{name}",
        any_field=True,
    ),
}
"""By the name that an event writes as ``preset``."""
