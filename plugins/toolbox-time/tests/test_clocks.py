import datetime
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_time.clocks import convert, now
from toolbox_time.moments import EPOCH

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC", "-03:30"]

instants = st.timedeltas(datetime.timedelta(days=-25_000), datetime.timedelta(days=47_000)).map(EPOCH.__add__)
"""From 1901 to 2098."""


def test_now_is_between_the_moments_before_and_after_the_call() -> None:
    before = time.time_ns() // 1_000_000
    moment = now("Asia/Tokyo")
    after = time.time_ns() // 1_000_000
    assert before <= moment.epoch_milliseconds <= after
    assert moment.offset == "+09:00"
    assert moment.iso == f"{moment.date}T{moment.time}+09:00"


@given(instants, st.sampled_from(ZONES), st.sampled_from(ZONES))
def test_a_moment_converted_there_and_back_is_the_same(instant: datetime.datetime, first: str, second: str) -> None:
    there = convert(instant.isoformat(), first)
    back = convert(there.iso, second)
    assert there.epoch_milliseconds == back.epoch_milliseconds
    assert convert(back.iso, "UTC").iso == instant.isoformat()


@given(instants, st.sampled_from(ZONES), st.sampled_from(["compatible", "earlier", "later"]))
def test_a_local_time_is_kept_or_the_note_says_why_not(instant: datetime.datetime, zone: str, rule: Any) -> None:
    local = instant.replace(tzinfo=None).isoformat()
    moment = convert(local, zone, from_zone=zone, at_clock_change=rule)
    assert moment.note is not None or f"{moment.date}T{moment.time}" == local


@pytest.mark.parametrize(
    ("rule", "skipped", "repeated"),
    [
        ("compatible", "2025-03-30T03:30:00+02:00", "2025-10-26T02:30:00+02:00"),
        ("earlier", "2025-03-30T01:30:00+01:00", "2025-10-26T02:30:00+02:00"),
        ("later", "2025-03-30T03:30:00+02:00", "2025-10-26T02:30:00+01:00"),
    ],
)
def test_clock_changes_follow_the_rule_and_are_noted(rule: Any, skipped: str, repeated: str) -> None:
    spring = convert("2025-03-30T02:30", "Europe/Berlin", "Europe/Berlin", rule)
    autumn = convert("2025-10-26T02:30", "Europe/Berlin", "Europe/Berlin", rule)
    assert (spring.iso, autumn.iso) == (skipped, repeated)
    assert "skip 2025-03-30 02:30:00" in (spring.note or "")
    assert "show twice 2025-10-26 02:30:00" in (autumn.note or "")


@pytest.mark.parametrize(
    ("local", "problem"),
    [
        ("2025-03-30T02:00", "clocks in Europe/Berlin skip 2025-03-30 02:00:00; give an offset"),
        ("2025-10-26T02:59:59", "clocks in Europe/Berlin show twice 2025-10-26 02:59:59; give an offset"),
    ],
)
def test_a_skipped_or_repeated_time_can_be_refused(local: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        convert(local, "UTC", "Europe/Berlin", "refuse")


@pytest.mark.parametrize(
    "local", ["2025-03-30T01:59:59", "2025-03-30T03:00", "2025-10-26T01:59:59", "2025-10-26T03:00"]
)
def test_times_at_the_edge_of_a_clock_change_are_neither_skipped_nor_repeated(local: str) -> None:
    assert convert(local, "UTC", "Europe/Berlin", "refuse").note is None


def test_a_day_that_a_zone_skipped_is_moved_forward_by_a_day() -> None:
    moment = convert("2011-12-30T12:00", "Pacific/Apia", "Pacific/Apia")
    assert moment.iso == "2011-12-31T12:00:00+14:00"


def test_old_offsets_keep_their_seconds() -> None:
    moment = convert("1880-01-01T00:00", "Europe/Berlin", "europe/berlin")
    assert (moment.offset, moment.utc, moment.abbreviation) == ("+00:53:28", "1879-12-31T23:06:32Z", "LMT")
    assert convert(moment.iso, "UTC").utc == moment.utc


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"time": "2026-03-01T12:00", "to_zone": "UTC"}, "has no offset; name the zone that it is in as from_zone"),
        ({"time": "2026-03-01T12:00Z", "to_zone": "UTC", "from_zone": "Asia/Tokyo"}, "has an offset that Asia/Tokyo"),
        ({"time": "2026-03-01T12:00Z", "to_zone": "Mars/Base"}, "there is no time zone 'Mars/Base'"),
        ({"time": "3 pm", "to_zone": "UTC"}, "'3 pm' is no date or time in ISO 8601"),
        ({"time": "2026-03-01x12:00Z", "to_zone": "UTC"}, "is no date or time in ISO 8601"),
        ({"time": "2026-02-30T12:00Z", "to_zone": "UTC"}, "ISO 8601: day is out of range for month"),
        ({"time": "2026-03-01T12:00:60Z", "to_zone": "UTC"}, "ISO 8601: second must be in"),
        ({"time": "0001-01-01T00:00Z", "to_zone": "America/New_York"}, "outside the years 1 to 9999"),
        ({"time": "9999-12-31T23:00Z", "to_zone": "Asia/Tokyo"}, "outside the years 1 to 9999"),
        ({"time": "0001-01-01T00:00", "to_zone": "UTC", "from_zone": "Asia/Tokyo"}, "outside the years 1 to 9999"),
    ],
)
def test_what_is_no_moment_is_refused_in_words(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        convert(**arguments)


def test_an_offset_that_the_named_zone_has_is_welcome() -> None:
    assert convert("2026-03-01T12:00+09:00", "UTC", "Asia/Tokyo").iso == "2026-03-01T03:00:00+00:00"
