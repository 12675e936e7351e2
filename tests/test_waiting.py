"""Watching work only while it has to wait."""

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from toolbox.errors import Overloaded
from toolbox.ids import new_id
from toolbox.waiting import Places, TimeLimit, Watched


class Watch:
    """Says what it has seen."""

    def __init__(self) -> None:
        self.seen = list[str]()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.seen.append("begun")
        try:
            yield
        except BaseException as error:
            self.seen.append(type(error).__name__)
            raise
        finally:
            self.seen.append("ended")


async def give(value: int, *, waits: int = 0) -> int:
    for _ in range(waits):
        await asyncio.sleep(0)
    return value


async def test_work_that_need_not_wait_is_not_watched() -> None:
    watch = Watch()
    assert await Watched(give(1), watch) == 1
    assert watch.seen == []


@pytest.mark.parametrize("waits", [1, 3])
async def test_work_that_waits_is_watched_until_its_end(waits: int) -> None:
    watch = Watch()
    assert await Watched(give(2, waits=waits), watch) == 2
    assert watch.seen == ["begun", "ended"]


async def test_what_is_thrown_in_reaches_the_work_and_what_it_raises_the_watch() -> None:
    watch, heard = Watch(), list[str]()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise ValueError("in its own words") from None

    task = asyncio.create_task(_await(Watched(work(), watch)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ValueError, match="in its own words"):
        await task
    assert (heard, watch.seen) == (["cancelled"], ["begun", "ValueError", "ended"])


async def test_a_time_limit_ends_what_waits_too_long() -> None:
    limit = TimeLimit(0.01)
    with pytest.raises(TimeoutError):
        await Watched(asyncio.Event().wait(), lambda: limit)
    assert limit.has_expired
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_time_limit_leaves_a_cancellation_by_others_alone() -> None:
    limit = TimeLimit(60)
    task = asyncio.create_task(_await(Watched(asyncio.Event().wait(), lambda: limit)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not limit.has_expired


def test_ids_are_of_version_4_and_never_the_same() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {(one.version, one.variant) for one in ids} == {(4, "specified in RFC 4122")}


async def _await(work: Watched[object]) -> object:
    return await work


async def test_places_are_given_to_whoever_came_first_and_a_full_line_refuses() -> None:
    places, went = Places[str](1, queue=2, what="the hall"), list[int]()

    async def go(number: int, line: str) -> None:
        async with places.place(line):
            went.append(number)
            await asyncio.sleep(0)

    first = [asyncio.create_task(go(number, line)) for number, line in enumerate(["a", "b", "a"])]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="2 wait for a place in the hall"):
        await go(3, "b")
    await asyncio.gather(*first)
    assert (went, places.running, places.waiting) == ([0, 1, 2], 0, 0)


async def test_a_place_is_not_waited_for_longer_than_patience_lasts() -> None:
    places = Places[None](1, queue=2, what="the hall")
    async with places.place(None):
        with pytest.raises(Overloaded, match="became free"):
            await places.enter(None, patience_seconds=0.01)
    assert (places.running, places.waiting) == (0, 0)
