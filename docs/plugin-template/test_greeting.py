"""A tool is a plain function, so its test is a plain test."""

import pytest
from toolbox_greeting import Greeting, greet

import toolbox


def test_somebody_is_greeted_in_french() -> None:
    assert greet("Ada", "fr") == Greeting("Bonjour, Ada!", "fr")


def test_a_number_is_no_name() -> None:
    with pytest.raises(toolbox.ToolError, match="letters"):
        greet("42")
