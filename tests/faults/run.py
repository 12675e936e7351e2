"""What becomes of callers while everything breaks that ToolBox needs: one fault after the other, under load.

    tests/faults/run.sh [--callers N] [--seconds N] [--only FAULT ...] [--breaking-point | --no-breaking-point]

Two replicas, PostgreSQL, Valkey and an embedding endpoint, all real, on this machine; callers who never pause. While a
fault lasts an answer may be 503, and a connection may be cut whose replica is killed. Nothing else may go wrong: no
other error, no wrong answer, nothing lost that was promised (a call's id, a result's handle, a task, a tool, a key).
After each fault the time is printed until all answers were right again. At last ever more callers come, unless some
faults alone are wanted. The exit status is 1 if anything was wrong.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Literal

import httpx
from msgspec import Struct

from tests.faults.callers import Callers, find_losses
from tests.faults.parts import Installation, installed

CALLERS = 8
SECONDS = 6.0
"""How long a fault lasts."""
PATIENCE_SECONDS = 60.0
"""How long after a fault all must be well again."""
WELL_SECONDS = 2.0
"""How long all answers are right before that counts as recovered."""
CALM = ("right",)

Link = Literal["database_link", "redis_link"]
Step = Callable[[Installation, Callers, float], Awaitable[None]]


class Outcome(Struct):
    """What callers noticed of a fault."""

    name: str
    counts: Counter[str]
    recovered_seconds: float
    slowest_seconds: float
    is_expected: bool


async def nothing(_parts: Installation, _callers: Callers, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def stop_postgres(parts: Installation, _callers: Callers, seconds: float) -> None:
    await asyncio.to_thread(parts.postgres.stop)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(parts.postgres.start)


async def kill_postgres(parts: Installation, _callers: Callers, seconds: float) -> None:
    parts.postgres.kill()  # and it is started again at once
    await asyncio.sleep(seconds)


async def kill_redis(parts: Installation, _callers: Callers, seconds: float) -> None:
    parts.valkey.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(parts.valkey.start)


async def hang_endpoint(parts: Installation, _callers: Callers, seconds: float) -> None:
    parts.endpoint.behave = lambda _asked: None
    await asyncio.sleep(seconds)


def spoil(link: Link, **how: float) -> Step:
    """Delay, lose or hold back what travels over a link."""

    async def step(parts: Installation, _callers: Callers, seconds: float) -> None:
        for name, value in how.items():
            setattr(getattr(parts, link), name, value)
        await asyncio.sleep(seconds)

    return step


def cut(link: Link) -> Step:
    """Cut all connections over a link, twice a second."""

    async def step(parts: Installation, _callers: Callers, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            getattr(parts, link).cut()
            await asyncio.sleep(0.5)

    return step


async def end_replica(parts: Installation, callers: Callers, seconds: float) -> None:
    """As a cluster does it: the signal, and no more requests from when it says that it is not ready."""
    replica = parts.replicas[0]
    replica.end()
    async with httpx.AsyncClient() as client:
        while (await client.get(f"{replica.url}/health/ready")).status_code == httpx.codes.OK:
            await asyncio.sleep(0.05)
    callers.in_service.remove(replica)
    status = await asyncio.to_thread(replica.wait)
    if status:
        callers.faults.append(f"the replica ended with {status}")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(replica.start)
    callers.in_service.append(replica)


async def kill_replica(parts: Installation, callers: Callers, seconds: float) -> None:
    replica = parts.replicas[1]
    await asyncio.to_thread(replica.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(replica.start)
    del callers  # nobody tells them: they notice


FAULTS: dict[str, tuple[Step, tuple[str, ...]]] = {
    "nothing": (nothing, CALM),
    "PostgreSQL is stopped and started": (stop_postgres, ("right", "later")),
    "PostgreSQL is killed": (kill_postgres, ("right", "later")),
    "Redis is killed and started": (kill_redis, CALM),
    "the embedding endpoint hangs": (hang_endpoint, CALM),
    "50 ms more each way to the database": (spoil("database_link", delay_seconds=0.05), CALM),
    "the link to the database loses 5 %": (spoil("database_link", loss=0.05), CALM),
    "the link to the database falls silent": (spoil("database_link", is_silent=True), ("right", "later")),
    "the link to the database is cut twice a second": (cut("database_link"), ("right", "later")),
    "50 ms more each way to Redis": (spoil("redis_link", delay_seconds=0.05), CALM),
    "the link to Redis loses 5 %": (spoil("redis_link", loss=0.05), CALM),
    "the link to Redis falls silent": (spoil("redis_link", is_silent=True), CALM),
    "the link to Redis is cut twice a second": (cut("redis_link"), CALM),
    "a replica gets SIGTERM": (end_replica, CALM),
    "the other replica gets kill -9": (kill_replica, ("right", "cut")),
}
"""What happens, and which outcomes it excuses."""


async def run(wanted: list[str], *, callers: int, seconds: float, breaking_point: bool) -> list[str]:
    """All that was wrong, after one fault after the other."""
    async with installed() as parts:
        asking = Callers(parts)
        print(f"| fault, {seconds:.0f} s | right | 503 | cut | well again after s | slowest s |")
        print("|---|---|---|---|---|---|")
        wrong: list[str] = []
        async with asking.busy(callers):
            for name in wanted:
                outcome = await suffer(parts, asking, name, seconds)
                print_row(outcome)
                if not outcome.is_expected:
                    wrong.append(f"{name}: {dict(outcome.counts)}, well again after {outcome.recovered_seconds:.1f} s")
        if breaking_point:
            await find_breaking_point(asking)
        wrong += asking.faults
        promises = asking.promises
        kept = {
            "calls": promises.calls,
            "results": promises.results,
            "tasks": promises.tasks,
            "tools": promises.tools,
            "keys": promises.keys,
        }
        print(f"\nlooking for {', '.join(f'{len(made)} {name}' for name, made in kept.items())}", flush=True)
        wrong += await find_losses(parts, promises)
        errors = Counter(error for replica in parts.replicas for error in replica.read_errors())
        for error, number in errors.most_common():
            print(f"said in the logs, {number} times: {error}")
        return wrong


async def suffer(parts: Installation, asking: Callers, name: str, seconds: float) -> Outcome:
    """One fault, and what follows until all is well."""
    step, excused = FAULTS[name]
    before, faults = asking.counts.copy(), len(asking.faults)
    asking.slowest = 0.0
    await step(parts, asking, seconds)
    healed = time.monotonic()
    parts.heal()
    asking.asked_after, asking.right_at = healed, None
    is_well = await wait_until_well(asking, healed)
    recovered = max(asking.bad_at, asking.right_at or 0.0) - healed if is_well else PATIENCE_SECONDS
    counts = asking.counts - before
    for fault in asking.faults[faults:][:5]:
        print(f"  {name}: {fault}", file=sys.stderr, flush=True)
    is_expected = is_well and set(counts) <= set(excused) and counts["right"] > 0
    return Outcome(name, counts, recovered, asking.slowest, is_expected)


async def wait_until_well(asking: Callers, healed: float) -> bool:
    """Until all answers have been right for a while, and there were some."""
    while (now := time.monotonic()) < healed + PATIENCE_SECONDS:
        if asking.right_at and now - max(asking.bad_at, asking.right_at) > WELL_SECONDS:
            return True
        await asyncio.sleep(0.1)
    return False


async def find_breaking_point(asking: Callers) -> None:
    """Ever more callers, far beyond what two replicas can serve; then a few, as if nothing had been."""
    print("\n| callers | answers/s | 503 | P50 ms | P95 ms |\n|---|---|---|---|---|")
    for number in (8, 16, 32, 64, 128, 256, 512, 1024):
        await load(asking, number, 8.0)
    await asyncio.sleep(1)
    await load(asking, CALLERS, 5.0)


async def load(asking: Callers, number: int, seconds: float) -> float:
    """So many callers for a while; right answers a second."""
    before = asking.counts.copy()
    asking.waited.clear()
    start = time.monotonic()
    async with asking.busy(number):
        await asyncio.sleep(seconds)
    took, counts = time.monotonic() - start, asking.counts - before
    cuts = statistics.quantiles(asking.waited, n=20)
    rate = counts["right"] / took
    print(f"| {number} | {rate:.0f} | {counts['later']} | {1000 * cuts[9]:.0f} | {1000 * cuts[18]:.0f} |", flush=True)
    return rate


def print_row(outcome: Outcome) -> None:
    """One line of the table."""
    counts = outcome.counts
    recovered = f"{outcome.recovered_seconds:.1f}"
    mark = "" if outcome.is_expected else " **wrong**"
    print(
        f"| {outcome.name}{mark} | {counts['right']} | {counts['later']} | {counts['cut']} | {recovered} "
        f"| {outcome.slowest_seconds:.1f} |",
        flush=True,
    )


def main() -> None:
    """Break everything."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="faults:\n" + "\n".join(f'  "{name}"' for name in FAULTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--callers", type=int, default=CALLERS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that a fault lasts")
    parser.add_argument("--only", nargs="+", choices=FAULTS, metavar="FAULT")
    parser.add_argument("--breaking-point", action=argparse.BooleanOptionalAction, help="and then ever more callers")
    wanted = parser.parse_args()
    breaking_point = wanted.only is None if wanted.breaking_point is None else wanted.breaking_point
    wrong = asyncio.run(
        run(
            wanted.only or list(FAULTS),
            callers=wanted.callers,
            seconds=wanted.seconds,
            breaking_point=breaking_point,
        )
    )
    print(f"\n{len(wrong)} things were wrong")
    for each in wrong[:50]:
        print(f"- {each}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
