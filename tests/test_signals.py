"""Hearing that the process is to end."""

import asyncio
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from toolbox.signals import told_of_end


@pytest.fixture
def passed_on() -> Iterator[list[int]]:
    """The signals that the handlers of before have heard of."""
    heard = list[int]()

    def handle(number: int, _frame: FrameType | None) -> None:
        heard.append(number)

    earlier = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    yield heard
    for number, handler in earlier.items():
        signal.signal(number, handler)


async def test_a_signal_is_passed_on_when_the_end_is_prepared(passed_on: list[int]) -> None:
    begun, may_end, hurried = asyncio.Event(), asyncio.Event(), list[str]()

    async def end() -> None:
        begun.set()
        await may_end.wait()

    with told_of_end(end, hurry=lambda: hurried.append("hurry")):
        os.kill(os.getpid(), signal.SIGTERM)
        await begun.wait()
        assert (passed_on, hurried) == ([], [])
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert hurried == ["hurry"]
        may_end.set()
        while not passed_on:
            await asyncio.sleep(0)
    assert passed_on == [signal.SIGTERM]
    os.kill(os.getpid(), signal.SIGTERM)
    assert passed_on == [signal.SIGTERM, signal.SIGTERM]


async def test_a_parent_that_passes_ctrl_c_on_hurries_nobody(passed_on: list[int]) -> None:
    hurried, may_end = list[str](), asyncio.Event()

    async def end() -> None:
        await may_end.wait()

    with told_of_end(end, hurry=lambda: hurried.append("hurry")):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0)
        assert hurried == []
        may_end.set()
        while not passed_on:
            await asyncio.sleep(0)
    assert passed_on == [signal.SIGINT]
