import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_time.calendar_days import calendar_facts


@given(st.dates())
def test_the_parts_of_a_date_agree_with_each_other(day: datetime.date) -> None:
    facts = calendar_facts(day.isoformat())
    assert facts.date == day.isoformat()
    assert datetime.date.fromisoformat(facts.iso_week) == day
    assert datetime.date(day.year, 1, 1) + datetime.timedelta(days=facts.day_of_year - 1) == day
    assert facts.day_of_year + facts.days_left_in_year == (366 if facts.is_leap_year else 365)
    assert facts.is_weekend == (facts.weekday in {"Saturday", "Sunday"})
    assert facts.quarter == -(-day.month // 3)


@pytest.mark.parametrize(("year", "is_leap_year"), [("2000", True), ("1900", False), ("2024", True), ("2026", False)])
def test_leap_years(year: str, is_leap_year: bool) -> None:
    facts = calendar_facts(f"{year}-02-01")
    assert (facts.is_leap_year, facts.days_in_month) == (is_leap_year, 29 if is_leap_year else 28)


def test_the_time_of_day_does_not_matter() -> None:
    assert calendar_facts("2026-03-29T23:59:59-11:00") == calendar_facts("2026-W13-7")


@pytest.mark.parametrize("text", ["2025-02-29", "2026-W54-1", "29.03.2026", "2026", "today", "-2026-01-01"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(toolbox.ToolError, match="is no date or time in ISO 8601"):
        calendar_facts(text)
