"""What clocks show: now, and at any moment in another zone."""

import datetime

import toolbox
from toolbox_time.conventions import CATEGORY, READ_ONLY, ClockChangeRule, TimeText, ZoneName
from toolbox_time.moments import Moment, Reading, describe, in_zone, put_in_zone, read_iso
from toolbox_time.zones import find_zone


@toolbox.tool(
    title="Current time",
    category=CATEGORY,
    tags=["time", "now", "today", "clock", "timezone"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(query="what time is it in Tokyo right now", arguments={"zone": "Asia/Tokyo"}),
        toolbox.ToolExample(query="what is today's date", arguments={}),
        toolbox.ToolExample(query="current unix timestamp in milliseconds", arguments={"zone": "UTC"}),
    ],
)
def now(zone: ZoneName = "UTC") -> Moment:
    """Tell the current date, time and weekday in a time zone, and the Unix timestamp.

    Args:
        zone: An IANA zone such as Europe/Berlin, or an offset such as +02:00.
    """
    return describe(Reading(datetime.datetime.now(find_zone(zone))))


@toolbox.tool(
    title="Convert between time zones",
    category=CATEGORY,
    tags=["time", "timezone", "convert", "utc", "daylight-saving"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(
            query="convert 3 pm in New York to Berlin time",
            arguments={"time": "2026-03-10T15:00", "from_zone": "America/New_York", "to_zone": "Europe/Berlin"},
            result={
                "iso": "2026-03-10T20:00:00+01:00",
                "date": "2026-03-10",
                "time": "20:00:00",
                "weekday": "Tuesday",
                "zone": "Europe/Berlin",
                "offset": "+01:00",
                "abbreviation": "CET",
                "utc": "2026-03-10T19:00:00Z",
                "epoch_milliseconds": 1773169200000,
                "note": None,
            },
        ),
        toolbox.ToolExample(
            query="what local time in Kolkata is this UTC timestamp",
            arguments={"time": "2026-01-01T00:00:00Z", "to_zone": "Asia/Kolkata"},
            result={
                "iso": "2026-01-01T05:30:00+05:30",
                "date": "2026-01-01",
                "time": "05:30:00",
                "weekday": "Thursday",
                "zone": "Asia/Kolkata",
                "offset": "+05:30",
                "abbreviation": "IST",
                "utc": "2026-01-01T00:00:00Z",
                "epoch_milliseconds": 1767225600000,
                "note": None,
            },
        ),
        toolbox.ToolExample(
            query="which moment is 2:30 at night when the clocks go forward",
            arguments={"time": "2025-03-30T02:30", "from_zone": "Europe/Berlin", "to_zone": "Europe/Berlin"},
            result={
                "iso": "2025-03-30T03:30:00+02:00",
                "date": "2025-03-30",
                "time": "03:30:00",
                "weekday": "Sunday",
                "zone": "Europe/Berlin",
                "offset": "+02:00",
                "abbreviation": "CEST",
                "utc": "2025-03-30T01:30:00Z",
                "epoch_milliseconds": 1743298200000,
                "note": "clocks in Europe/Berlin skip 2025-03-30 02:30:00; the later reading was taken",
            },
        ),
    ],
)
def convert(
    time: TimeText,
    to_zone: ZoneName,
    from_zone: ZoneName | None = None,
    at_clock_change: ClockChangeRule = "compatible",
) -> Moment:
    """Convert a date and time from one time zone to another, with daylight saving time taken into account.

    A local time that a clock change skips or shows twice is settled by `at_clock_change`, and the note in the result
    says so.

    Args:
        time: A date and time in ISO 8601, such as 2026-03-29T14:30 or 2026-03-29T14:30:00Z.
        to_zone: The zone to convert to: an IANA name such as Asia/Tokyo, or an offset such as +09:00.
        from_zone: The zone in which the time is given; needed if the time has no offset of its own.
        at_clock_change: "compatible" takes the first of a repeated time and moves a skipped one forward (RFC 5545);
            "earlier" and "later" take that one of the two possible readings; "refuse" is an error.
    """
    given = read_iso(time)
    if given.tzinfo is None and from_zone is None:
        raise toolbox.ToolError(f"{time!r} has no offset; name the zone that it is in as from_zone")
    moment, note = put_in_zone(given, from_zone, at_clock_change)
    if given.tzinfo is not None and given.utcoffset() != moment.utcoffset():
        raise toolbox.ToolError(
            f"{time!r} has an offset that {from_zone} does not have then; leave from_zone out, or the offset"
        )
    return describe(Reading(in_zone(moment, find_zone(to_zone)), note))
