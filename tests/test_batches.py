"""Rows that are written in the background."""

import asyncio

from toolbox.batches import BatchWriter
from toolbox.errors import DatabaseUnavailable


async def test_rows_that_come_while_others_are_written_wait_for_each_other() -> None:
    """Else a steady stream of them would be written one by one."""
    batches, written = list[list[int]](), asyncio.Event()

    async def insert(rows: list[int]) -> None:
        batches.append(rows)
        if len(batches) == 1:
            for number in range(1, 4):
                writer.add(number)
                await asyncio.sleep(0)
        else:
            written.set()

    writer = BatchWriter[int](insert, "rows", linger_seconds=0.01)
    async with writer.running():
        writer.add(0)
        await written.wait()
    assert batches == [[0], [1, 2, 3]]


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
