"""Rows that are written in the background."""

import asyncio

import pytest

from toolbox import batches
from toolbox.batches import BatchWriter
from toolbox.errors import DatabaseUnavailable


async def test_rows_that_come_while_others_are_written_wait_for_each_other() -> None:
    """Else a steady stream of them would be written one by one."""
    seen, written = list[list[int]](), asyncio.Event()

    async def insert(rows: list[int]) -> None:
        seen.append(rows)
        if len(seen) == 1:
            for number in range(1, 4):
                writer.add(number)
                await asyncio.sleep(0)
        else:
            written.set()

    writer = BatchWriter[int](insert, "rows", linger_seconds=0.01)
    async with writer.running():
        writer.add(0)
        await written.wait()
    assert seen == [[0], [1, 2, 3]]


async def test_nobody_waits_for_a_database_that_is_away_and_nothing_is_lost_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "RETRY_SECONDS", 0.01)
    kept, is_away, tried = list[int](), True, asyncio.Event()

    async def insert(rows: list[int]) -> None:
        if is_away:
            tried.set()
            raise DatabaseUnavailable("gone")
        kept.extend(rows)

    writer = BatchWriter[int](insert, "rows")
    async with writer.running():
        assert await writer.write(1) is False  # after two attempts
        tried.clear()
        assert await writer.write(2) is False  # at once
        await tried.wait()
        is_away = False
        while kept != [1, 2]:
            await asyncio.sleep(0.01)
        assert await writer.write(3) is True
    assert (kept, writer.dropped) == ([1, 2, 3], 0)


async def test_nobody_waits_for_a_database_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "WRITE_TIMEOUT_SECONDS", 0.01)
    kept, answers = list[int](), asyncio.Event()

    async def insert(rows: list[int]) -> None:
        await answers.wait()
        kept.extend(rows)

    writer = BatchWriter[int](insert, "rows")
    async with writer.running():
        assert await writer.write(1) is False
        monkeypatch.setattr(batches, "WRITE_TIMEOUT_SECONDS", 60)
        assert await writer.write(2) is False
        answers.set()
    assert kept == [1, 2]


async def test_rows_are_written_before_the_end_or_counted_as_lost() -> None:
    kept = list[int]()

    async def insert(rows: list[int]) -> None:
        if sum(rows) > 5:
            raise DatabaseUnavailable("gone")
        kept.extend(rows)

    writer = BatchWriter[int](insert, "rows", linger_seconds=60)
    async with writer.running():
        writer.add(1)
        writer.add(2)
    assert (kept, writer.dropped, writer.waiting) == ([1, 2], 0, 0)
    failing = BatchWriter[int](insert, "rows", linger_seconds=60)
    async with failing.running():
        failing.add(6)
    assert failing.dropped == 1
