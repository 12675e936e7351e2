"""The time zones there are, by city, country or region."""

import datetime
from typing import Annotated

from msgspec import Meta, Struct

import toolbox
from toolbox_time.conventions import CATEGORY, READ_ONLY, TimeText
from toolbox_time.moments import in_zone, put_in_zone, read_iso
from toolbox_time.zones import country_of, find_zone, offset_text, search_zones


class ZoneFacts(Struct, frozen=True):
    """A time zone, and what its clocks show at the moment that was asked for."""

    name: str
    country: str | None
    offset: str
    abbreviation: str
    local_time: str


class ZoneList(Struct, frozen=True):
    """How many zones match, and the first of them by name."""

    total: int
    zones: list[ZoneFacts]


@toolbox.tool(
    title="List time zones",
    category=CATEGORY,
    tags=["time", "timezone", "zone", "iana", "utc-offset", "country"],
    annotations=READ_ONLY,
    examples=[
        toolbox.ToolExample(
            query="what is the time zone name for New York and its UTC offset in summer",
            arguments={"search": "new york", "at": "2025-07-01T12:00Z"},
            result={
                "total": 1,
                "zones": [
                    {
                        "name": "America/New_York",
                        "country": "United States",
                        "offset": "-04:00",
                        "abbreviation": "EDT",
                        "local_time": "2025-07-01T08:00:00",
                    }
                ],
            },
        ),
        toolbox.ToolExample(query="which time zones does Portugal have", arguments={"search": "portugal"}),
    ],
)
def list_zones(
    search: Annotated[str, Meta(max_length=64)] = "",
    at: TimeText | None = None,
    limit: Annotated[int, Meta(ge=1, le=1000)] = 20,
) -> ZoneList:
    """List or search time zones by city, country or region, with their offsets from UTC and local times.

    Args:
        search: Part of a zone's name or of its country's English name, such as tokyo, india or America/; left out,
            all zones.
        at: The moment for which to give offsets and local times, in ISO 8601, in UTC if it has no offset; left out,
            now.
        limit: How many zones to list at most.
    """
    moment = put_in_zone(read_iso(at), None).moment if at else datetime.datetime.now(datetime.UTC)
    found = search_zones(search)
    return ZoneList(total=len(found), zones=[facts_of(name, moment) for name in found[:limit]])


def facts_of(name: str, moment: datetime.datetime) -> ZoneFacts:
    """What the clocks of a zone show at a moment."""
    local = in_zone(moment, find_zone(name))
    return ZoneFacts(
        name=name,
        country=country_of(name),
        offset=offset_text(local),
        abbreviation=local.tzname() or "",
        local_time=local.replace(microsecond=0, tzinfo=None).isoformat(),
    )
