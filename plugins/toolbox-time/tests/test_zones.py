import datetime

import pytest

import toolbox
from toolbox_time.zone_search import list_zones
from toolbox_time.zones import find_zone, zone_name


@pytest.mark.parametrize(
    ("name", "canonical", "offset"),
    [
        ("Europe/Berlin", "Europe/Berlin", "+01:00"),
        ("europe/berlin", "Europe/Berlin", "+01:00"),
        ("America/New York", "America/New_York", "-05:00"),
        ("UTC", "UTC", "+00:00"),
        ("utc", "UTC", "+00:00"),
        ("Z", "UTC", "+00:00"),
        ("+02:00", "+02:00", "+02:00"),
        ("-0330", "-03:30", "-03:30"),
        ("+14", "+14:00", "+14:00"),
        ("+00:00", "UTC", "+00:00"),
    ],
)
def test_a_zone_is_found_by_name_or_offset(name: str, canonical: str, offset: str) -> None:
    moment = datetime.datetime(2025, 1, 1, tzinfo=find_zone(name))
    assert zone_name(moment) == canonical
    assert moment.isoformat() == f"2025-01-01T00:00:00{offset}"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Berlin", "near ones are Europe/Berlin$"),
        ("Europe/Berln", "near ones are Europe/Berlin"),
        ("Tokio", "near ones are .*Asia/Tokyo"),
        ("new york", "near ones are America/New_York$"),
        ("PST", "abbreviations mean different zones in different places"),
        ("", "near ones are"),
        ("qqqqqqqqqq", "list_zones searches by city or country"),
        ("../../etc/passwd", "there is no time zone"),
        ("/etc/passwd", "there is no time zone"),
        ("Europe/Berlin\x00", "there is no time zone"),
        ("posixrules", "there is no time zone"),
        ("Europe", "near ones are"),
        ("+25:00", "there is no time zone"),
        ("+2", "there is no time zone"),
        ("x" * 10_000, "there is no time zone 'x{60}'\\.\\.\\.;"),
    ],
)
def test_an_unknown_zone_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(toolbox.ToolError, match=hint):
        find_zone(name)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("kathmandu", {"Asia/Kathmandu"}),
        ("Portugal", {"Atlantic/Azores", "Atlantic/Madeira", "Europe/Lisbon", "Portugal"}),
        ("new zealand", {"Pacific/Auckland", "Pacific/Chatham"}),
        ("buenos aires", {"America/Argentina/Buenos_Aires", "America/Buenos_Aires"}),
        ("no such place", set()),
    ],
)
def test_zones_are_searched_by_city_and_country(search: str, expected: set[str]) -> None:
    found = list_zones(search)
    assert {zone.name for zone in found.zones} == expected
    assert found.total == len(expected)


def test_offsets_are_those_of_the_moment_that_was_asked_for() -> None:
    winter, summer = (list_zones("Europe/London", at=at).zones[0] for at in ("2025-01-01", "2025-07-01T12:00"))
    assert (winter.offset, winter.abbreviation, winter.local_time) == ("+00:00", "GMT", "2025-01-01T00:00:00")
    assert (summer.offset, summer.abbreviation, summer.local_time) == ("+01:00", "BST", "2025-07-01T13:00:00")
    assert summer.country == "Britain (UK)"


def test_all_zones_are_counted_and_the_limit_is_kept() -> None:
    found = list_zones(limit=3)
    assert found.total > 400
    assert [zone.name for zone in found.zones] == ["Africa/Abidjan", "Africa/Accra", "Africa/Addis_Ababa"]
    assert len(list_zones(limit=1000).zones) == found.total
