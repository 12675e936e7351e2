import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_time.arithmetic import add, difference
from toolbox_time.moments import EPOCH
from toolbox_time.spans import Duration, Span, read_span, say_span, write_span

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC", "+05:45"]

instants = st.timedeltas(datetime.timedelta(days=-25_000), datetime.timedelta(days=47_000)).map(EPOCH.__add__)
"""From 1901 to 2098."""


@given(instants, instants, st.sampled_from(ZONES))
def test_the_difference_added_to_the_start_gives_the_end(
    start: datetime.datetime, end: datetime.datetime, zone: str
) -> None:
    measured = difference(start.isoformat(), end.isoformat(), zone)
    assert add(start.isoformat(), measured.duration, zone).utc == end.replace(tzinfo=None).isoformat() + "Z"
    exact = datetime.timedelta(seconds=measured.seconds, microseconds=measured.microseconds)
    assert start + exact == end


@given(instants, st.timedeltas(min_value=datetime.timedelta(days=-3), max_value=datetime.timedelta(days=3)))
def test_the_difference_is_exact_where_clocks_change(start: datetime.datetime, length: datetime.timedelta) -> None:
    near_a_change = start.replace(year=2025, month=10, day=26)
    end = near_a_change + length
    measured = difference(near_a_change.isoformat(), end.isoformat(), "Europe/Berlin")
    moment = add(near_a_change.isoformat(), measured.duration, "Europe/Berlin")
    assert moment.utc == end.replace(tzinfo=None).isoformat() + "Z"


@given(st.dates(datetime.date(1, 2, 1), datetime.date(9999, 11, 1)), st.integers(-20, 20))
def test_business_days_are_counted_as_on_a_calendar(start: datetime.date, length: int) -> None:
    end = start + datetime.timedelta(days=length)
    days = [min(start, end) + datetime.timedelta(days=number) for number in range(abs((end - start).days))]
    expected = sum(day.weekday() < 5 for day in days) * (1 if end >= start else -1)
    measured = difference(start.isoformat(), end.isoformat())
    assert (measured.business_days, measured.days) == (expected, (end - start).days)


@pytest.mark.parametrize(
    ("time", "duration", "zone", "iso"),
    [
        ("2024-01-31", "P1M", "UTC", "2024-02-29T00:00:00+00:00"),
        ("2023-01-31", "P1M", "UTC", "2023-02-28T00:00:00+00:00"),
        ("2024-02-29", "P1Y", "UTC", "2025-02-28T00:00:00+00:00"),
        ("2024-03-31", "-P1M", "UTC", "2024-02-29T00:00:00+00:00"),
        ("2024-01-31", "P1M1D", "UTC", "2024-03-01T00:00:00+00:00"),
        ("2024-12-31T23:59:59", "PT1S", "UTC", "2025-01-01T00:00:00+00:00"),
        ("2024-01-15", "-P13M", "UTC", "2022-12-15T00:00:00+00:00"),
        ("2024-01-01", "P2W3DT1.5H", "UTC", "2024-01-18T01:30:00+00:00"),
        ("2024-01-01", "PT0,5S", "UTC", "2024-01-01T00:00:00.500000+00:00"),
        # A day later is the same time of day, 24 hours later is not, on the night when clocks go forward.
        ("2025-03-29T12:00", "P1D", "Europe/Berlin", "2025-03-30T12:00:00+02:00"),
        ("2025-03-29T12:00", "PT24H", "Europe/Berlin", "2025-03-30T13:00:00+02:00"),
        # Adding exact time to the second of two equal clock times starts from the second.
        ("2025-10-26T02:30:00+01:00", "PT1M", "Europe/Berlin", "2025-10-26T02:31:00+01:00"),
    ],
)
def test_months_stop_at_the_end_days_follow_the_clock_and_hours_are_exact(
    time: str, duration: str, zone: str, iso: str
) -> None:
    assert add(time, duration, zone).iso == iso


def test_a_result_on_a_skipped_time_is_moved_forward_and_noted() -> None:
    moment = add("2025-03-29T02:30", "P1D", "Europe/Berlin")
    assert moment.iso == "2025-03-30T03:30:00+02:00"
    assert moment.note == "clocks in Europe/Berlin skip 2025-03-30 02:30:00; the later reading was taken"


