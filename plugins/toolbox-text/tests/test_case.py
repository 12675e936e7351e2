"""Case and identifiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolbox_text.case import Style, change_case


@pytest.mark.parametrize(
    ("style", "changed"),
    [
        ("upper", "PARSE HTTPRESPONSE_CODE-2 DON'T"),
        ("lower", "parse httpresponse_code-2 don't"),
        ("title", "Parse Httpresponse_code-2 Don't"),
        ("sentence", "Parse httpresponse_code-2 don't"),
        ("camel", "parseHttpResponseCode2Dont"),
        ("pascal", "ParseHttpResponseCode2Dont"),
        ("snake", "parse_http_response_code_2_dont"),
        ("kebab", "parse-http-response-code-2-dont"),
        ("constant", "PARSE_HTTP_RESPONSE_CODE_2_DONT"),
    ],
)
def test_each_style_is_written_as_its_name_says(style: Style, changed: str) -> None:
    assert change_case("Parse HTTPResponse_code-2 don't", style) == changed


@pytest.mark.parametrize(
    ("text", "snake"),
    [
        ("userID", "user_id"),
        ("version2Beta", "version2_beta"),
        ("2nd place", "2nd_place"),
        ("HTTP2Server", "http2_server"),
        ("ÄußereÜbung", "äußere_übung"),
        ("नमस्ते दुनिया", "नमस्ते_दुनिया"),
        ("first line\nsecondLine", "first_line\nsecond_line"),
        ("--", ""),
        ("", ""),
    ],
)
def test_words_end_where_a_reader_sees_it(text: str, snake: str) -> None:
    assert change_case(text, "snake") == snake


def test_sentences_start_with_a_capital_even_behind_quotes() -> None:
    text = 'HE SAID: "NO." (THEN HE LEFT.) wait... WHAT?\nyes'
    assert change_case(text, "sentence") == 'He said: "no." (Then he left.) Wait... What?\nYes'


@given(st.text(max_size=200))
def test_identifiers_do_not_change_when_they_are_changed_again(text: str) -> None:
    once = change_case(text, "snake")
    assert change_case(once, "snake") == once


@pytest.mark.parametrize("style", ["sentence", "title", "snake", "camel"])
@pytest.mark.parametrize("text", ["A" * 100_000, "." * 100_000, ' "' * 50_000, ". " * 50_000, "a'" * 50_000])
def test_no_text_is_slow(text: str, style: Style) -> None:
    """Each of these would run for minutes if a pattern went back over what it has read."""
    assert change_case(text, style) is not None
