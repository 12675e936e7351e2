"""Hearing that the process is to end, before the server begins to wait for its open connections."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def told_of_end(end: Callable[[], Awaitable[None]], hurry: Callable[[], None]) -> Iterator[None]:
    """Run `end` in the event loop when a signal asks the process to end, and `hurry` when another one follows.

    A server that is told at once takes no more connections, and waits for those that there are before it lets the
    application shut down. So whatever handles the signal already hears of it only when `end` is over, and never of the
    one that hurries: the server would drop everything where it stands, while with nothing left to wait for it ends at
    once and in good order. Of Ctrl-C, all processes of a terminal hear at the same time as their parent, which then
    sends SIGTERM to its children: that is no other wish.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    earlier = {number: signal.getsignal(number) for number in _ENDING}
    heard: list[int] = []
    ends: list[asyncio.Task[None]] = []

    async def end_and_pass_on(number: int) -> None:
        try:
            await end()
        finally:
            handler = earlier[signal.Signals(number)]
            if callable(handler):
                handler(number, None)

    def begin(number: int) -> None:
        ends.append(loop.create_task(end_and_pass_on(number)))

    def tell(number: int, _frame: FrameType | None) -> None:
        if not heard:
            loop.call_soon_threadsafe(begin, number)
        elif number == signal.SIGINT or heard[0] == signal.SIGTERM:
            loop.call_soon_threadsafe(hurry)
        heard.append(number)

    handled = [number for number, handler in earlier.items() if callable(handler)]
    for number in handled:
        signal.signal(number, tell)
    try:
        yield
    finally:
        for task in ends:
            task.cancel()
        for number in handled:
            if signal.getsignal(number) is tell:
                signal.signal(number, earlier[number])


@contextlib.contextmanager
def told_of_hangup(reload: Callable[[], None]) -> Iterator[None]:
    """Run `reload` in the event loop when SIGHUP asks for it, as daemons do; without this it would end the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
