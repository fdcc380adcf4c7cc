"""What the tests of the action share."""

from __future__ import annotations

import ssl

import pytest

from alicia_action_http.action import HttpRequest
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.kernel import make_event
from alicia_scheduler.testing.web import WebServer


@pytest.fixture
def serve():
    """Starts a server that answers by a script."""
    servers = []

    def start(script, certificate=None, context=None):
        if certificate is not None:
            context = context or ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            certificate.configure_cert(context)
        server = WebServer(script, context)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()


@pytest.fixture
async def action():
    async with HttpRequest(TestContext("action-http")) as opened:
        yield opened


@pytest.fixture
def execution():
    return new_execution(make_event(), START)
