"""What is said of a value that does not fit: where, what, and what there is to choose from."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from toolbox.plain_words import explain


class Rule(Struct, forbid_unknown_fields=True):
    """One of a list."""

    effect: Literal["allow", "deny"] = "allow"
    name: Annotated[str, Meta(pattern="^[a-z]+$")] = "a"


class Request(Struct):
    """All that can go wrong."""

    rules: list[Rule] = []
    policies: dict[str, Literal["accept", "hold"]] = {}
    since: datetime | None = None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rules": [{"efect": "deny"}]}, "rules[0]: there is no field `efect`"),
        ({"rules": [{}, {"effect": "ask"}]}, "rules[1].effect: it may not be 'ask'; allowed are allow, deny"),
        ({"rules": [{"name": "A"}]}, "rules[0].name: expected a text that matches '^[a-z]+$'"),
        ({"policies": {"plugin:*": "wait"}}, "policies[...]: it may not be 'wait'; allowed are accept, hold"),
        ({"since": "yesterday"}, "since: expected a time, as 2026-01-31T12:00:00Z"),
        ({"since": 3}, "since: expected a time, as 2026-01-31T12:00:00Z or null, got a whole number"),
        ([], "expected an object, got a list"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(given: Any, said: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(given, Request)
    assert explain(refused.value, Request) == said
