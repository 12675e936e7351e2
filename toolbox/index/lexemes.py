"""From text to word stems and what each says about a tool: BM25 over weighted fields.

BM25F after Zaragoza et al., "Microsoft Cambridge at TREC 13" (2004), with fixed usual field lengths in place of the
catalogue's averages: so a tool's numbers depend on that tool alone, and adding one never changes another.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

import snowballstemmer

from toolbox.index.fields import Field, split_name

K1 = 1.2
B = 0.5
MIN_SPELLED = 4
MAX_SPELLED = 24
"""Shorter words have too many neighbours, and longer ones are no words."""

_WORD = re.compile(r"[^\W_]+")
_STEMMER = snowballstemmer.stemmer("english")
_WITHOUT_MEANING = """
    a an and are as at be by can could do does for from has have how i if in into is it its me my of on or our please s
    so that the their them then there this to us was we what when where which who will with would you your
"""
_STOPWORDS = frozenset(_WITHOUT_MEANING.split())
_MAX_WORDS = 4000
_MAX_WORD_LENGTH = 64


def lexemes(text: str) -> list[str]:
    """The stems of the words in a text, in order, without words that say nothing."""
    words = _WORD.findall(_fold(text))[:_MAX_WORDS]
    return [_stem(word[:_MAX_WORD_LENGTH]) for word in words if word not in _STOPWORDS]


def name_lexemes(name: str) -> str:
    """The stems of a name in the order of the alphabet: the same for "merge data" and "dataMerge"."""
    return " ".join(sorted(set(lexemes(split_name(name)))))[:1024]


def spellings(text: str) -> dict[str, str]:
    """The words of a text that can be misspelled, each with its stem: letters of English, not too short or long."""
    words = {word for word in _WORD.findall(_fold(text))[:_MAX_WORDS] if _is_spelled(word)}
    return {word: _stem(word) for word in words}


def _is_spelled(word: str) -> bool:
    return MIN_SPELLED <= len(word) <= MAX_SPELLED and word.isascii() and word.isalpha() and word not in _STOPWORDS


def impacts(fields: Iterable[Field]) -> dict[str, float]:
    """BM25 of each stem without its idf: between 0 and K1 + 1."""
    weighted: defaultdict[str, float] = defaultdict(float)
    for field in fields:
        stems = lexemes(field.text)
        norm = 1 - B + B * len(stems) / field.usual_length
        for stem in stems:
            weighted[stem] += field.weight / norm
    return {stem: weight * (K1 + 1) / (K1 + weight) for stem, weight in weighted.items()}


@lru_cache(maxsize=65_536)
def _stem(word: str) -> str:
    stem: str = _STEMMER.stemWord(word)
    return stem


def _fold(text: str) -> str:
    """Lower case, compatible forms made one, accents dropped: "Café" and "cafe" are the same word."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))
