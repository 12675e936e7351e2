import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_time.reading import parse


@pytest.mark.parametrize(
    ("text", "iso", "read_as"),
    [
        ("2026-03-03T14:05:00+01:00", "2026-03-03T14:05:00+01:00", "ISO 8601"),
        ("2026-03-03t14:05z", "2026-03-03T14:05:00+00:00", "ISO 8601"),
        ("20260303T140500Z", "2026-03-03T14:05:00+00:00", "ISO 8601"),
        ("20260303", "2026-03-03T00:00:00+00:00", "ISO 8601"),
        ("2026-W10-2", "2026-03-03T00:00:00+00:00", "ISO 8601"),
        ("1772546700", "2026-03-03T14:05:00+00:00", "epoch seconds"),
        ("1772546700.25", "2026-03-03T14:05:00.250000+00:00", "epoch seconds"),
        ("1772546700123", "2026-03-03T14:05:00.123000+00:00", "epoch milliseconds"),
        ("-100000000", "1966-10-31T14:13:20+00:00", "epoch seconds"),
        ("Tue, 03 Mar 2026 14:05:00 +0100", "2026-03-03T14:05:00+01:00", "day month year"),
        ("Tue, 03 Mar 2026 14:05:00 GMT", "2026-03-03T14:05:00+00:00", "day month year"),
        ("Tue, 03 Mar 2026 14:05:00 -0800 (PST)", "2026-03-03T14:05:00-08:00", "day month year"),
        ("03 Mar 2026 14:05 EDT", "2026-03-03T14:05:00-04:00", "day month year"),
        ("3rd of March, 2026", "2026-03-03T00:00:00+00:00", "day month year"),
        ("3. march 2026", "2026-03-03T00:00:00+00:00", "day month year"),
        ("3-Mar-2026", "2026-03-03T00:00:00+00:00", "day month year"),
        ("03/Mar/2026:14:05:00 +0000", "2026-03-03T14:05:00+00:00", "day month year"),
        ("Tuesday, March 3, 2026 at 2:05 p.m.", "2026-03-03T14:05:00+00:00", "month day year"),
        ("Mar. 3rd 2026, 12 am", "2026-03-03T00:00:00+00:00", "month day year"),
        ("sept 5 2026 12PM", "2026-09-05T12:00:00+00:00", "month day year"),
        ("Tue Mar  3 14:05:00 2026", "2026-03-03T14:05:00+00:00", "month day year"),
        ("Tue Mar  3 14:05:00 UTC 2026", "2026-03-03T14:05:00+00:00", "month day year"),
        ("Tue Mar 3 14:05:00 2026 +0100", "2026-03-03T14:05:00+01:00", "month day year"),
        ("Tue Mar 03 2026 14:05:00 GMT+0100 (Central European Standard Time)", "2026-03-03T14:05:00+01:00", None),
        ("2026-03-03 14:05:00 +0100", "2026-03-03T14:05:00+01:00", "year month day"),
        ("2026/03/03 2:05pm", "2026-03-03T14:05:00+00:00", "year month day"),
        ("2026 March 3", "2026-03-03T00:00:00+00:00", "year month day"),
        ("25/12/2026", "2026-12-25T00:00:00+00:00", "day month year"),
        ("12/25/2026 23:59:59.9999999", "2026-12-25T23:59:59.999999+00:00", "month day year"),
        ("4.4.2026", "2026-04-04T00:00:00+00:00", "day month year"),
    ],
)
def test_many_written_forms_are_read(text: str, iso: str, read_as: str | None) -> None:
    moment = parse(text)
    assert moment.iso == iso
    assert moment.read_as == (read_as or "month day year")


def test_an_ambiguous_day_and_month_is_asked_for_and_never_guessed() -> None:
    with pytest.raises(toolbox.ToolError, match="may be day 3 of month 4 or day 4 of month 3; say as day_order"):
        parse("03/04/2026")
    assert parse("03/04/2026", day_order="day_first").date == "2026-04-03"
    assert parse("03/04/2026", day_order="month_first").date == "2026-03-04"


def test_a_stated_order_that_cannot_be_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="'25/12/2026' is no date on the calendar: month must be in"):
        parse("25/12/2026", day_order="month_first")


