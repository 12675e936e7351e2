"""Redaction: nothing that is named or looks like a secret is left, and everything else is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox.redaction import REDACTED, SECRET_NAMES, Redactor

NAMES = st.sampled_from([name for pattern in SECRET_NAMES for name in (pattern, f"my_{pattern}", f"{pattern}-1")])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just("hunter2"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    "name",
    ["password", "userPassword", "X-Api-Key", "apiKey", "ACCESS_TOKEN", "clientSecret", "cookie"],
)
def test_names_of_secrets_are_known_in_every_spelling(name: str) -> None:
    assert Redactor().redact({name: "hunter2"}) == {name: REDACTED}


@pytest.mark.parametrize("name", ["max_tokens", "author", "keyword", "api", "key", "secretary", "passenger"])
def test_other_names_stay(name: str) -> None:
    assert Redactor().redact({name: "hunter2"}) == {name: "hunter2"}


def test_further_names_are_redacted_too() -> None:
    given_value = {"patient": {"socialSecurityNumber": 1, "name": "Ada"}}
    assert Redactor(["social_security_number"]).redact(given_value) == {
        "patient": {"socialSecurityNumber": REDACTED, "name": "Ada"}
    }


def test_a_text_loses_what_looks_like_a_secret_and_keeps_references() -> None:
    redact = Redactor().redact
    assert redact("GET postgresql://u:hunter2@h/d") == f"GET postgresql://{REDACTED}@h/d"
    assert redact("Authorization: Bearer abc.def-123") == f"Authorization: Bearer {REDACTED}"
    assert redact("Bearer ${secret:github}") == "Bearer ${secret:github}"
    assert redact({"authorization": "Bearer ${secret:github}"}) == {"authorization": "Bearer ${secret:github}"}
    assert redact({"authorization": "Bearer hunter2 ${secret:x}"}) == {"authorization": REDACTED}
    assert redact("-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----") == REDACTED


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_no_text_is_left_below_a_secret_name(value: dict[str, Any]) -> None:
    assert "hunter2" not in str(Redactor().redact(value))
    assert "hunter2" not in str(Redactor().redact({"deep": [value]}))
