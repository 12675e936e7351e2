"""Waiting for other processes, which tell nobody when they are done."""

import time
from collections.abc import Callable

POLL_SECONDS = 0.02


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look again and again until the condition is met or time is up; say whether it is met."""
    give_up = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < give_up:
        time.sleep(POLL_SECONDS)
    return met