def test_a_number_of_unclear_size_is_asked_for_and_a_stated_unit_is_followed() -> None:
    with pytest.raises(toolbox.ToolError, match="86400 may count seconds or milliseconds since 1970"):
        parse("86400")
    assert parse("86400", epoch_unit="seconds").utc == "1970-01-02T00:00:00Z"
    assert parse("86400", epoch_unit="milliseconds").utc == "1970-01-01T00:01:26.400000Z"
    assert parse("20260303", epoch_unit="seconds").utc == "1970-08-23T11:51:43Z"
    with pytest.raises(toolbox.ToolError, match="outside the years 1 to 9999"):
        parse("9" * 15, epoch_unit="seconds")


def test_the_zone_of_a_text_without_one_is_given_or_noted() -> None:
    assert parse("3 March 2026 14:05").note == "no zone was given, so the time was taken as UTC"
    assert parse("3 March 2026 14:05", zone="Asia/Tokyo").iso == "2026-03-03T14:05:00+09:00"
    assert parse("3 March 2026 14:05 GMT", zone="Asia/Tokyo").iso == "2026-03-03T23:05:00+09:00"


def test_a_skipped_local_time_follows_the_rule() -> None:
    text = "30 March 2025, 2:30 am"
    assert parse(text, zone="Europe/Berlin").iso == "2025-03-30T03:30:00+02:00"
    with pytest.raises(toolbox.ToolError, match="clocks in Europe/Berlin skip"):
        parse(text, zone="Europe/Berlin", at_clock_change="refuse")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Monday, 3 March 2026", "2026-03-03 is a Tuesday, but the text says Monday"),
        ("Xyz, 3 March 2026", "2026-03-03 is a Tuesday, but the text says Xyz"),
        ("30 February 2026", "'30 February 2026' is no date on the calendar: day is out of range"),
        ("2026-02-30", "'2026-02-30' is no date on the calendar: day is out of range"),
        ("2026-03-03T25:00", "no date on the calendar: hour must be in"),
        ("3 Foo 2026", "no date on the calendar: there is no month Foo"),
        ("3 March 2026 14", "no date on the calendar: the time 14 has neither minutes nor am or pm"),
        ("3 March 2026 14 pm", "no date on the calendar: hour 14 goes with neither am nor pm"),
        ("3 March 2026 0:30 am", "no date on the calendar: hour 0 goes with neither am nor pm"),
        ("3 March 0000", "no date on the calendar: year 0 is out of range"),
        ("3 March 26", "is no date or time that can be read"),
        ("03/04/26", "is no date or time that can be read"),
        ("3. März 2026", "is no date or time that can be read"),
        ("tomorrow", "is no date or time that can be read"),
        ("3 March 2026 14:05 CET", "is no date or time that can be read"),
        ("3 March 2026 14:05 +9900", "there is no time zone"),
        ("\u0663 March 2026", "is no date or time that can be read"),
        ("", "is no date or time that can be read"),
        ("9" * 15, "may count seconds or milliseconds"),
    ],
)
def test_what_is_no_date_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        parse(text)


pieces = st.sampled_from(
    [
        *["3", "03", "2026", "12", "31", "Mar", "March", "Tue", "Tuesday", "pm", "am", "14:05", "2:05:09.5", "T", "Z"],
        *["GMT", "+0100", "-08:00", "/", "-", ".", ":", ",", " ", " ", "of", "at", "EST", "W10", "1772546700", "st"],
        *["rd", "(PST)"],
    ]
)


@given(st.lists(pieces, max_size=10).map("".join) | st.text(max_size=40), st.sampled_from([None, "day_first"]))
def test_any_text_gives_a_moment_or_a_tool_error(text: str, day_order: Any) -> None:
    with contextlib.suppress(toolbox.ToolError):
        moment = parse(text, day_order=day_order)
        assert parse(moment.iso).epoch_milliseconds == moment.epoch_milliseconds


@pytest.mark.parametrize("text", ["1" * 99, "3 " * 49, "a" * 99, "Tue, " * 19, "03/" * 33, "(" * 99, "2026-" * 19])
def test_long_nonsense_is_refused(text: str) -> None:
    with pytest.raises(toolbox.ToolError):
        parse(text)
