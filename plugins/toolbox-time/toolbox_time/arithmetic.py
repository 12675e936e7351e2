"""Calendar arithmetic: add a duration to a moment, and measure what lies between two."""

import calendar
import datetime
from typing import Annotated

from msgspec import Meta, Struct

import toolbox
from toolbox_time.conventions import CATEGORY, READ_ONLY, TimeText, ZoneName
from toolbox_time.moments import Moment, Reading, describe, in_zone, on_clocks, out_of_range, put_in_zone, read_iso
from toolbox_time.spans import Duration, Span, read_span, say_span, write_span


@toolbox.tool(
    title="Add to a date",
    category=CATEGORY,
    tags=["time", "date", "add", "subtract", "duration", "deadline"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(
            query="what date is one month after January 31st 2026",
            arguments={"time": "2026-01-31", "duration": "P1M"},
            result={
                "iso": "2026-02-28T00:00:00+00:00",
                "date": "2026-02-28",
                "time": "00:00:00",
                "weekday": "Saturday",
                "zone": "UTC",
                "offset": "+00:00",
                "abbreviation": "UTC",
                "utc": "2026-02-28T00:00:00Z",
                "epoch_milliseconds": 1772236800000,
                "note": "no zone was given, so the time was taken as UTC; 2026-02 has no day 31, so its last was taken",
            },
        ),
        toolbox.ToolExample(
            query="subtract 90 minutes from a meeting time",
            arguments={"time": "2026-05-04T09:00:00+02:00", "duration": {"minutes": -90}},
            result={
                "iso": "2026-05-04T07:30:00+02:00",
                "date": "2026-05-04",
                "time": "07:30:00",
                "weekday": "Monday",
                "zone": "+02:00",
                "offset": "+02:00",
                "abbreviation": "UTC+02:00",
                "utc": "2026-05-04T05:30:00Z",
                "epoch_milliseconds": 1777872600000,
                "note": None,
            },
        ),
    ],
)
def add(
    time: TimeText, duration: Annotated[str, Meta(max_length=100)] | Duration, zone: ZoneName | None = None
) -> Moment:
    """Add a duration to a date or time, or subtract one: days from now, deadlines, due dates.

    Years and months come first and stop at the last day of a shorter month (January 31 plus a month is February 28
    or 29); then weeks and days, on the clocks of the zone, so that a day later is the same time of day even when
    clocks change; then hours, minutes and seconds, which are exact. The result may fall on a time that a clock change
    skips or repeats: then RFC 5545 decides as in `convert`, and the note says so.

    Args:
        time: The date or time to start from, in ISO 8601; a date is its midnight.
        duration: An ISO 8601 duration such as P1Y2M10D, P2W or PT36H, with a minus before it to subtract, or its
            parts, such as months and days, each of which may be negative.
        zone: The zone to calculate in, such as Europe/Berlin; left out, the offset of the time itself, or UTC.
    """
    start = put_in_zone(read_iso(time), zone)
    end = _shifted(start.moment, read_span(duration))
    return describe(Reading(end.moment, _joined(start.note, end.note)))


class TimeDifference(Struct, frozen=True):
    """How far an end lies behind a start; all parts are negative if it lies before."""

    seconds: int
    """Whole seconds that pass, exactly; `microseconds` is what is left of them."""
    microseconds: int
    days: int
    """Midnights between the two on the calendar of the start's zone."""
    business_days: int
    """Mondays to Fridays from the day of the start up to, and without, the day of the end; holidays are not known."""
    duration: str
    """ISO 8601 duration of months, days and exact time; added to the start it gives the end."""
    words: str


