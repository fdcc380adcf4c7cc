"""The brokers that can be run, and the command line of each."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

import msgspec

from alicia_broker.config import BrokerConfig
from alicia_scheduler.api import AliciaError

__all__ = ["BrokerMissing", "Program", "choose_program"]

SYSTEM_PATH = "/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
"""Where Mosquitto is found although a user's PATH does not lead there."""


class BrokerMissing(AliciaError):
    """There is no broker to run."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A command line; ``stdin`` is what the program reads from its standard input."""

    name: str
    command: tuple[str, ...]
    stdin: str = ""


def choose_program(config: BrokerConfig) -> Program:
    """The program to run: Mosquitto when it is installed, else amqtt.

    Raises:
        BrokerMissing: none of those that the configuration allows is installed.
    """
    if config.program in ("auto", "mosquitto") and (path := _find_mosquitto()):
        return Program(
            name="mosquitto",
            command=(path, "-c", "/dev/stdin"),
            stdin=_mosquitto_configuration(config),
        )
    if config.program in ("auto", "amqtt") and importlib.util.find_spec("amqtt") is not None:
        server = str(Path(__file__).with_name("amqtt_server.py"))
        # -P: the modules beside the script must not stand in for others of the same name.
        command = (sys.executable, "-P", server, config.host, str(config.port))
        return Program(name="amqtt", command=command)
    raise BrokerMissing(
        "no broker to run: install Mosquitto (Debian: sudo apt install mosquitto)"
        " or amqtt (pip install 'alicia-broker[amqtt]')"
    )


def _find_mosquitto() -> str | None:
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=SYSTEM_PATH)


def _mosquitto_configuration(config: BrokerConfig) -> str:
    lines = [
        f"listener {config.port} {config.host}",
        "allow_anonymous true",
        "persistence false",
        "set_tcp_nodelay true",
        "log_dest stderr",
        "log_type error",
    ]
    if os.geteuid() == 0:
        # Mosquitto would give up root, and a process that changes its user slips the leash
        # (prctl(2)): it would outlive a host that is killed.
        lines.append("user root")
    return "\n".join(lines) + "\n"
