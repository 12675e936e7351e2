import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_time.reading import parse
from toolbox_time.writing import format_time

TIME = "2026-03-09T07:05:09.012345+01:00"


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("iso8601", "2026-03-09T07:05:09.012345+01:00"),
        ("rfc2822", "Mon, 09 Mar 2026 07:05:09 +0100"),
        ("http", "Mon, 09 Mar 2026 06:05:09 GMT"),
        ("epoch_seconds", "1773036309"),
        ("epoch_milliseconds", "1773036309012"),
        ("date", "2026-03-09"),
        ("time", "07:05:09"),
        ("long", "Monday, 9 March 2026, 07:05 UTC+01:00"),
    ],
)
def test_a_style_is_a_standard_format(style: Any, text: str) -> None:
    assert format_time(TIME, style) == text


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d %H:%M:%S.%f", "2026-03-09 07:05:09.012345"),
        ("%-d.%-m.%y", "9.3.26"),
        ("%A %a %B %b", "Monday Mon March Mar"),
        ("%I:%M %p, %-I, %-H", "07:05 AM, 7, 7"),
        ("%G-W%V-%u, day %j", "2026-W11-1, day 068"),
        ("%z %:z %Z %s", "+0100 +01:00 UTC+01:00 1773036309"),
        ("100%% %%Y", "100% %Y"),
        ("no directive", "no directive"),
        ("", ""),
    ],
)
def test_a_pattern_is_filled(pattern: str, text: str) -> None:
    assert format_time(TIME, pattern=pattern) == text


@given(st.datetimes(), st.sampled_from(list("YymBbdjAauGVHIMSf")))
def test_directives_mean_what_strftime_gives_them(moment: datetime.datetime, letter: str) -> None:
    expected = moment.strftime(f"%{letter}")
    if letter in "YG":  # the C library leaves out the zeros of early years
        expected = expected.rjust(4, "0")
    assert format_time(moment.isoformat(), pattern=f"%{letter}") == expected


@pytest.mark.parametrize(("hour", "text"), [("00", "12 AM"), ("11", "11 AM"), ("12", "12 PM"), ("23", "11 PM")])
def test_twelve_hours_begin_with_twelve(hour: str, text: str) -> None:
    assert format_time(f"2026-03-09T{hour}:00", pattern="%-I %p") == text


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("%d %Q", "the pattern has '%Q' at character 4, which is none of %Y"),
        ("%", "the pattern has '%' at character 1"),
        ("%-", "the pattern has '%-' at character 1"),
        ("%-Y", "the pattern has '%-Y' at character 1"),
        ("%\n", "at character 1"),
    ],
)
def test_an_unknown_directive_is_refused_with_its_place(pattern: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        format_time(TIME, pattern=pattern)


def test_the_zone_decides_what_the_clocks_show() -> None:
    assert format_time("2026-07-01T12:00Z", "long", zone="Europe/Berlin") == "Wednesday, 1 July 2026, 14:00 CEST"
    assert format_time("2026-07-01T12:00", "iso8601", zone="Europe/Berlin") == "2026-07-01T12:00:00+02:00"
    assert format_time("2026-07-01T12:00", "iso8601") == "2026-07-01T12:00:00+00:00"


@given(
    st.datetimes().filter(lambda moment: 1000 <= moment.year <= 9998).map(lambda moment: moment.replace(microsecond=0)),
    st.sampled_from(["iso8601", "rfc2822", "http"]),
    st.sampled_from(["UTC", "+05:30", "-11:00"]),
)
def test_what_a_style_writes_parse_reads(moment: datetime.datetime, style: Any, zone: str) -> None:
    text = format_time(f"{moment.isoformat()}Z", style, zone=zone)
    assert parse(text).utc == f"{moment.isoformat()}Z"