@toolbox.tool(
    title="Time between two dates",
    category=CATEGORY,
    tags=["time", "date", "difference", "duration", "elapsed", "age", "business-days"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(
            query="how many days are there between 1 March and 24 December 2026",
            arguments={"start": "2026-03-01", "end": "2026-12-24"},
            result={
                "seconds": 25747200,
                "microseconds": 0,
                "days": 298,
                "business_days": 213,
                "duration": "P9M23D",
                "words": "9 months and 23 days later",
            },
        ),
        toolbox.ToolExample(
            query="how long was the flight from Berlin to New York including the time zones",
            arguments={"start": "2026-06-01T10:15:00+02:00", "end": "2026-06-01T13:05:00-04:00"},
            result={
                "seconds": 31800,
                "microseconds": 0,
                "days": 0,
                "business_days": 0,
                "duration": "PT8H50M",
                "words": "8 hours and 50 minutes later",
            },
        ),
    ],
)
def difference(start: TimeText, end: TimeText, zone: ZoneName | None = None) -> TimeDifference:
    """Measure the time between two dates or times: exact seconds, calendar days, business days, and in words.

    Seconds are those that really pass: a night on which clocks go forward is an hour shorter. Give either both times
    an offset, or neither, or name the zone that those without one are in.

    Args:
        start: The earlier date or time, in ISO 8601; a date is its midnight.
        end: The later date or time; if it is the earlier one, the result is negative.
        zone: The zone whose calendar counts, such as Europe/Berlin; left out, the start's own offset, or no clock
            changes at all for times without one.
    """
    first, second = read_iso(start), read_iso(end)
    if zone is None and (first.tzinfo is None) != (second.tzinfo is None):
        raise toolbox.ToolError("one time has an offset and the other has none; name the zone of the latter as zone")
    begin = put_in_zone(first, zone).moment
    finish = in_zone(put_in_zone(second, zone).moment, _zone_of(begin))
    microseconds = _microseconds_between(begin, finish)
    sign = -1 if microseconds < 0 else 1
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    span = _span_between(begin, finish)
    return TimeDifference(
        seconds=sign * seconds,
        microseconds=sign * rest,
        days=(finish.date() - begin.date()).days,
        business_days=_business_days_before(finish) - _business_days_before(begin),
        duration=write_span(span),
        words=f"{say_span(span)} {'later' if sign > 0 else 'earlier'}" if microseconds else "the same moment",
    )


def _shifted(moment: datetime.datetime, span: Span) -> Reading:
    """The moment a span later: months, then days, on the clocks of its zone, then exact time."""
    note = None
    try:
        if span.months or span.days:
            month_later, clamped = _months_later(moment.replace(tzinfo=None), span.months)
            moment, settled = on_clocks(month_later + datetime.timedelta(days=span.days), _zone_of(moment))
            note = _joined(clamped, settled)
        exact = datetime.timedelta(microseconds=span.microseconds)
        # Python adds to an aware datetime on the clock's face; only in UTC does that count what passes.
        return Reading(in_zone(in_zone(moment, datetime.UTC) + exact, _zone_of(moment)), note)
    except OverflowError as error:
        raise out_of_range() from error


def _months_later(local: datetime.datetime, months: int) -> Reading:
    year, month_index = divmod(12 * local.year + local.month - 1 + months, 12)
    if not datetime.MINYEAR <= year <= datetime.MAXYEAR:
        raise out_of_range()
    last_day = calendar.monthrange(year, month_index + 1)[1]
    later = local.replace(year=year, month=month_index + 1, day=min(local.day, last_day))
    if local.day <= last_day:
        return Reading(later)
    return Reading(later, f"{later:%Y-%m} has no day {local.day}, so its last was taken")


def _span_between(begin: datetime.datetime, finish: datetime.datetime) -> Span:
    """The span that leads from one moment to another: as many whole months as fit, then days, then exact time."""
    sign = -1 if _microseconds_between(begin, finish) < 0 else 1

    def left_after(months: int, days: int) -> int:
        reached = _shifted(begin, Span(sign * months, sign * days, 0)).moment
        return sign * _microseconds_between(reached, finish)

    months = abs(12 * (finish.year - begin.year) + finish.month - begin.month)
    while left_after(months, 0) < 0:
        months -= 1
    base = _shifted(begin, Span(sign * months, 0, 0)).moment
    days = abs(finish.replace(tzinfo=None) - base.replace(tzinfo=None)).days
    while left_after(months, days) < 0:
        days -= 1
    return Span(sign * months, sign * days, sign * left_after(months, days))


def _microseconds_between(begin: datetime.datetime, finish: datetime.datetime) -> int:
    return (in_zone(finish, datetime.UTC) - in_zone(begin, datetime.UTC)) // datetime.timedelta(microseconds=1)


def _business_days_before(day: datetime.date) -> int:
    """Mondays to Fridays since 0001-01-01, which is a Monday."""
    weeks, days = divmod(day.toordinal() - 1, 7)
    return 5 * weeks + min(days, 5)


def _zone_of(moment: datetime.datetime) -> datetime.tzinfo:
    return moment.tzinfo or datetime.UTC


def _joined(*notes: str | None) -> str | None:
    return "; ".join(filter(None, notes)) or None
