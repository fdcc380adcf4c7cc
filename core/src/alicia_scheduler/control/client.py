"""Speaking to a running host over its Unix socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import trio
from trio_websocket import wrap_client_stream

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.control.messages import SOCKET_FILE

__all__ = ["NoHost", "call"]

TIMEOUT = 30.0
"""Seconds that a command may take, unless it is known to take longer."""


class NoHost(Exception):
    """No host answers for a state directory."""


def call(state_dir: Path, name: str, *, timeout: float = TIMEOUT, **arguments: Any) -> Any:
    """Send one command to the host of ``state_dir`` and return its result. Blocking.

    Args:
        timeout: seconds that the host has to answer.

    Raises:
        NoHost: none runs, or it does not answer.
        CommandError: the host refused the command.
    """
    return trio.run(_call, state_dir / SOCKET_FILE, name, timeout, arguments)


async def _call(path: Path, name: str, timeout: float, arguments: dict[str, Any]) -> Any:
    answer: dict[str, Any] | None = None
    try:
        with trio.fail_after(timeout):
            stream = await trio.open_unix_socket(str(path))
            async with stream, trio.open_nursery() as nursery:
                connection = await wrap_client_stream(nursery, stream, "localhost", "/")
                await connection.get_message()  # auth_ok
                command = {"id": 1, "type": name, **arguments}
                await connection.send_message(msgspec.json.encode(command).decode())
                answer = msgspec.json.decode(await connection.get_message())
                nursery.cancel_scope.cancel()
    except (OSError, trio.TooSlowError) as error:
        raise NoHost(f"no host answers at {path}: {error}") from error
    if answer is None:
        raise NoHost(f"the host at {path} closed the connection")
    if not answer["success"]:
        refusal = answer["error"]
        raise CommandError(
            refusal["code"],
            refusal["message"],
            hint=refusal.get("hint"),
            path=tuple(refusal.get("path", ())),
        )
    return answer["result"]
