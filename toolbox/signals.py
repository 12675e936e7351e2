"""Hearing that the process is to end, before the server begins to wait for its open connections."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def told_of_end(callback: Callable[[], None]) -> Iterator[None]:
    """Run a callback in the event loop when a signal asks the process to end, while the block runs.

    A server waits for its connections to close before it lets the application shut down, so streams that stay open
    would hold it up. Whatever handles the signal already does so still.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in _ENDING}

    def tell(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)
        handler = earlier[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    handled = [number for number, handler in earlier.items() if callable(handler)]
    for number in handled:
        signal.signal(number, tell)
    try:
        yield
    finally:
        for number in handled:
            if signal.getsignal(number) is tell:
                signal.signal(number, earlier[number])
