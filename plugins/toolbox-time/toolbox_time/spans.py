"""Spans of time: months, days and exact time, which differ in length and so are kept apart (ISO 8601 durations)."""

import re
from decimal import Decimal
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

import toolbox
from toolbox_time.conventions import shown

_AMOUNT = r"[0-9]{1,12}"
_FRACTION = r"[0-9]{1,12}(?:[.,][0-9]{1,9})?"
_ISO_DURATION = re.compile(
    rf"(?P<sign>[+-])?P(?=.)(?:(?P<years>{_AMOUNT})Y)?(?:(?P<months>{_AMOUNT})M)?(?:(?P<weeks>{_AMOUNT})W)?"
    rf"(?:(?P<days>{_AMOUNT})D)?(?:T(?=.)(?:(?P<hours>{_FRACTION})H)?(?:(?P<minutes>{_FRACTION})M)?"
    rf"(?:(?P<seconds>{_FRACTION})S)?)?"
)

Amount = Annotated[int, Meta(ge=-(10**12), le=10**12)]


class Duration(Struct, frozen=True, forbid_unknown_fields=True):
    """A length of time by its parts, each of which may be negative."""

    years: Amount = 0
    months: Amount = 0
    weeks: Amount = 0
    days: Amount = 0
    hours: Amount = 0
    minutes: Amount = 0
    seconds: Annotated[float, Meta(ge=-1e12, le=1e12)] = 0


class Span(NamedTuple):
    """A length of time in the three units that do not convert into each other.

    A month has 28 to 31 days, and a day on which clocks change has 23 or 25 hours.
    """

    months: int
    days: int
    microseconds: int


def read_span(duration: str | Duration) -> Span:
    """The span of an ISO 8601 duration or of parts.

    Raises:
        ToolError: The text is no duration.
    """
    if isinstance(duration, Duration):
        exact = Decimal(3600 * duration.hours + 60 * duration.minutes) + Decimal(repr(duration.seconds))
        return Span(12 * duration.years + duration.months, 7 * duration.weeks + duration.days, _microseconds(exact))
    match = _ISO_DURATION.fullmatch(duration.strip())
    if not match:
        raise toolbox.ToolError(
            f"{shown(duration)} is no ISO 8601 duration: write P, then years Y, months M, weeks W, days D, then T and "
            "hours H, minutes M, seconds S, such as P1Y2M, P10D, PT36H or -PT1M30.5S (fractions only behind T)"
        )
    part = {name: Decimal(text.replace(",", ".")) for name, text in match.groupdict("0").items() if name != "sign"}
    sign = -1 if match["sign"] == "-" else 1
    exact = 3600 * part["hours"] + 60 * part["minutes"] + part["seconds"]
    months, days = 12 * part["years"] + part["months"], 7 * part["weeks"] + part["days"]
    return Span(sign * int(months), sign * int(days), sign * _microseconds(exact))


def write_span(span: Span) -> str:
    """A span as an ISO 8601 duration; its parts must have the same sign."""
    sign = "-" if min(span) < 0 else ""
    parts = _parts(span)
    date = "".join(f"{amount}{unit[0].upper()}" for unit, amount in parts[:3] if amount)
    time = "".join(f"{amount}{unit[0].upper()}" for unit, amount in parts[3:] if amount)
    return f"{sign}P{date}{'T' if time else ''}{time}" if date or time else "PT0S"


def say_span(span: Span) -> str:
    """The length of a span in words, such as "1 month, 2 days and 3 hours"."""
    words = [f"{amount} {unit if amount == '1' else unit + 's'}" for unit, amount in _parts(span) if amount]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _parts(span: Span) -> list[tuple[str, str]]:
    """The units of a span with how many of each there are, without sign; an empty text is none."""
    years, months = divmod(abs(span.months), 12)
    minutes, microseconds = divmod(abs(span.microseconds), 60_000_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{Decimal(microseconds).scaleb(-6):f}".rstrip("0").rstrip(".") if microseconds else ""
    whole = {"year": years, "month": months, "day": abs(span.days), "hour": hours, "minute": minutes}
    return [*((unit, str(amount or "")) for unit, amount in whole.items()), ("second", seconds)]


def _microseconds(seconds: Decimal) -> int:
    return int((seconds * 1_000_000).to_integral_value())
