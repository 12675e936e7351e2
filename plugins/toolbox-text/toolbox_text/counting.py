"""Tools that count: what a text consists of, and how often each word comes."""

from collections import Counter
from typing import Annotated

import regex
from msgspec import Meta, Struct

import toolbox
from toolbox_text.encoding import to_utf8
from toolbox_text.hints import PURE
from toolbox_text.limits import Text
from toolbox_text.segments import WORD, split_graphemes

WORDS_PER_MINUTE = 238
"""How fast adults read English non-fiction silently (Brysbaert, "How many words do we read per minute?", 2019)."""

# full-width signs end a sentence without a space behind them
_SENTENCE_END = regex.compile(r"""[.!?…]++["'\p{Pf}\p{Pe}]*+(?=\s|$)|[。！？]++""")  # noqa: RUF001


class Counts(Struct, frozen=True):
    """What a text consists of."""

    characters: Annotated[int, Meta(description="as readers see them: an accented letter or an emoji is one")]
    code_points: int
    bytes: Annotated[int, Meta(description="in UTF-8")]
    words: int
    lines: int
    sentences: Annotated[int, Meta(description="estimated from the punctuation")]
    reading_time_seconds: Annotated[int, Meta(description=f"at {WORDS_PER_MINUTE} words a minute")]


class WordCount(Struct, frozen=True):
    """A word and how often it comes."""

    word: str
    count: int


class WordFrequencies(Struct, frozen=True):
    """The words of a text: how many there are, how many different ones, and the most frequent of them."""

    total_words: int
    different_words: int
    most_frequent: list[WordCount]


@toolbox.tool(
    title="Count characters, words and lines",
    category="text",
    tags=["count", "length", "words", "characters", "reading time"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="how many words and characters does this text have",
            arguments={"text": "Don't panic. Read on!\nThe end"},
            result={
                "characters": 29,
                "code_points": 29,
                "bytes": 29,
                "words": 6,
                "lines": 2,
                "sentences": 3,
                "reading_time_seconds": 2,
            },
        ),
        toolbox.ToolExample(
            query="how many bytes does an emoji take in UTF-8",
            arguments={"text": "👍🏽"},
            result={
                "characters": 1,
                "code_points": 2,
                "bytes": 8,
                "words": 0,
                "lines": 1,
                "sentences": 0,
                "reading_time_seconds": 0,
            },
        ),
    ],
)
def count(text: Text) -> Counts:
    """Count the characters, words, lines, sentences and bytes of a text, and estimate its reading time.

    In scripts that put no space between words, such as Chinese and Thai, too few words are found.

    Args:
        text: The text, at most 100,000 characters.
    """
    words = len(WORD.findall(text))
    return Counts(
        characters=len(split_graphemes(text)),
        code_points=len(text),
        bytes=len(to_utf8(text)),
        words=words,
        lines=len(text.splitlines()),
        sentences=sum(1 for sentence in _SENTENCE_END.split(text) if WORD.search(sentence)),
        reading_time_seconds=round(words * 60 / WORDS_PER_MINUTE),
    )


@toolbox.tool(
    title="Word frequency",
    category="text",
    tags=["words", "frequency", "histogram", "keywords"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="most frequent words in a text",
            arguments={"text": "The cat saw the dog. The dog ran.", "limit": 2},
            result={
                "total_words": 8,
                "different_words": 5,
                "most_frequent": [{"word": "the", "count": 3}, {"word": "dog", "count": 2}],
            },
        ),
        toolbox.ToolExample(
            query="which long words are repeated most",
            arguments={"text": "well-kept tools are well-kept", "min_length": 5},
            result={
                "total_words": 3,
                "different_words": 2,
                "most_frequent": [{"word": "well-kept", "count": 2}, {"word": "tools", "count": 1}],
            },
        ),
    ],
)
def word_frequency(
    text: Text,
    limit: Annotated[int, Meta(ge=1, le=1_000)] = 20,
    min_length: Annotated[int, Meta(ge=1, le=100)] = 1,
    ignore_case: bool = True,
) -> WordFrequencies:
    """Count how often each word occurs in a text, and list the most frequent words.

    Args:
        text: The text, at most 100,000 characters.
        limit: The most words to list; equally frequent ones come in alphabetical order.
        min_length: Leave shorter words out.
        ignore_case: Count "The" and "the" as one word.
    """
    found = WORD.findall(text.lower() if ignore_case else text)
    counts = Counter(word for word in found if len(word) >= min_length)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return WordFrequencies(
        total_words=counts.total(),
        different_words=len(counts),
        most_frequent=[WordCount(word, number) for word, number in ordered[:limit]],
    )
