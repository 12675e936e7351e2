"""Tools that read, write, convert and calculate dates, times, durations and time zones.

Each tool is a typed function that can be called like any other; this module only says which ones to offer.
Two rules hold for all of them: what a text leaves open (its zone, the order of day and month) is asked for or
stated in the result, and a local time that a clock change skips or repeats is settled by a named rule.
"""

from collections.abc import Callable
from typing import Any

import toolbox
from toolbox_time.arithmetic import add, difference
from toolbox_time.calendar_days import calendar_facts
from toolbox_time.clocks import convert, now
from toolbox_time.reading import parse
from toolbox_time.writing import format_time
from toolbox_time.zone_resources import zone, zones
from toolbox_time.zone_search import list_zones


@toolbox.hookimpl
def toolbox_tools() -> list[Callable[..., Any]]:
    """Offer the tools of this plugin."""
    return [now, convert, difference, add, parse, format_time, calendar_facts, list_zones]


@toolbox.hookimpl
def toolbox_resources() -> list[Callable[..., Any]]:
    """Offer all time zones, and each of them."""
    return [zones, zone]
