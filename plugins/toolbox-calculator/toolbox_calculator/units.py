"""The units that can be converted, and how to find one by what people call it.

Factors are exact by definition: the inch is 2.54 cm and the pound 0.45359237 kg (international yard and pound, 1959),
the US gallon is 231 cubic inches and the imperial one 4.54609 l; the other factors follow the SI brochure (9th
edition, 2019) and NIST SP 811. The year is the Julian one of 365.25 days.
"""

import difflib
import math
from fractions import Fraction
from typing import Literal, get_args

from msgspec import Struct

import toolbox

Dimension = Literal[
    "length", "mass", "temperature", "area", "volume", "speed", "time", "data", "energy", "power", "pressure", "angle"
]


class Unit(Struct, frozen=True):
    """A unit: `size` and `zero` say how it reads in its dimension's base unit, value * size + zero."""

    dimension: Dimension
    symbol: str
    name: str
    size: Fraction
    zero: Fraction = Fraction(0)
    other_names: tuple[str, ...] = ()


def find_unit(text: str) -> Unit:
    """Find a unit by its symbol or name, singular or plural: "km", "kilometre", "Kilometers", "feet".

    Symbols are told apart by case where that matters: "Mb" is a megabit, "MB" a megabyte and "mW" not a megawatt.

    Raises:
        ToolError: No unit has that name; near ones are suggested.
    """
    spelling = " ".join(text.replace("_", " ").split())
    unit = _BY_SYMBOL.get(spelling) or _BY_NAME.get(spelling.lower())
    if unit:
        return unit
    near = [unit.symbol for unit in _UNITS if unit.symbol.lower() == spelling.lower()]
    near = near or difflib.get_close_matches(spelling.lower(), _BY_NAME, n=3)
    hint = f"near ones are {', '.join(near)}" if near else "list_units shows all"
    raise toolbox.ToolError(f"there is no unit {text!r}; {hint}")


def units_of(dimension: Dimension) -> list[Unit]:
    """All units of a dimension."""
    return [unit for unit in _UNITS if unit.dimension == dimension]


DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)


def _unit(
    dimension: Dimension, symbol: str, name: str, size: str | Fraction, *other_names: str, zero: str | Fraction = "0"
) -> Unit:
    return Unit(dimension, symbol, name, Fraction(size), Fraction(zero), other_names)


_HOUR = Fraction(3600)
_PI = Fraction(math.pi)
_CUBIC_INCH = Fraction("0.0254") ** 3

