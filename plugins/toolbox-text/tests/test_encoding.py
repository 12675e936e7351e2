"""Encodings and hashes."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_text.encoding import Encoding, decode, encode
from toolbox_text.hashing import Algorithm, hash_text

ENCODINGS: list[Encoding] = ["base64", "base64url", "url", "html", "hex"]


@given(st.text(max_size=200), st.sampled_from(ENCODINGS))
def test_what_was_encoded_is_decoded_again(text: str, encoding: Encoding) -> None:
    assert decode(encode(text, encoding), encoding) == text


@given(st.text(max_size=200), st.sampled_from(ENCODINGS))
def test_decoding_any_text_gives_text_or_a_tool_error(text: str, encoding: Encoding) -> None:
    try:
        decode(text, encoding)
    except toolbox.ToolError:
        return


@pytest.mark.parametrize(
    ("text", "encoding", "encoded"),
    [
        ("?>?>", "base64", "Pz4/Pg=="),
        ("?>?>", "base64url", "Pz4_Pg"),
        ("a/b c+ü", "url", "a%2Fb%20c%2B%C3%BC"),
        ("\"'<&", "html", "&quot;&#x27;&lt;&amp;"),
        ("é", "hex", "c3a9"),
        ("", "base64", ""),
    ],
)
def test_a_text_is_encoded(text: str, encoding: Encoding, encoded: str) -> None:
    assert encode(text, encoding) == encoded


@pytest.mark.parametrize(
    ("text", "encoding", "decoded"),
    [
        ("Pz4/\n Pg", "base64", "?>?>"),
        ("Pz4_Pg==", "base64url", "?>?>"),
        ("C3 A9\n", "hex", "é"),
        ("a+b%zz", "url", "a+b%zz"),
        ("&lt;&unknown;&#128077;", "html", "<&unknown;👍"),
    ],
)
def test_the_ways_in_which_people_write_encodings_are_understood(text: str, encoding: Encoding, decoded: str) -> None:
    assert decode(text, encoding) == decoded


@pytest.mark.parametrize(
    ("text", "encoding", "message"),
    [
        ("a*b=", "base64", "the text is not base64"),
        ("a", "base64", "the text is not base64"),
        ("abc", "hex", "the text is not hex"),
        ("ff", "hex", "the text is hex, but of bytes that are not UTF-8"),
        ("/w==", "base64", "the text is base64, but of bytes that are not UTF-8"),
        ("%ff", "url", "the text is url, but of bytes that are not UTF-8"),
        ("&#" + "9" * 5_000 + ";", "html", "the text is not html"),
    ],
)
def test_what_cannot_be_decoded_is_explained(text: str, encoding: Encoding, message: str) -> None:
    with pytest.raises(toolbox.ToolError, match=message):
        decode(text, encoding)


@pytest.mark.parametrize("encoding", ["base64", "url", "hex"])
def test_half_of_a_surrogate_pair_cannot_be_encoded(encoding: Encoding) -> None:
    with pytest.raises(toolbox.ToolError, match="surrogate pair at character 1"):
        encode("\ud800", encoding)


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256", "sha512", "blake2b"])
def test_a_hash_is_that_of_the_utf8_bytes(algorithm: Algorithm) -> None:
    assert hash_text("é", algorithm) == hashlib.new(algorithm, b"\xc3\xa9").hexdigest()


def test_a_hash_can_be_written_in_base64() -> None:
    assert hash_text("hello", "md5", "base64") == "XUFAKrxLKna5cZ2REBfFkg=="
