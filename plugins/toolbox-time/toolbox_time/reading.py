"""Moments from the many ways in which people and programs write them, without a guess that nobody sees.

Each form is a pattern of its own, and the result names the one that fitted.
"""

import contextlib
import datetime
import re
from decimal import Decimal
from typing import Literal

import msgspec

import toolbox
from toolbox_time.conventions import CATEGORY, READ_ONLY, ClockChangeRule, TimeText, ZoneName, shown
from toolbox_time.moments import (
    EPOCH,
    MONTHS,
    Moment,
    describe,
    out_of_range,
    put_in_zone,
    read_iso,
    weekday_name,
)
from toolbox_time.zones import find_zone

DayOrder = Literal["day_first", "month_first"]
EpochUnit = Literal["seconds", "milliseconds"]
Form = Literal["ISO 8601", "epoch seconds", "epoch milliseconds", "day month year", "month day year", "year month day"]


class ParsedMoment(Moment, frozen=True, kw_only=True):
    """A moment, and the form in which its text was understood."""

    read_as: Form


_NUMBER = re.compile(r"-?(?P<whole>[0-9]{1,15})(?:\.[0-9]{1,9})?")

_WEEKDAY = r"(?:(?P<weekday>[a-z]{3,9})\.?,? )?"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_MONTH = r"(?P<month>[a-z]{3,9})\.?"
_YEAR = r"(?P<year>[0-9]{4})"
_GAP = r"[ /.-]{1,2}"
_CLOCK = (
    r"(?P<hour>[0-9]{1,2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]{1,9}))?)?)?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?"
)
_OFFSET = r"(?: ?(?P<offset>z|utc?|gmt|[ecmp][sd]t|(?:utc|gmt)?[+-][0-9]{2}:?[0-9]{2})(?: \([^()]*\))?)?"
_TIME = rf"(?:(?:,? at |, ?| |t|:){_CLOCK}{_OFFSET})?"


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE | re.ASCII)


_FORMS: tuple[tuple[Form, re.Pattern[str]], ...] = (
    ("day month year", _pattern(rf"{_WEEKDAY}{_DAY}{_GAP}(?:of )?{_MONTH},?{_GAP}{_YEAR}{_TIME}")),
    ("month day year", _pattern(rf"{_WEEKDAY}{_MONTH}{_GAP}{_DAY},?{_GAP}{_YEAR}{_TIME}")),
    # What the date command and git print: the year stands behind the time.
    ("month day year", _pattern(rf"{_WEEKDAY}{_MONTH} {_DAY} {_CLOCK}{_OFFSET} {_YEAR}")),
    ("month day year", _pattern(rf"{_WEEKDAY}{_MONTH} {_DAY} {_CLOCK} {_YEAR}{_OFFSET}")),
    ("year month day", _pattern(rf"{_YEAR}{_GAP}{_MONTH}{_GAP}{_DAY}{_TIME}")),
    ("year month day", _pattern(rf"{_YEAR}(?P<gap>[/.-])(?P<month>[0-9]{{1,2}})(?P=gap){_DAY}{_TIME}")),
)
_ALL_NUMBERS = _pattern(rf"(?P<first>[0-9]{{1,2}})(?P<gap>[/.-])(?P<other>[0-9]{{1,2}})(?P=gap){_YEAR}{_TIME}")

_HOURS_FROM_UTC = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
"""The only abbreviations that a standard gives a meaning (RFC 2822, section 4.3)."""


@toolbox.tool(
    title="Parse a date",
    category=CATEGORY,
    tags=["time", "date", "parse", "timestamp", "epoch", "iso8601", "rfc2822"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(
            query="parse the date March 3rd, 2026 at 2:05 pm EST",
            arguments={"text": "March 3rd, 2026 at 2:05 pm EST"},
            result={
                "iso": "2026-03-03T14:05:00-05:00",
                "date": "2026-03-03",
                "time": "14:05:00",
                "weekday": "Tuesday",
                "zone": "-05:00",
                "offset": "-05:00",
                "abbreviation": "UTC-05:00",
                "utc": "2026-03-03T19:05:00Z",
                "epoch_milliseconds": 1772564700000,
                "note": None,
                "read_as": "month day year",
            },
        ),
        toolbox.ToolExample(
            query="what date is the unix timestamp 1772564700",
            arguments={"text": "1772564700", "zone": "Europe/Berlin"},
            result={
                "iso": "2026-03-03T20:05:00+01:00",
                "date": "2026-03-03",
                "time": "20:05:00",
                "weekday": "Tuesday",
                "zone": "Europe/Berlin",
                "offset": "+01:00",
                "abbreviation": "CET",
                "utc": "2026-03-03T19:05:00Z",
                "epoch_milliseconds": 1772564700000,
                "note": None,
                "read_as": "epoch seconds",
            },
        ),
        toolbox.ToolExample(
            query="normalize a European date like 03/04/2026 to ISO format",
            arguments={"text": "03/04/2026", "day_order": "day_first", "zone": "Europe/Paris"},
            result={
                "iso": "2026-04-03T00:00:00+02:00",
                "date": "2026-04-03",
                "time": "00:00:00",
                "weekday": "Friday",
                "zone": "Europe/Paris",
                "offset": "+02:00",
                "abbreviation": "CEST",
                "utc": "2026-04-02T22:00:00Z",
                "epoch_milliseconds": 1775167200000,
                "note": None,
                "read_as": "day month year",
            },
        ),
    ],
)
def parse(
    text: TimeText,
    day_order: DayOrder | None = None,
    epoch_unit: EpochUnit | None = None,
    zone: ZoneName | None = None,
    at_clock_change: ClockChangeRule = "compatible",
) -> ParsedMoment:
    """Parse a date or time written in almost any form, and normalize it to ISO 8601, UTC and a Unix timestamp.

    Reads ISO 8601, mail and HTTP headers (RFC 2822), what `date`, git, web server logs and JavaScript print, Unix
    timestamps, and English dates such as "Tue, 3 March 2026" or "Mar 3rd 2026, 2:05 pm". A weekday must be the right
    one. Not read: years of two digits, other languages, and words such as tomorrow.

    Args:
        text: The date or time.
        day_order: Which comes first in a date such as 03/04/2026; needed only where both are possible, and never
            guessed.
        epoch_unit: What a bare number counts since 1970; left out, numbers of 9 to 11 digits are seconds, of 12 to 14
            milliseconds, and one of 8 is a date such as 20260303.
        zone: The zone of a text without one, such as Europe/Berlin; a text with an offset is shown in that zone.
            Left out, a text without an offset is taken as UTC, and the note says so.
        at_clock_change: For a local time that a clock change skips or repeats: "compatible" takes the first of a
            repeated time and moves a skipped one forward (RFC 5545); "earlier" and "later" take that one of the two
            possible readings; "refuse" is an error.
    """
    tidy = " ".join(text.split())
    moment, form = _read(tidy, day_order, epoch_unit)
    described = describe(put_in_zone(moment, zone, at_clock_change))
    return ParsedMoment(**msgspec.structs.asdict(described), read_as=form)


