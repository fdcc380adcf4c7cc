"""The wire shapes of Home Assistant's WebSocket API: commands with increasing ids, results."""

from __future__ import annotations

from typing import Any

import msgspec

from alicia_scheduler.api.control import CommandError

__all__ = ["SOCKET_FILE", "WEBSOCKET_PATH", "error_result", "ok_result", "parse_command"]

SOCKET_FILE = "alicia.sock"
"""Name of the Unix socket in the state directory."""

WEBSOCKET_PATH = "/api/websocket"
"""Where both doors answer; ``/`` is as good."""


def parse_command(text: str | bytes, last_id: int) -> tuple[int, str, dict[str, Any]]:
    """``(id, type, arguments)`` of a command.

    Raises:
        CommandError: it is not a JSON object, or its ``id`` or ``type`` is wrong.
    """
    try:
        message = msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise CommandError("invalid_format", f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise CommandError("invalid_format", "a command is a JSON object")
    number, name = message.pop("id", None), message.pop("type", None)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise CommandError("invalid_format", "id must be a whole number from 1")
    if not isinstance(name, str):
        raise CommandError("invalid_format", "type must be the name of a command")
    if number <= last_id:
        raise CommandError("id_reuse", f"ids must increase; the last one was {last_id}")
    return number, name, message


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
