"""Hearing that the process is to end, before the server begins to wait for its open connections."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def told_of_end(end: Callable[[], None], hurry: Callable[[], None]) -> Iterator[None]:
    """Run `end` in the event loop when a signal asks the process to end, and `hurry` when Ctrl-C then follows.

    A server waits for its connections to close before it lets the application shut down, so streams that stay open
    would hold it up. Whatever handles the signal already does so still, but for the Ctrl-C that hurries: the server
    would drop everything where it stands, while with nothing left to wait for it ends at once and in good order.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in _ENDING}
    heard: list[Callable[[], None]] = []

    def tell(number: int, frame: FrameType | None) -> None:
        if heard == [end] and number == signal.SIGINT:
            heard.append(hurry)
            loop.call_soon_threadsafe(hurry)
            return
        if not heard:
            heard.append(end)
            loop.call_soon_threadsafe(end)
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
