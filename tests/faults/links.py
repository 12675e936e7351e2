"""A link between a replica and what it needs, which can be slow, lose what is sent, fall silent, or be cut.

A small TCP proxy. What is lost on a TCP connection is sent again, so a lossy link is one on which now and then nothing
comes for a while; a silent one takes what it is given and delivers nothing, until whoever waits gives up.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

RESENT_SECONDS = (0.2, 1.0)
"""How long what was lost takes to come after all: one or two timeouts of TCP."""


class Link:
    """Listens on a port of its own, and passes on what comes in both directions."""

    def __init__(self, target: str | tuple[str, int]) -> None:
        """`target` is the path of a socket, or a host and a port."""
        self.port = 0
        self._target = target
        self._connections = set[asyncio.StreamWriter]()
        self._passing = set[asyncio.Task[None]]()
        self._server: asyncio.Server | None = None
        self.heal()

    def heal(self) -> None:
        """Be as good as a link can be; what was lost in silence stays lost."""
        self.delay_seconds = 0.0
        self.loss = 0.0
        self.is_silent = False

    def cut(self) -> None:
        """Reset all connections; new ones are taken."""
        for writer in self._connections:
            writer.transport.abort()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator["Link"]:
        """Be there while the block runs."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self._server.close()
            self.cut()
            for task in self._passing:
                task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._target, str):
                to_reader, to_writer = await asyncio.open_unix_connection(self._target)
            else:
                to_reader, to_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()  # nobody is there
            return
        for source, sink, origin in ((reader, to_writer, writer), (to_reader, writer, to_writer)):
            task = asyncio.create_task(self._pass(source, sink, origin))
            self._passing.add(task)
            task.add_done_callback(self._passing.discard)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, origin: asyncio.StreamWriter
    ) -> None:
        self._connections.add(sink)
        is_lost = False
        try:
            while data := await source.read(65_536):
                is_lost = is_lost or self.is_silent  # a gap in a stream is never closed
                if is_lost:
                    continue
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if self.loss and random.random() < self.loss:
                    await asyncio.sleep(random.uniform(*RESENT_SECONDS))
                sink.write(data)
                await sink.drain()
        except OSError:
            origin.transport.abort()
        finally:
            self._connections.discard(sink)
            sink.close()
