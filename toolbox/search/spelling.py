"""Misspelled words: those that the catalogue does not know, but for one letter.

A word that no tool uses costs a search twice: it matches nothing, and the embedding model reads it as fragments. So it
is held against the catalogue's own words with one letter more, fewer, changed, or two swapped (Norvig, "How to Write a
Spelling Corrector", 2007). What comes of it is used beside what was written, never in its place: it may be a name.
Words that the embedding model reads whole stay as they are: they are words, though no tool uses them.
"""

import asyncio
import re
import string
import time
from collections.abc import Iterable, Iterator, Mapping

from toolbox.database import Database
from toolbox.index.lexemes import MAX_SPELLED, MIN_SPELLED, spellings

MAX_REMEMBERED = 10_000
SECONDS_BETWEEN_LOOKS = 30.0
OVERLAP = 1000
"""Rows read again at each look: they may have been committed out of order."""

_LETTERS = re.compile(r"[A-Za-z]+")
_LATER_FIRST_LETTER = 0.1
"""People seldom get the first letter wrong."""


class Vocabulary:
    """The words of the catalogue: each with the number of tools that have it in some form."""

    def __init__(self) -> None:
        self._tools = dict[str, int]()
        self._stems = set[str]()
        self._remembered = dict[str, str | None]()

    def __len__(self) -> int:
        return len(self._tools)

    def add(self, words: Iterable[tuple[str, str, int]]) -> None:
        """Add words, each with its stem and number of tools."""
        for word, stem, tools in words:
            self._tools[word] = tools
            self._stems.add(stem)
        self._remembered.clear()

    def corrections(self, text: str) -> dict[str, str]:
        """What was probably meant, by each word of the text, in lower case, that is not known but near one that is."""
        words = dict.fromkeys(word.lower() for word in _LETTERS.findall(text))
        return {word: meant for word in words if (meant := self._correct_word(word))}

    def _correct_word(self, word: str) -> str | None:
        if not MIN_SPELLED <= len(word) <= MAX_SPELLED:
            return None
        if word not in self._remembered:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[word] = self._nearest(word)
        return self._remembered[word]

    def _nearest(self, word: str) -> str | None:
        stem = spellings(word).get(word)
        if stem is None or word in self._tools or stem in self._stems:
            return None
        near = {other: self._tools[other] for other in _one_edit_away(word) if other in self._tools}
        return max(near, key=lambda other: (_likelihood(word, other, near[other]), other), default=None)


def correct(text: str, corrections: Mapping[str, str]) -> str:
    """The text with what was meant in place of what was written."""
    return _LETTERS.sub(lambda match: corrections.get(match.group().lower(), match.group()), text)


def _likelihood(written: str, meant: str, tools: int) -> float:
    return tools * (1.0 if written[0] == meant[0] else _LATER_FIRST_LETTER)


def _one_edit_away(word: str) -> Iterator[str]:
    for position in range(len(word) + 1):
        head, tail = word[:position], word[position:]
        for letter in string.ascii_lowercase:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]
        if tail:
            yield head + tail[1:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]


class Spelling:
    """The vocabulary as this process knows it: read once, then only what is new, looked for now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._vocabulary = Vocabulary()
        self._last_id = 0
        self._looked_at: float | None = None
        self._reading = asyncio.Lock()

    async def vocabulary(self) -> Vocabulary:
        """The vocabulary. The first caller reads it, and the others wait; later one caller looks, and nobody waits.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        if self._looked_at is None:
            async with self._reading:
                if self._looked_at is None:
                    await self._read()
                    self._looked_at = time.monotonic()
        elif time.monotonic() - self._looked_at > SECONDS_BETWEEN_LOOKS:
            self._looked_at = time.monotonic()
            await self._read()
        return self._vocabulary

    async def _read(self) -> None:
        rows = await self._database.fetch(
            """
            select w.id, w.word, l.lexeme, l.tools from words w join lexemes l on l.id = w.lexeme_id
            where w.id > $1 and l.tools > 0 order by w.id
            """,
            self._last_id - OVERLAP,
        )
        if rows and rows[-1]["id"] > self._last_id:
            self._last_id = rows[-1]["id"]
            self._vocabulary.add((row["word"], row["lexeme"], row["tools"]) for row in rows)
