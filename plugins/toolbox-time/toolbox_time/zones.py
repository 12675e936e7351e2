"""Time zones by name: IANA zones such as Europe/Berlin, and fixed offsets such as +02:00."""

import datetime
import difflib
import functools
import importlib.resources
import re
import zoneinfo

import toolbox
from toolbox_time.conventions import shown

_FIXED_OFFSET = re.compile(r"(?P<sign>[+-])(?P<hours>[01][0-9]|2[0-3])(?::?(?P<minutes>[0-5][0-9]))?")
_ABBREVIATION = re.compile(r"[A-Z]{2,5}")


def find_zone(name: str) -> datetime.tzinfo:
    """The zone with an IANA name, in upper or lower case, or a fixed offset from UTC.

    Raises:
        ToolError: There is none; the message names near ones.
    """
    if match := _FIXED_OFFSET.fullmatch(name):
        offset = datetime.timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
        return datetime.timezone(-offset if match["sign"] == "-" else offset)
    # ZoneInfo opens a file of the name that it is given, so it is given known names only.
    known = _known_zones().get("utc" if name in ("Z", "z") else _comparable(name))
    if known is None:
        raise toolbox.ToolError(f"there is no time zone {shown(name)}; {_hint(name)}")
    return zoneinfo.ZoneInfo(known)


def known_zone(name: str) -> str | None:
    """How the IANA zone of a name is written, in upper or lower case; None if there is none."""
    return _known_zones().get(_comparable(name))


def search_zones(text: str) -> list[str]:
    """The IANA zones whose name or country contains a text, sorted."""
    wanted = _comparable(text)
    return [
        name
        for key, name in sorted(_known_zones().items())
        if wanted in key or wanted in _comparable(country_of(name) or "")
    ]


def zone_name(moment: datetime.datetime) -> str:
    """The zone of a moment, by the name under which `find_zone` finds it."""
    if isinstance(moment.tzinfo, zoneinfo.ZoneInfo):
        return str(moment.tzinfo.key)
    return offset_text(moment) if moment.utcoffset() else "UTC"


def offset_text(moment: datetime.datetime) -> str:
    """The offset from UTC as ISO 8601 writes it, such as +02:00; old ones have seconds too."""
    date_and_time = "2000-01-01T00:00:00"
    return moment.replace(microsecond=0).isoformat()[len(date_and_time) :]


def country_of(zone: str) -> str | None:
    """The English name of the country in which a zone lies; None for zones of no single country, and for old names."""
    return _countries().get(zone)


@functools.cache
def _known_zones() -> dict[str, str]:
    """Every IANA zone by its comparable name."""
    machine_settings = {"Factory", "localtime", "posixrules"}
    return {_comparable(name): name for name in zoneinfo.available_timezones() - machine_settings}


def _comparable(name: str) -> str:
    return name.lower().replace("_", " ").strip()


def _hint(name: str) -> str:
    if _ABBREVIATION.fullmatch(name):
        return "abbreviations mean different zones in different places; list_zones searches by city or country"
    near = search_zones(name)[:5] or _similar_zones(name)
    return f"near ones are {', '.join(near)}" if near else "list_zones searches by city or country"


def _similar_zones(name: str) -> list[str]:
    by_city = {key.rpartition("/")[2]: zone for key, zone in _known_zones().items()}
    candidates = by_city | _known_zones()
    return [candidates[key] for key in difflib.get_close_matches(_comparable(name), candidates, n=5)]


@functools.cache
def _countries() -> dict[str, str]:
    """The country of each zone, from the tables of the tz database."""
    names = dict(_rows("iso3166.tab"))
    return {zone: names[code] for code, _, zone, *_ in _rows("zone.tab")}


def _rows(table: str) -> list[list[str]]:
    text = importlib.resources.files("tzdata").joinpath("zoneinfo", table).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if line and not line.startswith("#")]
