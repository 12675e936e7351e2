"""The tool that finds addresses and numbers in text."""

from typing import Literal

import regex

import toolbox
from toolbox_text.hints import PURE
from toolbox_text.limits import Text

Kind = Literal["emails", "urls", "numbers"]

_PUNCTUATION = regex.compile(r"[.,;:!?'\p{Pf}]")

# Possessive repeats and look-behinds let each pattern pass over a text once: none is slow on any input.
_PATTERNS: dict[Kind, regex.Pattern[str]] = {
    "emails": regex.compile(r"(?<![\w.%+\-])[\w.%+\-]{1,64}+@(?:[\w\-]{1,63}+\.)+\p{L}{2,63}+"),
    "urls": regex.compile(r"(?i)\bhttps?://[\w\[][^\s<>\"]{0,2000}+"),
    "numbers": regex.compile(
        r"(?<![\w.,])[-+]?(?:\d{1,3}(?:,\d{3})++(?![\d,])|\d++)(?:\.\d++)?+(?:[eE][-+]?\d++)?+(?!\w)"
    ),
}


@toolbox.tool(
    title="Extract e-mail addresses, URLs or numbers",
    category="text",
    tags=["extract", "email", "url", "link", "number"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="find all e-mail addresses in this text",
            arguments={"text": "Write to ann@example.org or bob.b@mail.example.com.", "kind": "emails"},
            result=["ann@example.org", "bob.b@mail.example.com"],
        ),
        toolbox.ToolExample(
            query="list the links in a message",
            arguments={"text": "See https://example.org/a_(b) (and http://example.com/?q=1).", "kind": "urls"},
            result=["https://example.org/a_(b)", "http://example.com/?q=1"],
        ),
        toolbox.ToolExample(
            query="which numbers are in this sentence",
            arguments={"text": "It cost 1,299.50 in 2024, down -3.5%.", "kind": "numbers"},
            result=["1,299.50", "2024", "-3.5"],
        ),
    ],
)
def extract(text: Text, kind: Kind, unique: bool = True) -> list[str]:
    """Extract all e-mail addresses, links (URLs) or numbers from a text, as they are written there.

    Args:
        text: The text, at most 100,000 characters.
        kind: What to look for: emails, urls (http and https) or numbers (with , for thousands and . for decimals).
        unique: Leave out what was found before.
    """
    found = [match[0] for match in _PATTERNS[kind].finditer(text)]
    if kind == "urls":
        found = [_without_punctuation(url) for url in found]
    return list(dict.fromkeys(found)) if unique else found


def _without_punctuation(url: str) -> str:
    """Take off what belongs to the sentence around a URL; a closing bracket stays if it was opened in the URL."""
    while _PUNCTUATION.match(url[-1]) or (url[-1] == ")" and url.count(")") > url.count("(")):
        url = url[:-1]
    return url
