"""Tools that give back the text in another shape: reversed, shortened, as a slug."""

import re
import unicodedata
from typing import Annotated, Literal

import regex
from msgspec import Meta

import toolbox
from toolbox_text.hints import PURE
from toolbox_text.limits import MAX_CHARACTERS, Text
from toolbox_text.segments import WORD, split_graphemes, without_apostrophes

# Latin letters that Unicode does not take apart into a plain letter and a mark
_PLAIN_LETTERS = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l"})


@toolbox.tool(
    title="Reverse a text",
    category="text",
    tags=["reverse", "backwards", "mirror"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(query="spell stressed backwards", arguments={"text": "stressed"}, result="desserts"),
        toolbox.ToolExample(
            query="reverse the order of words in a sentence",
            arguments={"text": "war never changes", "unit": "words"},
            result="changes never war",
        ),
        toolbox.ToolExample(
            query="reverse the lines of a list",
            arguments={"text": "one\ntwo\nthree", "unit": "lines"},
            result="three\ntwo\none",
        ),
    ],
)
def reverse(text: Text, unit: Literal["characters", "words", "lines"] = "characters") -> str:
    """Reverse a text: write its characters, words or lines backwards.

    Letters keep their accents and emoji stay whole.

    Args:
        text: The text, at most 100,000 characters.
        unit: What changes its order; words are what stands between spaces.
    """
    match unit:
        case "characters":
            return "".join(reversed(split_graphemes(text)))
        case "words":
            return "".join(reversed(re.split(r"(\s+)", text)))
        case "lines":
            return "\n".join(reversed(text.split("\n")))


@toolbox.tool(
    title="Truncate a text",
    category="text",
    tags=["shorten", "cut", "ellipsis", "preview"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="shorten a title to 20 characters",
            arguments={"text": "The quick brown fox jumps", "length": 20},
            result="The quick brown fox…",
        ),
        toolbox.ToolExample(
            query="first five words of a text",
            arguments={"text": "one two three four five six", "length": 5, "unit": "words", "ending": "..."},
            result="one two three four five...",
        ),
    ],
)
def truncate(
    text: Text,
    length: Annotated[int, Meta(ge=1, le=MAX_CHARACTERS)],
    unit: Literal["characters", "words"] = "characters",
    ending: Annotated[str, Meta(max_length=20)] = "…",
) -> str:
    """Truncate a text: shorten it to a number of characters or words, with an ellipsis where it was cut.

    A text that is short enough comes back as it is.

    Args:
        text: The text, at most 100,000 characters.
        length: The most that may be left; characters include the ending, words do not.
        unit: What is counted; accents and emoji count as the one character that they look like.
        ending: What marks the cut.
    """
    return _first_words(text, length, ending) if unit == "words" else _first_characters(text, length, ending)


@toolbox.tool(
    title="Make a slug",
    category="text",
    tags=["slug", "url", "permalink", "filename"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="make a url slug from a blog post title",
            arguments={"text": "Crème brûlée: it's easy!"},
            result="creme-brulee-its-easy",
        ),
        toolbox.ToolExample(
            query="file name from a title with underscores",
            arguments={"text": "Quarterly Report (final) 2025", "separator": "_"},
            result="quarterly_report_final_2025",
        ),
        toolbox.ToolExample(
            query="slug of a Russian title in its own letters",
            arguments={"text": "Привет, мир", "ascii_only": False},
            result="привет-мир",
        ),
    ],
)
def slugify(
    text: Annotated[str, Meta(max_length=10_000)],
    separator: Literal["-", "_"] = "-",
    ascii_only: bool = True,
    max_length: Annotated[int, Meta(ge=1, le=500)] = 80,
) -> str:
    """Make a slug from a title: lower-case words joined by hyphens, for URLs, anchors and file names.

    Args:
        text: The title, at most 10,000 characters.
        separator: What joins the words.
        ascii_only: Write accented Latin letters without their accents and leave other scripts out; if false, letters
            of every script stay as they are.
        max_length: The most characters the slug may have; it is cut between words where that is possible.
    """
    slug = (_ascii_slug if ascii_only else _unicode_slug)(without_apostrophes(text), separator)
    if not slug:
        hint = "; set ascii_only to false to keep letters of other scripts" if ascii_only else ""
        raise toolbox.ToolError(f"the text has no letter or digit to make a slug of{hint}")
    if len(slug) <= max_length:
        return slug
    whole_words = slug[: max_length + 1].rpartition(separator)[0]
    return whole_words or slug[:max_length]


def _first_characters(text: str, length: int, ending: str) -> str:
    characters, kept = split_graphemes(text), length - len(split_graphemes(ending))
    if len(characters) <= length:
        return text
    if kept < 0:
        raise toolbox.ToolError(f"the ending alone is longer than {length} characters; raise length or shorten it")
    return "".join(characters[:kept]).rstrip() + ending


def _first_words(text: str, length: int, ending: str) -> str:
    ends = [match.end() for match in WORD.finditer(text)]
    return text if len(ends) <= length else text[: ends[length - 1]] + ending


def _ascii_slug(text: str, separator: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text.casefold().translate(_PLAIN_LETTERS))
    ascii_text = "".join(character for character in decomposed if not unicodedata.combining(character))
    return re.sub(r"[^a-z0-9]+", separator, ascii_text.lower()).strip(separator)


def _unicode_slug(text: str, separator: str) -> str:
    return regex.sub(r"[\W_]+", separator, unicodedata.normalize("NFKC", text).lower()).strip(separator)
