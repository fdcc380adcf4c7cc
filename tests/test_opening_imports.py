"""What our plugins import late they import in a thread: the loop goes on meanwhile."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys, threading
from importlib import import_module
import asyncio, concurrent.futures, email.message, ssl, trio
from alicia_scheduler.testing import TestContext

package, opener, options = sys.argv[1:]
module = import_module(package)
config = [getattr(module, options)()] if options else []
imported = {"loop": set(), "thread": set()}

def listen(event, arguments):
    top = arguments[0].partition(".")[0] if event == "import" else "sys"
    if top not in sys.stdlib_module_names:
        here = threading.current_thread() is threading.main_thread()
        imported["loop" if here else "thread"].add(arguments[0])

async def main():
    sys.addaudithook(listen)
    try:
        async with getattr(module, opener)(*config, TestContext("test")):
            pass
    except Exception:
        pass  # what it needs is not there

trio.run(main)
print(len(imported["thread"]), *sorted(imported["loop"]))
"""


@pytest.mark.parametrize(
    ("package", "opener", "options"),
    [
        ("alicia_mqtt", "open_mqtt", "MqttConfig"),
        ("alicia_mqtt_native", "open_mqtt_native", "MqttConfig"),
        ("alicia_action_http", "open_http", ""),
        ("alicia_service_alicia_bus", "open_alicia_bus", "AliciaBusConfig"),
        ("alicia_action_service", "open_service_call", ""),
        ("alicia_action_script", "open_script", ""),
        ("alicia_action_mqtt", "open_publish", ""),
    ],
)
def test_opening_a_part_imports_nothing_on_the_loop(package, opener, options):
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM, package, opener, options],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split()
    # What import_module itself names is not told, only what follows from it.
    late = ("alicia_mqtt", "alicia_mqtt_native", "alicia_action_http", "alicia_service_alicia_bus")
    assert (int(said[0]) > 0) == (package in late)
    assert said[1:] == []
