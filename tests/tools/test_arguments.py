"""Arguments against a schema: what is wrong is said once, and in words."""

import pytest

from toolbox.errors import Violation
from toolbox.tools.arguments import compile_schema, find_violations

TEXT = {"type": "string", "minLength": 1, "maxLength": 5, "pattern": r"\S"}


@pytest.mark.parametrize("blank", ["", "  "])
def test_a_text_that_may_not_be_blank_is_refused_in_one_plain_sentence(blank: str) -> None:
    validator = compile_schema({"type": "object", "properties": {"query": TEXT}})
    said = [Violation("/query", "it is empty or blank, and must say something")]
    assert find_violations(validator, {"query": blank}) == said


def test_other_limits_are_said_as_they_are() -> None:
    validator = compile_schema({"type": "object", "properties": {"query": TEXT, "size": {"minLength": 2}}})
    assert [violation.message for violation in find_violations(validator, {"query": "too long", "size": "x"})] == [
        '"too long" is longer than 5 characters',
        '"x" is shorter than 2 characters',
    ]


def test_of_several_alternatives_the_one_that_was_meant_explains_what_is_wrong() -> None:
    limit = {"anyOf": [{"type": "integer", "minimum": 100}, {"type": "null"}]}
    validator = compile_schema({"type": "object", "properties": {"limit": limit}})
    assert find_violations(validator, {"limit": 10}) == [Violation("/limit", "10 is less than the minimum of 100")]
    (unclear,) = find_violations(validator, {"limit": "ten"})
    assert "anyOf" in unclear.message
