"""Sliding windows: how many requests a caller has made lately, and how many are left. Pure module: no I/O.

Of the window before, that share counts that the sliding window still covers (the approximation that Cloudflare has
described, "How we built rate limiting", 2017). It takes three numbers a window, however many requests there are.

A request is within all windows of its caller, or it counts in none: whoever is refused and tries again is not punished
for it. The library `limits` takes one window at a time, so two of them could not be one step; this and the script for
Redis (`toolbox.rate_limiting.shared`) are its strategy "sliding window counter" over several windows at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct


class Window(NamedTuple):
    """So many requests in so many seconds."""

    name: str
    seconds: int
    limit: int


class Verdict(Struct, frozen=True):
    """Whether a request may go on; of the window nearest to its limit, how much is left and when it ends."""

    is_allowed: bool
    window: Window
    remaining: int
    reset_seconds: float
    retry_seconds: float = 0.0


def decide(windows: Sequence[Window], counts: Sequence[tuple[int, float]], cost: int, now: float) -> Verdict:
    """What becomes of a request; `counts` are those of the window at hand and the one before, for each window."""
    tightest = refusal = None
    for window, (current, previous) in zip(windows, counts, strict=True):
        elapsed = now % window.seconds
        used = current + previous * (1 - elapsed / window.seconds)
        if used + cost > window.limit:
            wait = _wait(window, current, previous, cost, elapsed)
            if refusal is None or wait > refusal.retry_seconds:
                refusal = Verdict(False, window, 0, window.seconds - elapsed, wait)
        left = max(int(window.limit - used) - cost, 0)
        if tightest is None or left / window.limit < tightest.remaining / tightest.window.limit:
            tightest = Verdict(True, window, left, window.seconds - elapsed)
    assert tightest is not None  # noqa: S101 - there is always a window
    return refusal or tightest


def _wait(window: Window, current: float, previous: float, cost: int, elapsed: float) -> float:
    """How long until so many more fit."""
    room = max(window.limit - cost, 0)
    if current <= room and previous:
        return max(window.seconds * (1 - (room - current) / previous) - elapsed, 0.001)
    return window.seconds - elapsed + (window.seconds * (1 - room / current) if current else 0)
