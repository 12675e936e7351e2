"""A moment as text, in a standard format or by a pattern; always in English, whatever the machine is set to."""

import datetime
import email.utils
import re
from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta

import toolbox
from toolbox_time.conventions import CATEGORY, READ_ONLY, TimeText, ZoneName
from toolbox_time.moments import EPOCH, MONTHS, in_zone, put_in_zone, read_iso, weekday_name
from toolbox_time.zones import offset_text

Style = Literal["iso8601", "rfc2822", "http", "epoch_seconds", "epoch_milliseconds", "date", "time", "long"]

_Writer = Callable[[datetime.datetime], str]

_STYLES: dict[Style, _Writer] = {
    "iso8601": lambda moment: moment.isoformat(),
    "rfc2822": email.utils.format_datetime,
    "http": lambda moment: email.utils.format_datetime(in_zone(moment, datetime.UTC), usegmt=True),
    "epoch_seconds": lambda moment: str(_since_1970(moment) // 1_000_000),
    "epoch_milliseconds": lambda moment: str(_since_1970(moment) // 1_000),
    "date": lambda moment: moment.date().isoformat(),
    "time": lambda moment: moment.time().isoformat(timespec="seconds"),
    "long": lambda moment: _fill("%A, %-d %B %Y, %H:%M %Z", moment),
}

# Not strftime: it follows the machine's locale, and which directives it knows depends on the machine's C library.
_DIRECTIVES: dict[str, _Writer] = {
    "%Y": lambda moment: f"{moment.year:04}",
    "%y": lambda moment: f"{moment.year % 100:02}",
    "%m": lambda moment: f"{moment.month:02}",
    "%-m": lambda moment: str(moment.month),
    "%B": lambda moment: MONTHS[moment.month - 1],
    "%b": lambda moment: MONTHS[moment.month - 1][:3],
    "%d": lambda moment: f"{moment.day:02}",
    "%-d": lambda moment: str(moment.day),
    "%j": lambda moment: f"{moment.timetuple().tm_yday:03}",
    "%A": weekday_name,
    "%a": lambda moment: weekday_name(moment)[:3],
    "%u": lambda moment: str(moment.isoweekday()),
    "%G": lambda moment: f"{moment.isocalendar().year:04}",
    "%V": lambda moment: f"{moment.isocalendar().week:02}",
    "%H": lambda moment: f"{moment.hour:02}",
    "%-H": lambda moment: str(moment.hour),
    "%I": lambda moment: f"{_twelve_hours(moment):02}",
    "%-I": lambda moment: str(_twelve_hours(moment)),
    "%p": lambda moment: "AM" if moment.hour < 12 else "PM",
    "%M": lambda moment: f"{moment.minute:02}",
    "%S": lambda moment: f"{moment.second:02}",
    "%f": lambda moment: f"{moment.microsecond:06}",
    "%z": lambda moment: offset_text(moment).replace(":", ""),
    "%:z": offset_text,
    "%Z": lambda moment: moment.tzname() or "",
    "%s": lambda moment: str(_since_1970(moment) // 1_000_000),
    "%%": lambda moment: "%",  # noqa: ARG005 - like the others
}

_DIRECTIVE = re.compile(r"%[-:]?.?", re.DOTALL)


@toolbox.tool(
    name="format",
    title="Format a date",
    category=CATEGORY,
    tags=["time", "date", "format", "strftime", "rfc2822", "timestamp"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(
            query="write this date as day.month.year with the weekday",
            arguments={"time": "2026-03-29T14:30:00+02:00", "pattern": "%A, %d.%m.%Y"},
            result="Sunday, 29.03.2026",
        ),
        toolbox.ToolExample(
            query="format a timestamp for an HTTP header",
            arguments={"time": "2026-03-29T14:30:00+02:00", "style": "http"},
            result="Sun, 29 Mar 2026 12:30:00 GMT",
        ),
        toolbox.ToolExample(
            query="turn an ISO date into a unix timestamp",
            arguments={"time": "2026-03-29T12:30:00Z", "style": "epoch_seconds"},
            result="1774787400",
        ),
    ],
)
def format_time(
    time: TimeText,
    style: Style = "iso8601",
    pattern: Annotated[str, Meta(max_length=200)] | None = None,
    zone: ZoneName | None = None,
) -> str:
    """Write a date or time in another format: for mail or HTTP headers, as a Unix timestamp, or by a pattern.

    Month and weekday names are English. Pattern directives: %Y %y %m %-m %B %b %d %-d %j %A %a %u %G %V %H %-H %I %-I
    %p %M %S %f %z %:z %Z %s %%, with the meaning that strftime gives them.

    Args:
        time: The date or time to write, in ISO 8601; a date is its midnight.
        style: A standard format. "long" is such as "Sunday, 29 March 2026, 14:30 CEST"; "http" is always in GMT.
        pattern: A format of your own with strftime directives, such as "%d/%m/%Y %H:%M"; if given, style is not used.
        zone: The zone whose clocks to show, such as Europe/Berlin; left out, the offset of the time itself, or UTC.
    """
    moment = put_in_zone(read_iso(time), zone).moment
    return _STYLES[style](moment) if pattern is None else _fill(pattern, moment)


def _fill(pattern: str, moment: datetime.datetime) -> str:
    def write(match: re.Match[str]) -> str:
        if writer := _DIRECTIVES.get(match[0]):
            return writer(moment)
        raise toolbox.ToolError(
            f"the pattern has {match[0]!r} at character {match.start() + 1}, which is none of {' '.join(_DIRECTIVES)}"
        )

    return _DIRECTIVE.sub(write, pattern)


def _twelve_hours(moment: datetime.datetime) -> int:
    return moment.hour % 12 or 12


def _since_1970(moment: datetime.datetime) -> int:
    """Microseconds."""
    return (in_zone(moment, datetime.UTC) - EPOCH) // datetime.timedelta(microseconds=1)
