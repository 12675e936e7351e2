"""The time zones as resources."""

import datetime
import zoneinfo

import pytest

from toolbox.resources import as_resource
from toolbox_time import toolbox_resources
from toolbox_time.zone_resources import complete_zone, zone, zones


def test_every_zone_is_there_with_its_present_offset() -> None:
    found = zones()
    offsets = {listed.name: listed.offset for listed in found.zones}
    assert list(offsets) == sorted(offsets, key=lambda name: name.lower().replace("_", " "))
    assert set(offsets) >= {"Europe/Berlin", "America/New_York", "UTC", "Asia/Kathmandu"}
    assert (offsets["UTC"], offsets["Asia/Kathmandu"]) == ("+00:00", "+05:45")
    moment = datetime.datetime.fromisoformat(found.at)
    assert f"{moment.astimezone(zoneinfo.ZoneInfo('Europe/Berlin')):%z}" == offsets["Europe/Berlin"].replace(":", "")


def test_a_zone_is_read_by_its_name_however_it_is_written() -> None:
    berlin = zone("europe/berlin")
    assert berlin is not None
    assert (berlin.name, berlin.country) == ("Europe/Berlin", "Germany")


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "+02:00", "", "Factory"])
def test_what_is_no_zone_is_no_resource(name: str) -> None:
    assert zone(name) is None


def test_the_resources_are_read_by_their_uris() -> None:
    listed, template = map(as_resource, toolbox_resources())
    assert (listed.definition.uri, listed.is_template) == ("time://zones", False)
    assert template.template.match("time://zones/America/Argentina/Salta") == {"name": "America/Argentina/Salta"}
    assert template.template.match("time://zones/America%2FArgentina%2FSalta") == {"name": "America/Argentina/Salta"}


def test_names_are_completed_and_those_that_begin_so_come_first() -> None:
    everything = complete_zone("", {})
    assert (len(everything.values), everything.has_more) == (100, True)
    assert everything.total == len(zones().zones)
    assert complete_zone("europe/ber", {}).values == ("Europe/Berlin",)
    assert complete_zone("nowhere", {}).values == ()
    portuguese = complete_zone("portugal", {}).values
    assert portuguese[0] == "Portugal"
    assert "Europe/Lisbon" in portuguese