def _read(text: str, day_order: DayOrder | None, epoch_unit: EpochUnit | None) -> tuple[datetime.datetime, Form]:
    is_iso_date = len(text) == 8 and epoch_unit is None
    if (number := _NUMBER.fullmatch(text)) and not is_iso_date:
        unit = epoch_unit or _likely_unit(number)
        return _since_1970(Decimal(text), unit), "epoch seconds" if unit == "seconds" else "epoch milliseconds"
    if text[:4].isdigit():
        # If it is not ISO 8601 after all, a form below may fit, or say better what is wrong.
        with contextlib.suppress(toolbox.ToolError):
            return read_iso(text), "ISO 8601"
    if match := _ALL_NUMBERS.fullmatch(text):
        if (day_order or _only_possible_order(match)) == "day_first":
            return _build(match, day=match["first"], month=match["other"]), "day month year"
        return _build(match, day=match["other"], month=match["first"]), "month day year"
    for form, pattern in _FORMS:
        if match := pattern.fullmatch(text):
            return _build(match, day=match["day"], month=match["month"]), form
    raise toolbox.ToolError(
        f"{shown(text)} is no date or time that can be read; write ISO 8601, a Unix timestamp, or an English date such "
        "as 3 March 2026, 14:05, with four digits for the year"
    )


def _likely_unit(number: re.Match[str]) -> EpochUnit:
    """Seconds have had 9 or 10 digits since 1973 and will have 11 until 5138; milliseconds have three more."""
    digits = len(number["whole"])
    if 9 <= digits <= 14:
        return "seconds" if digits <= 11 else "milliseconds"
    raise toolbox.ToolError(f"{number[0]} may count seconds or milliseconds since 1970; say which as epoch_unit")


def _since_1970(amount: Decimal, unit: EpochUnit) -> datetime.datetime:
    microseconds = amount * (1_000_000 if unit == "seconds" else 1_000)
    try:
        return EPOCH + datetime.timedelta(microseconds=int(microseconds))
    except OverflowError as error:
        raise out_of_range() from error


def _only_possible_order(match: re.Match[str]) -> DayOrder:
    first, other = int(match["first"]), int(match["other"])
    if first > 12 or first == other:
        return "day_first"
    if other > 12:
        return "month_first"
    raise toolbox.ToolError(
        f"{shown(match[0])} may be day {first} of month {other} or day {other} of month {first}; "
        "say as day_order which comes first"
    )


def _build(match: re.Match[str], day: str, month: str) -> datetime.datetime:
    """The moment that the parts of a written date make, naive if no offset is among them."""
    parts = match.groupdict()
    try:
        moment = datetime.datetime.combine(
            datetime.date(int(parts["year"]), _month_number(month), int(day)),
            _clock(parts),
            _offset(parts["offset"]),
        )
    except ValueError as error:
        raise toolbox.ToolError(f"{shown(match[0])} is no date on the calendar: {error}") from error
    weekday = parts.get("weekday")
    if weekday and not weekday_name(moment).lower().startswith(weekday.lower()):
        raise toolbox.ToolError(f"{moment:%Y-%m-%d} is a {weekday_name(moment)}, but the text says {weekday}")
    return moment


def _month_number(month: str) -> int:
    if month.isdigit():
        return int(month)
    for number, name in enumerate(MONTHS, start=1):
        if name.lower().startswith(month.lower()):
            return number
    raise ValueError(f"there is no month {month}")


def _clock(parts: dict[str, str | None]) -> datetime.time:
    hour = int(parts["hour"] or 0)
    if parts["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(f"hour {hour} goes with neither am nor pm")
        hour = hour % 12 + (12 if parts["half"] in "pP" else 0)
    elif parts["hour"] and not parts["minute"]:
        raise ValueError(f"the time {hour} has neither minutes nor am or pm")
    microsecond = (parts["fraction"] or "").ljust(6, "0")[:6]
    return datetime.time(hour, int(parts["minute"] or 0), int(parts["second"] or 0), int(microsecond))


def _offset(text: str | None) -> datetime.tzinfo | None:
    if not text:
        return None
    name = text.upper()
    if name in _HOURS_FROM_UTC:
        return datetime.timezone(datetime.timedelta(hours=_HOURS_FROM_UTC[name]))
    digits = name.lstrip("UTCGMZ")
    return find_zone(digits) if digits else datetime.UTC