_UNITS = (
    # in metres
    _unit("length", "nm", "nanometre", "1e-9", "nanometer"),
    _unit("length", "µm", "micrometre", "1e-6", "micrometer", "micron", "um"),
    _unit("length", "mm", "millimetre", "0.001", "millimeter"),
    _unit("length", "cm", "centimetre", "0.01", "centimeter"),
    _unit("length", "dm", "decimetre", "0.1", "decimeter"),
    _unit("length", "m", "metre", "1", "meter"),
    _unit("length", "km", "kilometre", "1000", "kilometer"),
    _unit("length", "in", "inch", "0.0254", "inches", '"'),
    _unit("length", "ft", "foot", "0.3048", "feet", "'"),
    _unit("length", "yd", "yard", "0.9144"),
    _unit("length", "mi", "mile", "1609.344"),
    _unit("length", "nmi", "nautical mile", "1852"),
    _unit("length", "au", "astronomical unit", "149597870700"),
    _unit("length", "ly", "light-year", "9460730472580800", "light year"),
    # in kilograms
    _unit("mass", "µg", "microgram", "1e-9", "ug", "mcg"),
    _unit("mass", "mg", "milligram", "1e-6"),
    _unit("mass", "g", "gram", "0.001"),
    _unit("mass", "kg", "kilogram", "1", "kilo"),
    _unit("mass", "t", "tonne", "1000", "metric ton"),
    _unit("mass", "oz", "ounce", "0.028349523125"),
    _unit("mass", "lb", "pound", "0.45359237", "lbs"),
    _unit("mass", "st", "stone", "6.35029318"),
    _unit("mass", "short ton", "short ton", "907.18474", "us ton"),
    _unit("mass", "long ton", "long ton", "1016.0469088", "imperial ton"),
    _unit("mass", "ct", "carat", "0.0002"),
    # in kelvins
    _unit("temperature", "K", "kelvin", "1", "degree kelvin", "degrees kelvin"),
    _unit("temperature", "°C", "degree Celsius", "1", "celsius", "c", "degrees celsius", "centigrade", zero="273.15"),
    _unit(
        "temperature",
        "°F",
        "degree Fahrenheit",
        Fraction(5, 9),
        "fahrenheit",
        "f",
        "degrees fahrenheit",
        zero=Fraction("459.67") * Fraction(5, 9),
    ),
    _unit("temperature", "°R", "degree Rankine", Fraction(5, 9), "rankine", "degrees rankine"),
    # in square metres
    _unit("area", "mm²", "square millimetre", "1e-6", "square millimeter", "mm2", "mm^2"),
    _unit("area", "cm²", "square centimetre", "1e-4", "square centimeter", "cm2", "cm^2"),
    _unit("area", "m²", "square metre", "1", "square meter", "m2", "m^2", "sqm"),
    _unit("area", "ha", "hectare", "10000"),
    _unit("area", "km²", "square kilometre", "1e6", "square kilometer", "km2", "km^2"),
    _unit("area", "in²", "square inch", "0.00064516", "square inches", "in2", "in^2", "sq in"),
    _unit("area", "ft²", "square foot", "0.09290304", "square feet", "ft2", "ft^2", "sq ft", "sqft"),
    _unit("area", "yd²", "square yard", "0.83612736", "yd2", "yd^2", "sq yd"),
    _unit("area", "ac", "acre", "4046.8564224"),
    _unit("area", "mi²", "square mile", "2589988.110336", "mi2", "mi^2", "sq mi"),
    # in cubic metres
    _unit("volume", "ml", "millilitre", "1e-6", "milliliter", "cubic centimetre", "cubic centimeter", "cm3", "cm³"),
    _unit("volume", "cl", "centilitre", "1e-5", "centiliter"),
    _unit("volume", "dl", "decilitre", "1e-4", "deciliter"),
    _unit("volume", "l", "litre", "0.001", "liter", "cubic decimetre", "dm3", "dm³"),
    _unit("volume", "m³", "cubic metre", "1", "cubic meter", "m3", "m^3"),
    _unit("volume", "in³", "cubic inch", _CUBIC_INCH, "cubic inches", "in3", "in^3"),
    _unit("volume", "ft³", "cubic foot", _CUBIC_INCH * 1728, "cubic feet", "ft3", "ft^3"),
    _unit("volume", "tsp", "US teaspoon", _CUBIC_INCH * 231 / 768, "teaspoon"),
    _unit("volume", "tbsp", "US tablespoon", _CUBIC_INCH * 231 / 256, "tablespoon"),
    _unit("volume", "fl oz", "US fluid ounce", _CUBIC_INCH * 231 / 128, "fluid ounce"),
    _unit("volume", "cup", "US cup", _CUBIC_INCH * 231 / 16),
    _unit("volume", "pt", "US pint", _CUBIC_INCH * 231 / 8, "pint"),
    _unit("volume", "qt", "US quart", _CUBIC_INCH * 231 / 4, "quart"),
    _unit("volume", "gal", "US gallon", _CUBIC_INCH * 231, "gallon"),
    _unit("volume", "imp fl oz", "imperial fluid ounce", Fraction("0.00454609") / 160, "uk fluid ounce"),
    _unit("volume", "imp pt", "imperial pint", Fraction("0.00454609") / 8, "uk pint"),
    _unit("volume", "imp gal", "imperial gallon", "0.00454609", "uk gallon"),
    _unit("volume", "bbl", "oil barrel", _CUBIC_INCH * 231 * 42, "barrel"),
    # in metres per second
    _unit("speed", "m/s", "metre per second", "1", "meter per second", "metres per second", "meters per second", "mps"),
    _unit(
        "speed",
        "km/h",
        "kilometre per hour",
        1000 / _HOUR,
        "kilometer per hour",
        "kilometres per hour",
        "kilometers per hour",
        "kph",
        "kmh",
    ),
    _unit("speed", "mph", "mile per hour", Fraction("1609.344") / _HOUR, "miles per hour", "mi/h"),
    _unit("speed", "ft/s", "foot per second", "0.3048", "feet per second", "fps"),
    _unit("speed", "kn", "knot", 1852 / _HOUR, "kt"),
    _unit("speed", "c₀", "speed of light", "299792458"),
    # in seconds
    _unit("time", "ns", "nanosecond", "1e-9"),
    _unit("time", "µs", "microsecond", "1e-6", "us"),
    _unit("time", "ms", "millisecond", "0.001"),
    _unit("time", "s", "second", "1", "sec"),
    _unit("time", "min", "minute", "60"),
    _unit("time", "h", "hour", _HOUR, "hr"),
    _unit("time", "d", "day", "86400"),
    _unit("time", "wk", "week", "604800"),
    _unit("time", "yr", "year", "31557600", "julian year"),
    # in bits
    _unit("data", "bit", "bit", "1"),
    _unit("data", "kb", "kilobit", "1000", "kbit"),
    _unit("data", "Mb", "megabit", "1e6", "mbit"),
    _unit("data", "Gb", "gigabit", "1e9", "gbit"),
    _unit("data", "B", "byte", "8"),
    _unit("data", "kB", "kilobyte", "8000"),
    _unit("data", "MB", "megabyte", "8e6"),
    _unit("data", "GB", "gigabyte", "8e9"),
    _unit("data", "TB", "terabyte", "8e12"),
    _unit("data", "PB", "petabyte", "8e15"),
    _unit("data", "KiB", "kibibyte", Fraction(8 * 2**10)),
    _unit("data", "MiB", "mebibyte", Fraction(8 * 2**20)),
    _unit("data", "GiB", "gibibyte", Fraction(8 * 2**30)),
    _unit("data", "TiB", "tebibyte", Fraction(8 * 2**40)),
    _unit("data", "PiB", "pebibyte", Fraction(8 * 2**50)),
    # in joules
    _unit("energy", "J", "joule", "1"),
    _unit("energy", "kJ", "kilojoule", "1000"),
    _unit("energy", "MJ", "megajoule", "1e6"),
    _unit("energy", "Wh", "watt-hour", _HOUR, "watt hour"),
    _unit("energy", "kWh", "kilowatt-hour", 1000 * _HOUR, "kilowatt hour"),
    _unit("energy", "cal", "calorie", "4.184"),
    _unit("energy", "kcal", "kilocalorie", "4184", "food calorie"),
    _unit("energy", "BTU", "British thermal unit", "1055.05585262"),
    _unit("energy", "eV", "electronvolt", "1.602176634e-19", "electron volt"),
    # in watts
    _unit("power", "W", "watt", "1"),
    _unit("power", "kW", "kilowatt", "1000"),
    _unit("power", "MW", "megawatt", "1e6"),
    _unit("power", "hp", "horsepower", "745.69987158227022", "mechanical horsepower"),
    _unit("power", "PS", "metric horsepower", "735.49875"),
    # in pascals
    _unit("pressure", "Pa", "pascal", "1"),
    _unit("pressure", "hPa", "hectopascal", "100"),
    _unit("pressure", "kPa", "kilopascal", "1000"),
    _unit("pressure", "MPa", "megapascal", "1e6"),
    _unit("pressure", "mbar", "millibar", "100"),
    _unit("pressure", "bar", "bar", "100000"),
    _unit("pressure", "atm", "atmosphere", "101325", "standard atmosphere"),
    _unit("pressure", "mmHg", "millimetre of mercury", "133.322387415", "millimeter of mercury"),
    _unit("pressure", "Torr", "torr", Fraction(101325, 760)),
    _unit(
        "pressure",
        "psi",
        "pound per square inch",
        Fraction("0.45359237") * Fraction("9.80665") / Fraction("0.00064516"),
        "pounds per square inch",
    ),
    # in radians
    _unit("angle", "rad", "radian", "1"),
    _unit("angle", "°", "degree", _PI / 180, "deg"),
    _unit("angle", "gon", "gradian", _PI / 200, "grad"),
    _unit("angle", "arcmin", "arcminute", _PI / 10800, "minute of arc"),
    _unit("angle", "arcsec", "arcsecond", _PI / 648000, "second of arc"),
    _unit("angle", "turn", "turn", 2 * _PI, "revolution"),
)

_BY_SYMBOL = {unit.symbol: unit for unit in _UNITS}


def _by_name() -> dict[str, Unit]:
    """Names and their plurals, and symbols whose case says nothing, all in lower case."""
    units: dict[str, Unit] = {}
    for unit in _UNITS:
        for name in (unit.name, *unit.other_names):
            units[name.lower()] = unit
            units.setdefault(f"{name.lower()}s", unit)
    for unit in _UNITS:
        # Mm is no mm, mW no MW, ps no PS and b no B: there a wrong case is asked about, not guessed
        if unit.dimension != "data" and not unit.symbol.startswith(("m", "M", "P")):
            units.setdefault(unit.symbol.lower(), unit)
    return units


_BY_NAME = _by_name()
