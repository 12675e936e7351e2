"""What a reader sees as one character, and what as one word."""

import regex

# \X is a grapheme cluster (Unicode Standard Annex 29). It counts back through a row of flags at each of them, which
# is slow for long rows, so flags come first; the only text read differently is a flag inside an Indian consonant.
_GRAPHEME = regex.compile(
    r"\p{Regional_Indicator}{2}[\p{Grapheme_Extend}\p{Emoji_Modifier}\p{GCB=SpacingMark}\u200d]*|\X"
)

# letters, digits and their marks, with apostrophes, hyphens and decimal points inside: "don't", "well-kept", "3.14"
WORD = regex.compile(r"\w++(?:['\u2019\-]\w++|(?<=\d)[.,](?=\d)\w++)*+")


def split_graphemes(text: str) -> list[str]:
    """Split a text into what readers see as its characters: marks stay with their letters, emoji stay whole."""
    return _GRAPHEME.findall(text)


def without_apostrophes(text: str) -> str:
    """Leave apostrophes out, straight and curved: "don't" becomes "dont"."""
    return text.replace("'", "").replace("\u2019", "")
