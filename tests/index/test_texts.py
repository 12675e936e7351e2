"""From a definition to what is searched: pure functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox.definitions import ToolDefinition, ToolExample
from toolbox.index.fields import embedding_text, lexical_fields, name_key, split_name
from toolbox.index.lexemes import K1, impacts, lexemes

WEATHER = ToolDefinition(
    name="weather_getForecast",
    title="Weather forecast",
    description="Tell the weather of the next days.",
    category="weather",
    tags=("climate",),
    examples=(ToolExample("will it rain tomorrow"),),
    input_schema={
        "type": "object",
        "properties": {
            "cityName": {"type": "string", "description": "where"},
            "options": {"type": "object", "properties": {"units": {"description": "celsius or fahrenheit"}}},
        },
    },
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("getWeather_byCity", "get Weather by City"),
        ("HTTPServer2Go", "HTTP Server2 Go"),
        ("math.factorial", "math factorial"),
        ("a--b__c", "a b c"),
        ("", ""),
    ],
)
def test_a_name_is_split_where_its_words_end(name: str, words: str) -> None:
    assert split_name(name) == words


def test_spelling_does_not_count_in_a_key() -> None:
    assert name_key("Math.Factorial") == name_key("math_factorial") == "mathfactorial"


def test_the_embedded_text_says_what_the_tool_does_and_takes() -> None:
    assert embedding_text(WEATHER) == (
        "climate. weather get Forecast. Weather forecast. Tell the weather of the next days. "
        "Parameters: city Name, options, units. Examples: will it rain tomorrow"
    )


def test_words_of_every_field_are_found_and_the_name_says_most() -> None:
    weights = impacts(lexical_fields(WEATHER))
    assert {"weather", "climat", "citi", "unit", "celsius", "rain", "tomorrow"} <= weights.keys()
    assert weights["weather"] > weights["citi"] > weights["celsius"]


def test_words_are_stemmed_folded_and_those_without_meaning_left_out() -> None:
    assert lexemes("The Cafés are CONVERTING a currency") == ["cafe", "convert", "currenc"]


@given(st.text(max_size=300))
def test_any_text_has_stems_without_white_space(text: str) -> None:
    assert all(stem and not any(character.isspace() for character in stem) for stem in lexemes(text))


@given(st.text(max_size=200), st.text(max_size=200))
def test_an_impact_stays_within_its_bounds(description: str, title: str) -> None:
    weights = impacts(lexical_fields(ToolDefinition(name="x", title=title, description=description)))
    assert all(0 < weight < K1 + 1 for weight in weights.values())


@pytest.mark.parametrize("schema", [{}, {"properties": []}, {"properties": {"a": True}}, {"properties": {"a": None}}])
def test_a_strange_schema_harms_no_text(schema: dict[str, object]) -> None:
    assert embedding_text(ToolDefinition(name="a", input_schema=schema)).startswith("a")


def test_a_tool_with_thousands_of_parameters_is_bounded() -> None:
    properties = {f"parameter_{number}": {} for number in range(5000)}
    text = embedding_text(ToolDefinition(name="a", input_schema={"type": "object", "properties": properties}))
    assert text.count("parameter") == 200
