"""Moments: a point in time as a place's clocks show it. Read from ISO 8601, put on a zone's clocks, and described."""

import datetime
import re
from typing import NamedTuple

from msgspec import Struct

import toolbox
from toolbox_time.conventions import ClockChangeRule, shown
from toolbox_time.zones import find_zone, offset_text, zone_name

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_ISO_8601 = re.compile(r"[0-9W-]{7,10}(?:[T ][0-9:.,]+(?:Z|[+-][0-9:]+)?)?")
"""The outline only: Python reads the parts, but would also accept any character between date and time."""


class Moment(Struct, frozen=True, kw_only=True):
    """A point in time: what the clocks of its zone show, the same in UTC, and its count since 1970."""

    iso: str
    """ISO 8601 with the offset."""
    date: str
    time: str
    weekday: str
    zone: str
    offset: str
    abbreviation: str
    """What the zone calls its time then, such as CET or CEST."""
    utc: str
    epoch_milliseconds: int
    note: str | None = None
    """What was assumed or adjusted, if anything was."""


class Reading(NamedTuple):
    """A moment with what had to be assumed to get it."""

    moment: datetime.datetime
    note: str | None = None


def describe(reading: Reading) -> Moment:
    """All that callers see of a moment."""
    moment, note = reading
    utc = in_zone(moment, datetime.UTC)
    return Moment(
        iso=moment.isoformat(),
        date=moment.date().isoformat(),
        time=moment.time().isoformat(),
        weekday=weekday_name(moment),
        zone=zone_name(moment),
        offset=offset_text(moment),
        abbreviation=moment.tzname() or "",
        utc=utc.replace(tzinfo=None).isoformat() + "Z",
        epoch_milliseconds=(utc - EPOCH) // datetime.timedelta(milliseconds=1),
        note=note,
    )


def read_iso(text: str) -> datetime.datetime:
    """An ISO 8601 date or time, down to the microsecond; a date is its midnight. Without an offset it stays naive.

    Raises:
        ToolError: The text is something else.
    """
    tidy = text.strip().upper()
    if not _ISO_8601.fullmatch(tidy):
        raise toolbox.ToolError(
            f"{shown(text)} is no date or time in ISO 8601, such as 2026-03-29 or 2026-03-29T14:30:00+02:00; "
            "the parse tool reads other forms"
        )
    try:
        return datetime.datetime.fromisoformat(tidy)
    except ValueError as error:
        raise toolbox.ToolError(f"{shown(text)} is no date or time in ISO 8601: {error}") from error


def put_in_zone(
    moment: datetime.datetime, zone: str | None, at_clock_change: ClockChangeRule = "compatible"
) -> Reading:
    """A moment on the clocks of a zone.

    1. Naive, with a zone: the clocks of that zone show this time.
    2. Naive, without: they are the clocks of UTC, and the note says so.
    3. With an offset, and a zone: the same instant in that zone.
    4. With an offset, without a zone: as it is.
    """
    if moment.tzinfo is None:
        if zone is None:
            return Reading(moment.replace(tzinfo=datetime.UTC), "no zone was given, so the time was taken as UTC")
        return on_clocks(moment, find_zone(zone), at_clock_change)
    return Reading(moment if zone is None else in_zone(moment, find_zone(zone)))


def on_clocks(
    local: datetime.datetime, zone: datetime.tzinfo, at_clock_change: ClockChangeRule = "compatible"
) -> Reading:
    """The moment when the clocks of a zone show a local time.

    Raises:
        ToolError: A clock change skips or repeats the local time, and the rule is to refuse that.
    """
    # Python calls the two readings of a repeated or skipped time fold 0 and 1 (PEP 495); of any other they are one.
    before, after = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if before.utcoffset() == after.utcoffset():
        return Reading(before)
    earlier, later = sorted((in_zone(before, datetime.UTC), in_zone(after, datetime.UTC)))
    is_skipped = in_zone(earlier, zone).replace(tzinfo=None) != local
    problem = f"clocks in {zone_name(before)} {'skip' if is_skipped else 'show twice'} {local.isoformat(' ')}"
    if at_clock_change == "refuse":
        raise toolbox.ToolError(f"{problem}; give an offset, or choose earlier or later in at_clock_change")
    is_later = at_clock_change == "later" or (at_clock_change == "compatible" and is_skipped)
    chosen = in_zone(later if is_later else earlier, zone)
    return Reading(chosen, f"{problem}; the {'later' if is_later else 'earlier'} reading was taken")


def in_zone(moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """The same instant on the clocks of a zone.

    Raises:
        ToolError: There the year is not between 1 and 9999.
    """
    try:
        return moment.astimezone(zone)
    except OverflowError as error:
        raise out_of_range() from error


def out_of_range() -> toolbox.ToolError:
    """The error for moments that the calendar of Python does not reach."""
    return toolbox.ToolError("the result lies outside the years 1 to 9999")


def weekday_name(day: datetime.date) -> str:
    """The English name, whatever language the machine is set to."""
    return WEEKDAYS[day.weekday()]


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
