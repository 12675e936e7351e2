"""What the calendar says of a day."""

import calendar

from msgspec import Struct

import toolbox
from toolbox_time.conventions import CATEGORY, READ_ONLY, TimeText
from toolbox_time.moments import read_iso, weekday_name


class CalendarFacts(Struct, frozen=True):
    """A day's place in its week, month, quarter and year; weeks are those of ISO 8601, which begin on Monday."""

    date: str
    weekday: str
    is_weekend: bool
    iso_week: str
    """Year, week and weekday, such as 2026-W53-5: the week's year is not always the date's."""
    week_number: int
    day_of_year: int
    days_left_in_year: int
    days_in_month: int
    quarter: int
    is_leap_year: bool


@toolbox.tool(
    title="Calendar facts about a date",
    category=CATEGORY,
    tags=["date", "calendar", "weekday", "week-number", "leap-year", "quarter"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(
            query="what day of the week was 20 July 1969",
            arguments={"date": "1969-07-20"},
            result={
                "date": "1969-07-20",
                "weekday": "Sunday",
                "is_weekend": True,
                "iso_week": "1969-W29-7",
                "week_number": 29,
                "day_of_year": 201,
                "days_left_in_year": 164,
                "days_in_month": 31,
                "quarter": 3,
                "is_leap_year": False,
            },
        ),
        toolbox.ToolExample(
            query="which calendar week is 1 January 2027 and is that a leap year",
            arguments={"date": "2027-01-01"},
            result={
                "date": "2027-01-01",
                "weekday": "Friday",
                "is_weekend": False,
                "iso_week": "2026-W53-5",
                "week_number": 53,
                "day_of_year": 1,
                "days_left_in_year": 364,
                "days_in_month": 31,
                "quarter": 1,
                "is_leap_year": False,
            },
        ),
    ],
)
def calendar_facts(date: TimeText) -> CalendarFacts:
    """Tell the weekday, ISO week number, quarter and day of the year of a date, and whether it is a leap year.

    Args:
        date: A date in ISO 8601, such as 2026-03-29 or 2026-W13-7; of a date with a time, the date.
    """
    day = read_iso(date).date()
    year, week, weekday = day.isocalendar()
    day_of_year = day.timetuple().tm_yday
    is_leap_year = calendar.isleap(day.year)
    return CalendarFacts(
        date=day.isoformat(),
        weekday=weekday_name(day),
        is_weekend=day.weekday() >= calendar.SATURDAY,
        iso_week=f"{year:04}-W{week:02}-{weekday}",
        week_number=week,
        day_of_year=day_of_year,
        days_left_in_year=(366 if is_leap_year else 365) - day_of_year,
        days_in_month=calendar.monthrange(day.year, day.month)[1],
        quarter=(day.month + 2) // 3,
        is_leap_year=is_leap_year,
    )
