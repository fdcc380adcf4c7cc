"""The wire shapes of Home Assistant's WebSocket API: commands with increasing ids, results, events.

What comes in is checked here for everything that could hurt whoever looks at it later: depth, size
of numbers, text that is none. msgspec refuses the rest (NaN, lone surrogates, invalid UTF-8).
"""

from __future__ import annotations

from typing import Any

import msgspec

from alicia_scheduler.api.control import CommandError

__all__ = [
    "SOCKET_FILE",
    "WEBSOCKET_PATH",
    "decode",
    "error_result",
    "event_message",
    "id_of",
    "ok_result",
    "parse_command",
    "pong",
    "text_frame",
]

SOCKET_FILE = "alicia.sock"
"""Name of the Unix socket in the state directory."""

WEBSOCKET_PATH = "/api/websocket"
"""Where both doors answer; ``/`` is as good."""

MAX_DEPTH = 64
"""Deepest nesting of a message. What is below would overflow readers that recurse."""

MAX_COMMANDS = 1000
"""Commands in one frame."""

LARGEST = 2**53
"""Ids and all other whole numbers stay below: what every reader of JSON holds exactly."""

NAME_LIMIT = 128


def decode(text: str) -> list[Any]:
    """The messages of a frame: one, or those of an array.

    Raises:
        CommandError: ``invalid_format``: it is not JSON, too deep, or has too large numbers.
    """
    try:
        data = msgspec.json.decode(text)
    except RecursionError:
        raise CommandError("invalid_format", "the message is nested too deeply") from None
    except (ValueError, MemoryError) as error:
        raise CommandError("invalid_format", f"not JSON: {error}") from error
    _check_shape(data)
    if not isinstance(data, list):
        return [data]
    if not 0 < len(data) <= MAX_COMMANDS:
        raise CommandError("invalid_format", f"an array holds 1 to {MAX_COMMANDS} commands")
    return data


def _check_shape(data: object) -> None:
    stack: list[tuple[object, int]] = [(data, 0)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, int):
            if abs(value) > LARGEST:
                raise CommandError("invalid_format", "a number is too large")
        elif isinstance(value, (dict, list)):
            if depth >= MAX_DEPTH:
                message = f"the message is nested deeper than {MAX_DEPTH} levels"
                raise CommandError("invalid_format", message)
            items = value.values() if isinstance(value, dict) else value
            stack.extend((item, depth + 1) for item in items)


def id_of(message: object) -> int | None:
    """The id of a command, whatever else is wrong with it; None when it has none."""
    number = message.get("id") if isinstance(message, dict) else None
    return number if type(number) is int and number > 0 else None


def parse_command(message: object, last_id: int) -> tuple[int, str, dict[str, Any]]:
    """``(id, type, arguments)`` of a command.

    Raises:
        CommandError: ``invalid_format``: it is no object, or its ``id`` or ``type`` is wrong;
            ``id_reuse``: its id is not greater than the last one.
    """
    if not isinstance(message, dict):
        raise CommandError("invalid_format", "a command is a JSON object")
    number = id_of(message)
    if number is None:
        raise CommandError("invalid_format", "id must be a whole number from 1", path=("id",))
    name = message.get("type")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        raise CommandError("invalid_format", "must be the name of a command", path=("type",))
    if number <= last_id:
        raise CommandError("id_reuse", f"ids must increase; the last one was {last_id}")
    return number, name, {key: item for key, item in message.items() if key not in ("id", "type")}


def ok_result(number: int, result: object) -> str:
    """The answer to a command that was carried out."""
    message = {"id": number, "type": "result", "success": True, "result": result}
    return msgspec.json.encode(message).decode()


def error_result(number: int | None, error: CommandError) -> str:
    """The answer to a command that was refused."""
    message = {
        "id": number,
        "type": "result",
        "success": False,
        "error": error.to_json(),
    }
    return msgspec.json.encode(message).decode()


def event_message(subscription: int, event: str) -> str:
    """A notification, given as JSON, for a subscription."""
    return f'{{"id":{subscription},"type":"event","event":{event}}}'


def text_frame(text: str) -> bytes:
    """A whole message as one frame of a server (RFC 6455 section 5.2): not masked, so that it is
    the same for everybody who is sent it."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def pong(number: int) -> str:
    """The answer to ``ping``."""
    return f'{{"id":{number},"type":"pong"}}'
