"""The tool that changes upper and lower case and the way words are joined."""

from collections.abc import Callable
from typing import Literal

import regex

import toolbox
from toolbox_text.hints import PURE
from toolbox_text.limits import Text
from toolbox_text.segments import WORD, without_apostrophes

Style = Literal["upper", "lower", "title", "sentence", "camel", "pascal", "snake", "kebab", "constant"]

# the first letter of the text and of what follows the end of a sentence, past closing and opening quotes and brackets
_SENTENCE_START = regex.compile(r"""(?:^|[.!?…]["'\p{Pf}\p{Pe}]*+\s++)["'\p{Pi}\p{Ps}\s]*+\p{Ll}""")

# HTTP|Server, user|Name, version2: a row of capitals is a word of its own, digits belong to the word before them
_PART = regex.compile(r"\p{Lu}[\p{Lu}\p{M}\p{Nd}]*(?!\p{Ll})|\p{Lu}?[^\W\p{Lu}_]+")


@toolbox.tool(
    title="Change case",
    category="text",
    tags=["case", "capitalize", "camelCase", "snake_case", "identifier"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="turn userLoginCount into snake case",
            arguments={"text": "userLoginCount", "style": "snake"},
            result="user_login_count",
        ),
        toolbox.ToolExample(
            query="write a headline with capital first letters",
            arguments={"text": "the quick brown fox", "style": "title"},
            result="The Quick Brown Fox",
        ),
        toolbox.ToolExample(
            query="fix text written in capitals",
            arguments={"text": "STOP SHOUTING. PLEASE!", "style": "sentence"},
            result="Stop shouting. Please!",
        ),
    ],
)
def change_case(text: Text, style: Style) -> str:
    """Change the case of a text: upper, lower, title or sentence case, or camelCase, snake_case and other identifiers.

    Args:
        text: The text, at most 100,000 characters. The styles for identifiers treat each line by itself.
        style: upper, lower, title (Each Word), sentence (First word of sentences), camel (joinedWords), pascal
            (JoinedWords), snake (joined_words), kebab (joined-words) or constant (JOINED_WORDS).
    """
    match style:
        case "upper":
            return text.upper()
        case "lower":
            return text.lower()
        case "title":
            return WORD.sub(lambda match: match[0].capitalize(), text)
        case "sentence":
            return _SENTENCE_START.sub(lambda match: match[0].upper(), text.lower())
        case _:
            return "\n".join(_JOIN[style](_words(line)) for line in text.split("\n"))


_JOIN: dict[Style, Callable[[list[str]], str]] = {
    "camel": lambda words: "".join(words[:1] + [word.capitalize() for word in words[1:]]),
    "pascal": lambda words: "".join(word.capitalize() for word in words),
    "snake": "_".join,
    "kebab": "-".join,
    "constant": lambda words: "_".join(words).upper(),
}


def _words(line: str) -> list[str]:
    """The words of a line or an identifier, in lower case; "don't" is one word."""
    return [word.lower() for word in _PART.findall(without_apostrophes(line))]
