"""Tools that convert between units of measurement."""

from typing import Annotated

from msgspec import Meta, Struct

import toolbox
from toolbox_calculator.exact import to_exact, to_number
from toolbox_calculator.hints import PURE
from toolbox_calculator.units import DIMENSIONS, Dimension, Unit, find_unit, units_of

UnitName = Annotated[str, Meta(min_length=1, max_length=40)]


class Conversion(Struct, frozen=True):
    """`value` in `unit` is what was asked for; `from_value` in `from_unit` is what was given."""

    value: float
    unit: str
    from_value: float
    from_unit: str
    dimension: Dimension


class NamedUnit(Struct, frozen=True):
    """A unit with what it may be called, singular or plural."""

    symbol: str
    name: str
    other_names: list[str]


class UnitGroup(Struct, frozen=True):
    """Units that can be converted into each other."""

    dimension: Dimension
    units: list[NamedUnit]


@toolbox.tool(
    title="Convert units",
    category="math",
    tags=["units", "measurement", "conversion", "metric", "imperial"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="how many kilometres are 26.2 miles",
            arguments={"value": 26.2, "from_unit": "miles", "to_unit": "km"},
            result={"value": 42.1648128, "unit": "km", "from_value": 26.2, "from_unit": "mi", "dimension": "length"},
        ),
        toolbox.ToolExample(
            query="350 degrees Fahrenheit in Celsius",
            arguments={"value": 350, "from_unit": "fahrenheit", "to_unit": "celsius"},
            result={
                "value": 176.66666666666666,
                "unit": "°C",
                "from_value": 350,
                "from_unit": "°F",
                "dimension": "temperature",
            },
        ),
        toolbox.ToolExample(
            query="how many MiB is 500 MB",
            arguments={"value": 500, "from_unit": "MB", "to_unit": "MiB"},
            result={
                "value": 476.837158203125,
                "unit": "MiB",
                "from_value": 500,
                "from_unit": "MB",
                "dimension": "data",
            },
        ),
    ],
)
def convert_unit(value: float, from_unit: UnitName, to_unit: UnitName) -> Conversion:
    """Convert a measurement to another unit: length, weight, temperature, area, volume, speed, time, data and more.

    Metric, imperial and US units are known by symbol ("km") and name ("kilometres"). Where the case of a symbol
    matters it is obeyed: Mb is a megabit, MB a megabyte. Gallon, pint and fluid ounce alone are the US ones.

    Args:
        value: How much, in `from_unit`.
        from_unit: The unit of `value`, such as "mi", "feet" or "fahrenheit".
        to_unit: The unit to convert to, such as "km", "metres" or "celsius".
    """
    source, target = find_unit(from_unit), find_unit(to_unit)
    if source.dimension != target.dimension:
        raise toolbox.ToolError(
            f"{source.name} measures {source.dimension} and {target.name} measures {target.dimension}: "
            "only units of one dimension can be converted"
        )
    in_base_unit = to_exact(value) * source.size + source.zero
    if source.dimension == "temperature" and in_base_unit < 0:
        raise toolbox.ToolError(f"{value} {source.symbol} is below absolute zero")
    converted = (in_base_unit - target.zero) / target.size
    return Conversion(to_number(converted), target.symbol, to_number(value), source.symbol, dimension=source.dimension)


@toolbox.tool(
    title="List units",
    category="math",
    tags=["units", "measurement"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="which temperature units can be converted",
            arguments={"dimension": "temperature"},
            result=[
                {
                    "dimension": "temperature",
                    "units": [
                        {"symbol": "K", "name": "kelvin", "other_names": ["degree kelvin", "degrees kelvin"]},
                        {
                            "symbol": "°C",
                            "name": "degree Celsius",
                            "other_names": ["celsius", "c", "degrees celsius", "centigrade"],
                        },
                        {
                            "symbol": "°F",
                            "name": "degree Fahrenheit",
                            "other_names": ["fahrenheit", "f", "degrees fahrenheit"],
                        },
                        {
                            "symbol": "°R",
                            "name": "degree Rankine",
                            "other_names": ["rankine", "degrees rankine"],
                        },
                    ],
                }
            ],
        ),
        toolbox.ToolExample(
            query="what units of power are there",
            arguments={"dimension": "power"},
            result=[
                {
                    "dimension": "power",
                    "units": [
                        {"symbol": "W", "name": "watt", "other_names": []},
                        {"symbol": "kW", "name": "kilowatt", "other_names": []},
                        {"symbol": "MW", "name": "megawatt", "other_names": []},
                        {"symbol": "hp", "name": "horsepower", "other_names": ["mechanical horsepower"]},
                        {"symbol": "PS", "name": "metric horsepower", "other_names": []},
                    ],
                }
            ],
        ),
    ],
)
def list_units(dimension: Dimension | None = None) -> list[UnitGroup]:
    """List the units of measurement that can be converted, with their symbols and names.

    Args:
        dimension: Only the units that measure this, such as "length"; all of them if not given.
    """
    chosen = [dimension] if dimension else DIMENSIONS
    return [UnitGroup(each, [_named(unit) for unit in units_of(each)]) for each in chosen]


def _named(unit: Unit) -> NamedUnit:
    return NamedUnit(unit.symbol, unit.name, list(unit.other_names))