def test_what_was_assumed_is_noted() -> None:
    assert add("2024-01-31", "P1M").note == (
        "no zone was given, so the time was taken as UTC; 2024-02 has no day 31, so its last was taken"
    )
    assert add("2024-01-30T00:00Z", "P1D").note is None


def test_parts_may_be_negative_one_by_one() -> None:
    assert add("2024-03-10", Duration(months=1, days=-9, seconds=-0.5), "UTC").iso == "2024-03-31T23:59:59.500000+00:00"


@pytest.mark.parametrize(
    ("time", "duration"),
    [
        ("9999-12-31", "P1D"),
        ("0001-01-01", "-PT1S"),
        ("2024-01-01", "P999999999999Y"),
        ("2024-01-01", "P999999999999D"),
        ("2024-01-01", "PT999999999999H"),
        ("2024-01-01", "-P999999999999M"),
        ("2024-01-01", Duration(years=-(10**12), weeks=10**12, seconds=-1e12)),
    ],
)
def test_a_result_beyond_the_calendar_is_refused(time: str, duration: Any) -> None:
    with pytest.raises(toolbox.ToolError, match="outside the years 1 to 9999"):
        add(time, duration, "UTC")


@pytest.mark.parametrize(
    ("start", "end", "zone", "duration", "words"),
    [
        ("2024-01-31", "2024-03-01", None, "P1M1D", "1 month and 1 day later"),
        ("2024-03-01", "2024-01-31", None, "-P1M1D", "1 month and 1 day earlier"),
        ("2000-02-29", "2024-02-28", None, "P23Y11M30D", "23 years, 11 months and 30 days later"),
        ("2024-01-01T00:00Z", "2024-01-01T00:00+00:00", None, "PT0S", "the same moment"),
        ("2024-01-01T00:00:00.5", "2024-01-01T00:01:02", None, "PT1M1.5S", "1 minute and 1.5 seconds later"),
        ("2025-03-29T12:00", "2025-03-30T12:00", "Europe/Berlin", "P1D", "1 day later"),
        ("2025-03-30T00:00", "2025-03-30T12:00", "Europe/Berlin", "PT11H", "11 hours later"),
        ("2025-10-26T02:30+02:00", "2025-10-26T02:30+01:00", "Europe/Berlin", "PT1H", "1 hour later"),
    ],
)
def test_differences_are_in_calendar_units_and_words(
    start: str, end: str, zone: str | None, duration: str, words: str
) -> None:
    measured = difference(start, end, zone)
    assert (measured.duration, measured.words) == (duration, words)


def test_seconds_are_those_that_pass() -> None:
    assert difference("2025-03-30", "2025-03-31", "Europe/Berlin").seconds == 23 * 3600
    assert difference("2025-10-26", "2025-10-27", "Europe/Berlin").seconds == 25 * 3600
    assert difference("2025-10-26", "2025-10-27").seconds == 24 * 3600
    backwards = difference("2025-01-01T00:00:01.25", "2025-01-01")
    assert (backwards.seconds, backwards.microseconds, backwards.duration) == (-1, -250_000, "-PT1.25S")


def test_one_offset_alone_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="one time has an offset and the other has none"):
        difference("2025-01-01T00:00Z", "2025-01-01T00:00")
    assert difference("2025-01-01T00:00Z", "2025-01-01T00:00", "Asia/Tokyo").seconds == -9 * 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "1D",
        "P1",
        "P1.5D",
        "P0.5M",
        "P-1D",
        "PT1H1H",
        "P1H",
        "PT1D",
        "P1D1M",
        "--P1D",
        "P1d",
        "P٣D",
    ],
)
def test_what_is_no_iso_duration_is_refused(text: str) -> None:
    with pytest.raises(toolbox.ToolError, match="is no ISO 8601 duration: write P"):
        read_span(text)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**15), st.sampled_from([1, -1]))
def test_a_written_span_reads_back_the_same(months: int, days: int, microseconds: int, sign: int) -> None:
    span = Span(sign * months, sign * days, sign * microseconds)
    assert read_span(write_span(span)) == span


def test_spans_are_said_with_singular_and_plural() -> None:
    assert say_span(Span(13, 2, 3_600_000_000)) == "1 year, 1 month, 2 days and 1 hour"
    assert say_span(Span(0, 0, 500_000)) == "0.5 seconds"
