"""Units: what is known, what it is worth, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_calculator.conversion import convert_unit, list_units
from toolbox_calculator.units import DIMENSIONS, Unit, find_unit, units_of

UNITS = [unit for dimension in DIMENSIONS for unit in units_of(dimension)]


@pytest.mark.parametrize(
    ("value", "from_unit", "to_unit", "converted"),
    [
        (1, "mile", "metres", 1609.344),
        (1, "light year", "km", 9460730472580.8),
        (1, "lb", "g", 453.59237),
        (6, "ft", "in", 72),
        (100, "°C", "°F", 212),
        (-40, "fahrenheit", "celsius", -40),
        (0, "kelvin", "degrees Celsius", -273.15),
        (1, "acre", "m2", 4046.8564224),
        (1, "gallon", "litres", 3.785411784),
        (1, "imperial gallon", "l", 4.54609),
        (1, "cup", "tablespoons", 16),
        (1, "tablespoon", "teaspoons", 3),
        (36, "km/h", "m/s", 10),
        (60, "mph", "feet per second", 88),
        (1, "week", "hours", 168),
        (1, "GB", "megabytes", 1000),
        (1, "GiB", "MiB", 1024),
        (8, "Mb", "MB", 1),
        (1, "kWh", "MJ", 3.6),
        (1, "kcal", "J", 4184),
        (1, "hp", "watts", 745.6998715822702),
        (1, "atm", "hPa", 1013.25),
        (1, "psi", "Pa", 6894.757293168362),
        (180, "degrees", "radians", 3.141592653589793),
        (1, "turn", "deg", 360),
    ],
)
def test_a_measurement_is_converted(value: float, from_unit: str, to_unit: str, converted: float) -> None:
    assert convert_unit(value, from_unit, to_unit).value == converted


@pytest.mark.parametrize("spelling", ["km", "KM", "kilometre", "Kilometers", " kilometres ", "KILOMETER"])
def test_a_unit_is_known_by_many_spellings(spelling: str) -> None:
    assert find_unit(spelling).symbol == "km"


@pytest.mark.parametrize(
    ("spelling", "suggested"),
    [("kilometerz", "kilometer"), ("mW", "MW"), ("gb", "Gb, GB"), ("Mm", "mm"), ("farenheit", "fahrenheit")],
)
def test_an_unknown_unit_suggests_near_ones(spelling: str, suggested: str) -> None:
    with pytest.raises(toolbox.ToolError, match=f"there is no unit '{spelling}'; near ones are {suggested}"):
        find_unit(spelling)


def test_an_unknown_unit_without_near_ones_points_to_the_list() -> None:
    with pytest.raises(toolbox.ToolError, match="list_units shows all"):
        find_unit("zzzzzzzz")


def test_units_of_different_dimensions_are_not_converted() -> None:
    with pytest.raises(toolbox.ToolError, match="metre measures length and kilogram measures mass"):
        convert_unit(1, "m", "kg")


def test_nothing_is_colder_than_absolute_zero() -> None:
    with pytest.raises(toolbox.ToolError, match="below absolute zero"):
        convert_unit(-274, "celsius", "kelvin")


def test_a_value_that_becomes_too_large_is_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="too large"):
        convert_unit(1e308, "km", "nm")


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_is_found_by_its_symbol_and_all_its_names(unit: Unit) -> None:
    assert find_unit(unit.symbol) is unit
    for name in (unit.name, unit.name.title(), *unit.other_names):
        assert find_unit(name) is unit


@given(st.data(), st.floats(min_value=0.001, max_value=1e9))
def test_there_and_back_gives_the_value_again(data: st.DataObject, value: float) -> None:
    dimension = data.draw(st.sampled_from(DIMENSIONS))
    source, target = data.draw(st.tuples(*[st.sampled_from(units_of(dimension))] * 2))
    there = convert_unit(value, source.symbol, target.symbol)
    back = convert_unit(there.value, target.symbol, source.symbol)
    # a temperature is rounded as a distance from absolute zero, hence the absolute tolerance
    assert back.value == pytest.approx(value, rel=1e-12, abs=1e-9 if dimension == "temperature" else 0)


def test_the_list_holds_every_dimension_and_can_be_narrowed() -> None:
    assert [group.dimension for group in list_units()] == list(DIMENSIONS)
    assert all(group.units for group in list_units())
    assert [group.dimension for group in list_units("mass")] == ["mass"]
