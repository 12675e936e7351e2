"""The circuit breaker, on a clock of the test's own."""

import asyncio

import pytest

from toolbox.breaker import Breaker, BreakerOpen


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Broken(Exception):
    """The part is out of order."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(failures=3, rest_seconds=10, counted=Broken, inconclusive=LookupError, clock=clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Broken), breaker.use():
            raise Broken("no power")


def succeed(breaker: Breaker) -> bool:
    with breaker.use() as is_probe:
        return is_probe


def assert_open(breaker: Breaker) -> None:
    with pytest.raises(BreakerOpen, match="no power"), breaker.use():
        pass


def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    fail(breaker, 2)
    succeed(breaker)
    fail(breaker, 2)
    assert breaker.problem is None
    fail(breaker)
    assert breaker.problem == "no power"
    assert_open(breaker)


def test_other_errors_are_answers(breaker: Breaker) -> None:
    fail(breaker, 2)
    with pytest.raises(ValueError), breaker.use():
        raise ValueError
    fail(breaker, 2)
    assert breaker.problem is None


def test_what_says_neither_changes_nothing_and_leaves_the_next_caller_free_to_try(
    breaker: Breaker, clock: Clock
) -> None:
    def say_nothing() -> None:
        with pytest.raises(LookupError), breaker.use():
            raise LookupError

    fail(breaker, 2)
    say_nothing()
    fail(breaker)
    assert breaker.problem == "no power"
    clock.now += 10
    say_nothing()
    assert breaker.problem == "no power"
    fail(breaker)
    assert_open(breaker)


def test_after_a_rest_one_may_try_and_the_others_wait_for_what_comes_of_it(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    with breaker.use() as is_probe:
        assert is_probe
        assert_open(breaker)
    assert breaker.problem is None
    assert succeed(breaker) is False


async def test_of_many_who_come_at_once_one_tries(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    tried, go_on = list[int](), asyncio.Event()

    async def come(number: int) -> None:
        with breaker.use():
            tried.append(number)
            await go_on.wait()

    callers = [asyncio.create_task(come(number)) for number in range(10)]
    await asyncio.wait(callers, timeout=1, return_when=asyncio.FIRST_COMPLETED)
    go_on.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert len(tried) == 1
    assert [type(result) for result in results].count(BreakerOpen) == 9


def test_a_failed_try_opens_it_again_for_a_whole_rest(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    fail(breaker)
    clock.now += 9
    assert_open(breaker)
    clock.now += 1
    assert succeed(breaker) is True


async def test_a_try_that_is_cancelled_leaves_the_next_caller_free_to_try(breaker: Breaker, clock: Clock) -> None:
    fail(breaker, 3)
    clock.now += 10
    with pytest.raises(asyncio.CancelledError), breaker.use():
        raise asyncio.CancelledError
    assert breaker.problem == "no power"
    assert succeed(breaker) is True


def test_whoever_began_before_it_opened_neither_closes_it_nor_prolongs_its_rest(breaker: Breaker, clock: Clock) -> None:
    def fail_late() -> None:
        with breaker.use():
            with breaker.use():
                fail(breaker, 3)
            assert breaker.problem == "no power"
            clock.now += 9
            raise Broken("late")

    with pytest.raises(Broken):
        fail_late()
    clock.now += 1
    assert succeed(breaker) is True


def test_a_part_may_ask_for_a_rest(breaker: Breaker, clock: Clock) -> None:
    breaker.rest(60, "no power")
    clock.now += 59
    assert_open(breaker)
    clock.now += 1
    assert succeed(breaker) is True


def test_failures_that_raise_nothing_count_and_closing_begins_anew(breaker: Breaker) -> None:
    fail(breaker, 2)
    breaker.count_failure("nobody answered")
    assert breaker.problem == "nobody answered"
    breaker.close()
    assert succeed(breaker) is False
    assert breaker.problem is None
