"""The time zones as resources: all of them with their present offsets, and each by its name."""

import datetime

from msgspec import Struct

import toolbox
from toolbox_time.moments import in_zone
from toolbox_time.zone_search import ZoneFacts, facts_of
from toolbox_time.zones import find_zone, known_zone, offset_text, search_zones

COMPLETED = 100
"""As many suggestions as a client is ever sent."""


class ZoneOffset(Struct, frozen=True):
    """A zone, and its offset from UTC at the moment."""

    name: str
    offset: str


class Zones(Struct, frozen=True):
    """All IANA zones, sorted, and the moment to which their offsets belong."""

    at: str
    zones: list[ZoneOffset]


@toolbox.resource(
    "time://zones",
    title="Time zones",
    annotations=toolbox.Annotations(audience=("user", "assistant")),
    cache_seconds=60,
)
def zones() -> Zones:
    """All IANA time zones with their offsets from UTC at the moment."""
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    names = search_zones("")
    offsets = [ZoneOffset(name, offset_text(in_zone(now, find_zone(name)))) for name in names]
    return Zones(now.isoformat(), offsets)


def complete_zone(typed: str, _given: dict[str, str]) -> toolbox.Suggestions:
    """The zones that contain what has been typed; those that begin with it come first."""
    found = search_zones(typed)
    found.sort(key=lambda name: not name.casefold().startswith(typed.casefold()))
    return toolbox.Suggestions(tuple(found[:COMPLETED]), len(found), len(found) > COMPLETED)


@toolbox.resource(
    "time://zones/{+name}",
    title="A time zone",
    annotations=toolbox.Annotations(audience=("user", "assistant")),
    complete={"name": complete_zone},
)
def zone(name: str) -> ZoneFacts | None:
    """What the clocks of a time zone show at the moment, such as time://zones/Europe/Berlin."""
    known = known_zone(name)
    return facts_of(known, datetime.datetime.now(datetime.UTC)) if known else None
