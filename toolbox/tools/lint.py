"""Lint of definitions: what in a tool's texts is meant for a model and not for whoever reads them, or hides itself.

A definition is text that agents obey. One that comes from elsewhere may tell them to read a key file first, hide that
from people by characters that nobody sees, take the name of a tool that is trusted, or ask for the calls of another.
These rules find the known ways of it; a finding is a reason to look, not a proof. Pure module: no I/O.

(The attacks: "tool poisoning", "tool shadowing" and "rug pulls" of MCP; text in Unicode's tag characters; bidirectional
controls, CVE-2021-42574; homoglyphs, UTS #39.)
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from toolbox.definitions import ToolDefinition

Rule: TypeAlias = Literal[
    "hidden_instructions", "invisible_characters", "over_long", "name_imitation", "redirected_calls"
]

MAX_FINDINGS: Final = 20
MAX_NAME_TITLE: Final = 200
MAX_DESCRIPTION: Final = 6_000
MAX_PARAMETER: Final = 3_000
MAX_LONG_DESCRIPTION: Final = 20_000
MAX_ALL: Final = 60_000
"""Characters: of 31,000 real tools the longest description has 3,032, and the longest text of a parameter 1,036."""

MAX_READ: Final = 50_000
"""Characters of one text that are read: what is longer is flagged for that alone."""

OWN_NAMES: Final = frozenset({"find_tool", "call_tool", "describe_tool", "list_tools"})
"""What MCP clients see of ToolBox itself."""


class Finding(Struct, frozen=True):
    """Something in a definition that an operator should look at: where (a JSON Pointer), and what."""

    rule: Rule
    where: str
    message: str


class KnownNames:
    """The names of tools with their sources: what a new name may imitate, and a text may speak of."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """`sources` says by name where each tool comes from."""
        self._sources = dict(sources)
        self._by_skeleton: dict[str, list[str]] = {}
        self._by_words: dict[str, list[str]] = {}
        self._word_sources: dict[str, set[str]] = {}
        for name, source in self._sources.items():
            self._by_skeleton.setdefault(_skeleton(name), []).append(name)
            words = _words(name)
            self._by_words.setdefault(" ".join(words), []).append(name)
            for word in words:
                self._word_sources.setdefault(word, set()).add(source)
        self._near: dict[str, list[str]] | None = None

    def source_of(self, name: str) -> str | None:
        """Where the tool of this name comes from, if there is one."""
        return self._sources.get(name)

    def imitated_by(self, name: str, source: str) -> str | None:
        """The tool of another source whose name this one could be taken for."""
        for other in self._by_skeleton.get(_skeleton(name), ()):
            if _key(other) != _key(name) and self._sources[other] != source:
                return other
        words = _words(name)
        for position, word in enumerate(words if len(words) > 1 else ()):
            if len(word) < MIN_WORD or self._word_sources.get(word, set()) - {source}:
                continue  # a short word, or one that others use as well
            for near in self._near_words(word):
                phrase = " ".join([*words[:position], near, *words[position + 1 :]])
                for other in self._by_words.get(phrase, ()):
                    if self._sources[other] != source:
                        return other
        return None

    def _near_words(self, word: str) -> list[str]:
        """Known words that are one letter away: added, left out, changed, or swapped with its neighbour."""
        if self._near is None:
            self._near = {}
            for known in self._word_sources:
                if len(known) >= MIN_WORD:
                    for shortened in _shortened(known):
                        self._near.setdefault(shortened, []).append(known)
        found = {known for shortened in _shortened(word) for known in self._near.get(shortened, ())}
        return sorted(known for known in found if known != word and not _is_inflection(word, known))


MIN_WORD: Final = 5
"""Letters of a word below which a near one says nothing: list and lint."""

NO_NAMES: Final = KnownNames({})


def lint_definition(definition: ToolDefinition, *, source: str = "", known: KnownNames = NO_NAMES) -> list[Finding]:
    """What is suspicious in a definition, worst first; at most MAX_FINDINGS.

    Tools of one source may speak of each other, and be named alike.
    """
    findings = list(_lint_name(definition.name, source, known))
    total = 0
    for where, text in _texts(definition):
        total += len(text)
        findings += _lint_text(where, text, source, known)
    if total > MAX_ALL:
        findings.append(Finding("over_long", "", f"its texts have {total:,} characters in all"))
    order: dict[str, int] = {rule: number for number, rule in enumerate(_ORDER)}
    return sorted(dict.fromkeys(findings), key=lambda finding: order[finding.rule])[:MAX_FINDINGS]


_ORDER: Final = ("hidden_instructions", "invisible_characters", "redirected_calls", "name_imitation", "over_long")


def _lint_name(name: str, source: str, known: KnownNames) -> Iterator[Finding]:
    if name in OWN_NAMES:
        yield Finding("name_imitation", "/name", f"{name} is the name of a tool of ToolBox itself")
    elif other := known.imitated_by(name, source):
        message = f"{name} can be taken for {other} of {known.source_of(other)}"
        yield Finding("name_imitation", "/name", message)


def _lint_text(where: str, text: str, source: str, known: KnownNames) -> Iterator[Finding]:
    yield from _lint_length(where, text)
    text = text[:MAX_READ]
    yield from _lint_characters(where, text)
    plain = _plain(text)
    lowered = plain.lower()
    for sign in _INSTRUCTIONS:
        if match := sign.find(plain, lowered):
            yield Finding("hidden_instructions", where, f"{sign.message}: {_quote(plain, match)}")
    for pattern, message in _RAW_INSTRUCTIONS:
        if match := pattern.search(text):
            yield Finding("hidden_instructions", where, f"{message}: {_quote(text, match)}")
    for pattern in _REDIRECTIONS if _SPEAKS_OF_TOOLS.search(lowered) else ():
        if match := pattern.search(plain):
            message = f"it speaks of the calls of other tools: {_quote(plain, match)}"
            yield Finding("redirected_calls", where, message)
    yield from _lint_mentions(where, plain, source, known)


def _lint_length(where: str, text: str) -> Iterator[Finding]:
    limit = MAX_PARAMETER
    if where in {"/name", "/title", "/category"}:
        limit = MAX_NAME_TITLE
    elif where == "/description":
        limit = MAX_DESCRIPTION
    elif where == "/long_description":
        limit = MAX_LONG_DESCRIPTION
    if len(text) > limit:
        yield Finding("over_long", where, f"it has {len(text):,} characters, and few have more than {limit:,}")


def _lint_characters(where: str, text: str) -> Iterator[Finding]:
    if text.isascii():
        if "\x1b" in text or "\b" in text:
            yield Finding("invisible_characters", where, "it holds control characters, which terminals obey")
        return
    hidden = [character for character in text if _is_invisible(character)]
    if hidden and not all(_is_in_place(text, index) for index, one in enumerate(text) if _is_invisible(one)):
        names = ", ".join(sorted({f"U+{ord(character):04X}" for character in hidden})[:5])
        yield Finding("invisible_characters", where, f"{len(hidden)} characters cannot be seen: {names}")
    if match := next((word for word in _WORD.findall(text) if _mixes_scripts(word)), None):
        message = f"{match!r} looks like {_skeleton(match)!r}, and is written with letters of another script"
        yield Finding("name_imitation" if where in {"/title", "/name"} else "invisible_characters", where, message)


def _is_invisible(character: str) -> bool:
    """Format characters, tags, fillers, selectors of variants and controls, but for white space."""
    code = ord(character)
    if code < 0x80:
        return code in (0x08, 0x1B)
    return (
        unicodedata.category(character) == "Cf"
        or 0xFE00 <= code <= 0xFE0F
        or 0xE0100 <= code <= 0xE01EF
        or code in (0x115F, 0x1160, 0x3164, 0xFFA0, 0x034F, 0x180B, 0x180C, 0x180D, 0x2800)
    )


def _is_in_place(text: str, index: int) -> bool:
    """Whether an invisible character does what it is for: within an emoji, joining letters, or marking the start."""
    character, before = text[index], text[index - 1] if index else ""
    after = text[index + 1] if index + 1 < len(text) else ""
    if character == "\ufeff":
        return index == 0
    if character == "\u00ad":  # a soft hyphen between letters
        return before.isalpha() and after.isalpha()
    if "\ufe00" <= character <= "\ufe0f":  # text or emoji style: one, behind a symbol
        return bool(before) and not _is_invisible(before) and (not before.isalnum() or before in "0123456789")
    if character in "\u200c\u200d":
        joins_emoji = unicodedata.category(before or "a") in ("So", "Sk", "Mn") and unicodedata.category(
            after or "a"
        ) in ("So", "Sk")
        joins_letters = before.isalpha() and after.isalpha() and ord(before) > 0x590 and ord(after) > 0x590
        return joins_emoji or joins_letters
    if character in "\u200e\u200f\u061c":  # a mark of direction beside letters that run from right to left
        return any(unicodedata.bidirectional(one) in ("R", "AL") for one in (before, after) if one)
    return False


_WORD: Final = re.compile(r"[^\W\d_]{3,}")


def _mixes_scripts(word: str) -> bool:
    """Whether Latin letters are mixed with ones of another script that look like them."""
    if word.isascii():
        return False
    has_latin = any(character.isascii() for character in word)
    return has_latin and any(character in _CONFUSABLE for character in word)


_CONFUSABLE: Final = {
    **dict(zip("аеорсухіјѕԁһԛԝѵ", "aeopcyxijsdhqwv", strict=True)),  # noqa: RUF001 - Cyrillic
    **dict(zip("АВЕКМНОРСТУХІЈЅ", "ABEKMHOPCTYXIJS", strict=True)),  # noqa: RUF001
    **dict(zip("ονρυι", "ovpui", strict=True)),  # noqa: RUF001 - Greek
    **dict(zip("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX", strict=True)),  # noqa: RUF001
    "ɡ": "g",  # noqa: RUF001
    "ı": "i",  # noqa: RUF001
}

_LOOKALIKES: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "3": "e", "4": "a", "@": "a"})


def _skeleton(text: str) -> str:
    """The text as a hasty reader sees it (after UTS #39, 4, with what leetspeak adds)."""
    shown = "".join(_CONFUSABLE.get(character, character) for character in unicodedata.normalize("NFKC", text))
    if any("A" <= character <= "Z" for character in shown):
        shown = shown.replace("I", "l")
    parts = [part if part.isdigit() else part.translate(_LOOKALIKES) for part in re.split(r"[\s_-]+", shown.lower())]
    return "".join(parts).replace("rn", "m").replace("vv", "w")


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).lower()


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+", name)]


def _shortened(word: str) -> set[str]:
    """The word, without each of its letters, and with each two neighbours swapped: two near words share one."""
    left_out = {word[:index] + word[index + 1 :] for index in range(len(word))}
    swapped = {word[:index] + word[index + 1] + word[index] + word[index + 2 :] for index in range(len(word) - 1)}
    return {word} | left_out | swapped


def _is_inflection(word: str, other: str) -> bool:
    """Whether two words are forms of one: list and lists, create and created, color and colour."""
    short, long = sorted((word, other), key=len)
    return (
        long in {short + end for end in ("s", "d", "r", "e", "y", "n", "t")}
        or {word[-1:], other[-1:]} <= set("sdrenyt")
        or long.replace("ou", "o") == short
        or word.translate(_AMERICAN) == other.translate(_AMERICAN)
    )


_AMERICAN: Final = str.maketrans({"s": "z"})


def _lint_mentions(where: str, text: str, source: str, known: KnownNames) -> Iterator[Finding]:
    """A tool of another source that the text gives orders about."""
    for match in _MENTION.finditer(text):
        mentioned = match["before"] or match["after"]
        of = known.source_of(mentioned) if "_" in mentioned or "-" in mentioned else None  # else it may be a word
        if of is not None and of != source:
            yield Finding(
                "redirected_calls", where, f"it gives orders about {mentioned} of {of}: {_quote(text, match)}"
            )
            return


_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{2,63}+(?![A-Za-z0-9_-])"
_MENTION: Final = re.compile(
    r"\b(?:call|calls|calling|called|use|using|invoke|invoking|run|running|instead of|rather than|than|replaces|"
    r"supersedes|before|after|over|when|whenever|if|to|from|of|trust|tool|function)\b[ :]*(?:the |tool |function ){0,2}"
    rf"(?P<before>{_NAME})(?= (?:tool |function )?(?:is|was|has|must|should|will|may|can|are|returns?|first|again|"
    r"instead|directly|anymore|any more|for|with|at|to|because|since|as|when)\b|,|\.|;|$)"
    rf"|\b(?P<after>{_NAME}) (?:tool |function )?(?:is|are|was|has been|must|should|may) "
    r"(?:now |no longer |not |never |only |be ){0,3}"
    r"(?:deprecated|broken|unsafe|insecure|replaced|called|used|invoked|run|disabled|compromised|retired)\b",
    re.IGNORECASE,
)


class _Sign(Struct, frozen=True):
    """Something that gives instructions away; not looked for where none of the `needs` is, which is much faster."""

    pattern: re.Pattern[str]
    message: str
    needs: tuple[str, ...]

    def find(self, text: str, lowered: str) -> re.Match[str] | None:
        """Where it is in a text, if it is there."""
        return self.pattern.search(text) if any(need in lowered for need in self.needs) else None


def _sign(pattern: str, message: str, needs: tuple[str, ...]) -> _Sign:
    return _Sign(re.compile(pattern, re.IGNORECASE), message, needs)


_TOOLS = r"(?:tool|function|action|plugin|server|api|command|integration)"
_INSTRUCTIONS: Final = (
    _sign(
        r"\b(ignore|disregard|forget|override|bypass)\b[^.;]{0,40}\b(previous|prior|above|earlier|preceding|all|any|other|"
        r"system|your|safety|existing)\b[^.;]{0,30}\b(instruction|prompt|rule|guideline|direction|polic|restriction|"
        r"constraint|guardrail)",
        "it asks to set other instructions aside",
        ("ignore", "disregard", "forget", "override", "bypass"),
    ),
    _sign(
        r"\b(do not|don't|never|must not|without|avoid|refrain from|no need to|not necessary to)\b.{0,30}\b(tell|"
        r"inform|telling|informing|mention|mentioning|notify|notifying|reveal|revealing|disclose|disclosing|alert|alerting|"
        r"ask|asking|show|showing|explain|explaining)\b.{0,25}\b(the |this |that |it |about )*.{0,20}\b(user|human|"
        r"person|operator|customer|them)\b",
        "something is to be kept from the user",
        ("user", "human", "person", "operator", "customer", "them"),
    ),
    _sign(
        r"\b(user|human)s?\b.{0,40}\b(must|should|shall|need|does|do|may|can) ?(not|n't|never|no)\b.{0,30}\b(know|see|"
        r"notice|be (told|informed|notified|aware|shown)|learn|find out)\b",
        "something is to be kept from the user",
        ("user", "human", "person", "operator", "customer", "them"),
    ),
    _sign(
        r"\b(secretly|silently|quietly|covertly|discreetly|invisibly|behind the scenes)\b.{0,40}\b(send|sends|forward|"
        r"copy|read|include|append|upload|call|attach|add|pass|post|collect|bcc|record|transmit)\b"
        r"|\b(send|forward|copy|read|include|append|upload|attach|add|pass|post|collect|transmit)\b.{0,60}\b(secretly|"
        r"silently|quietly|covertly|discreetly)\b",
        "something is to be done in secret",
        ("secretly", "silently", "quietly", "covertly", "discreetly", "invisibly", "behind the scenes"),
    ),
    _sign(
        r"(~|/home/\w+|/root|\$HOME|%USERPROFILE%)[/\\]\.(ssh|aws|cursor|gnupg|kube|docker|npmrc|netrc|env\b|"
        r"bash_history|zsh_history|git-credentials|config/(gcloud|gh|op|rclone)\b)|\bid_(rsa|ed25519|ecdsa)\b|/etc/(passwd|shadow)\b|"
        r"\b(mcp|claude_desktop_config)\.json\b.{0,80}\b(content|read|pass|send|include)",
        "it names a file that holds secrets",
        ("/.", "\\\\.", "id_", "/etc/", "mcp.json", "claude_desktop"),
    ),
    _sign(
        r"\b(read|open|access|load|fetch|collect|retrieve|gather|look up|extract)\b.{0,60}\b(\.env|ssh key|private key|"
        r"credentials? file|environment variables?|api keys?|passwords?|access tokens?|secret keys?|browser cookies|"
        r"key ?chain|wallet)\b.{0,120}\b(pass|send|include|put|provide|attach|append|supply|submit|copy|place|fill)\b"
        r".{0,60}\b(parameter|argument|field|as|in|into|to|with|here)\b",
        "it asks for secrets",
        (".env", "key", "credential", "environment", "password", "token", "cookies", "wallet"),
    ),
    _sign(
        r"\b(pass|send|include|put|provide|attach|append|supply|submit|copy|place|insert|add|fill in|paste)\b.{0,60}\b"
        r"((entire|full|whole|complete|previous|current|verbatim) (conversation|chat|dialog(ue)?|context|message "
        r"history|history|system prompt)|system prompt|conversation history|chat history|(previous|prior|earlier|all) "
        r"(messages|tool results|tool outputs|turns))\b",
        "it asks for the conversation",
        ("conversation", "chat", "dialog", "context", "history", "prompt", "messages", "results", "outputs", "turns"),
    ),
    _sign(
        r"\b(reveal|repeat|print|output|return|include|contents? of|copy of|text of|value of)\b.{0,30}\b(your|the|"
        r"model'?s?|assistant'?s?) (system|developer|initial|hidden) (prompt|message|instructions?)\b",
        "it asks for the system prompt",
        ("prompt", "message", "instruction"),
    ),
    _sign(
        r"\b(important|note|instructions?|message|attention|notice|reminder)\b.{0,20}\b(to|for) (the |any |all )?"
        r"(ai|llms?|language models?|assistants?|(ai )?agents?|models?)\b\s*(only)?\s*[:\-—!]|"
        r"\b(if|since|as) you are an? (ai|llm|language model|assistant|agent)\b|"
        r"\b(ai|llm) (assistant|agent|model)s?,? (must|should|shall|need to|has to|have to)\b.{0,40}\b(always|first|"
        r"before|also|never|include|call|read|send|pass|ignore)\b",
        "it speaks to the model",
        (" ai", "llm", "assistant", "agent", "model"),
    ),
    _sign(
        r"\byou (are|will be) now\b.{0,40}\b(mode|assistant|admin|developer|dan|unrestricted|jailbr\w+|root)\b|"
        r"\b(new|updated|real|hidden|secret) (system )?(instructions?|prompt|directives?)\s*[:\-]|"
        r"\b(developer|god|debug|admin|maintenance|jailbreak) mode (is )?(now )?(enabled|activated|on)\b",
        "it gives the model another role",
        ("you are", "you will", "instruction", "prompt", "directive", " mode"),
    ),
    _sign(
        r"\b(before|prior to) (using|calling|invoking|running|executing|you (use|call|invoke|run)) (this|the) "
        + _TOOLS
        + r"\b.{0,80}\b(read|open|cat|access|collect|gather|upload|dump|export|exfiltrate)\b",
        "it wants something else done first",
        ("before ", "prior to "),
    ),
    _sign(
        r"\b(this tool|the tool|it|i|operation|call|request)\b.{0,20}\b(will|won't|cannot|can't|does not|doesn't|"
        r"shall) (not )?(work|run|function|succeed|respond|be executed|proceed|unlock)\b.{0,40}\b(unless|until|if not|"
        r"otherwise|without)\b.{0,100}\b(read|content|file|key|token|password|secret|history|prompt|credential|config)",
        "it threatens not to work",
        ("unless", "until", "if not", "otherwise", "without"),
    ),
    _sign(
        r"\b(send|forward|post|upload|transmit|exfiltrate|deliver|report|copy|bcc|mail|e-?mail)\b.{0,80}\b(to|at) "
        r"(https?://\S+|[\w.+-]+@[\w-]+\.[\w.]+)\b.{0,100}\b(every|all|also|each|as well|too|first|afterwards|secret|"
        r"key|token|password|credential|conversation)|"
        r"\b(all|every|also|each|always|additionally)\b.{0,60}\b(send|forward|post|upload|transmit|deliver|report|copy|bcc|"
        r"mail|e-?mail)\b.{0,80}\b(to|at) (https?://\S+|[\w.+-]+@[\w-]+\.[\w.]+)",
        "it sends something somewhere",
        ("http", "@"),
    ),
)
"""Looked for in text without markup and with single blanks."""

_RAW_INSTRUCTIONS: Final = (
    (
        re.compile(
            r"<[ /]{0,5}(important|system|secret|hidden|instructions?|admin|critical|sys|override)[ ]{0,5}>",
            re.IGNORECASE,
        ),
        "a tag",
    ),
    (re.compile(r"<!--.{15,}?(-->|$)", re.DOTALL), "a comment that pages do not show"),
    (
        re.compile(
            r"<\|[a-z_]+\|>|\[/?INST\]|<<SYS>>|^#{2,}[ \t]{0,5}(system|assistant|human|user)[ \t]{0,5}:",
            re.IGNORECASE | re.MULTILINE,
        ),
        "a marker",
    ),
    (
        re.compile(r"\n[ \t]{0,20}(system|assistant|human)[ \t]{0,5}:[ \t]{0,5}\S", re.IGNORECASE),
        "a turn of a conversation",
    ),
    (re.compile(r"(?<!\s)(?:\s{80,}+|(?:[ \t]*+\r?\n){15,}+\s*+)\S"), "text far behind blank space"),
    (
        re.compile(r"!\[[^\]]*\]\(https?://[^)]*[?&=%{$][^)]*\)", re.IGNORECASE),
        "an image that sends something when it is shown",
    ),
    (
        re.compile(r"(?<![A-Za-z0-9+/=])(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[A-Z])[A-Za-z0-9+/]{120,}={0,2}"),
        "encoded text",
    ),
    (
        re.compile(
            r"(display\s*:\s*none|font-size\s*:\s*0|visibility\s*:\s*hidden|color\s*:\s*(white|#fff))", re.IGNORECASE
        ),
        "hidden text",
    ),
)
"""Looked for in the text as it is."""

_SPEAKS_OF_TOOLS: Final = re.compile(_TOOLS)


def _redirection(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern.replace("TOOL", _TOOLS), re.IGNORECASE)


_REDIRECTIONS: Final = (
    _redirection(
        r"\b(before|after|instead of|in place of|rather than|prior to|in preference to|ahead of)\b.{0,20}"
        r"\b(call|calling|use|using|invoke|invoking|run|running|executing)?\s*"
        r"\b(any|all|every|each)( of the)?( other| available)? TOOLs?\b"
    ),
    _redirection(
        r"\b(when(ever)?|if|each time|every time|any time|once)\b.{0,30}"
        r"\b(any|another|some|a different|other) (other )?TOOLs?\b.{0,30}"
        r"\b(is|are|was|were|gets?|has been|have been|needs?|returns?|would)\b.{0,60}"
        r"\b(call|use|invoke|must|should|first|send|pass|also|change|replace|set)"
    ),
    _redirection(
        r"\b(do not|don't|never|stop|avoid)\b.{0,15}"
        r"\b(use|call|invoke|trust|using|calling|invoking|trusting|rely on|relying on)\b.{0,15}"
        r"\b(any |all |the )?(other|another|different|official|original|built-?in|native)( \w+){0,2} TOOLs?\b"
    ),
    _redirection(
        r"\b(all|any|every|each)( other)?( future| subsequent| following)? TOOLs?('s)? "
        r"(calls?|requests?|invocations?|results?|outputs?)\b.{0,40}"
        r"\b(must|should|shall|have to|need to|are to|go|goes|be)\b.{0,40}"
        r"\b(go|goes|routed?|sent|passed|through|forwarded|first|here|proxied|this tool)\b"
    ),
    _redirection(
        r"\b(replaces|supersedes|takes precedence over|overrides|has priority over)\b.{0,15}"
        r"\b(all|any|every|the) (other|official|original|existing|built-?in)( \w+){0,2} TOOLs?\b"
    ),
    _redirection(
        r"\b(other|another|official|original|legacy|old|previous|existing|standard|competing)( \w+){0,2} TOOLs?\b"
        r".{0,30}\b(is|are|has been|have been)\b.{0,20}"
        r"\b(deprecated|insecure|unsafe|broken|compromised|disabled|unreliable|malicious|retired)\b.{0,80}"
        r"\b(use|call|instead|this)"
    ),
    _redirection(
        r"\b(when|whenever|if)\b.{0,40}"
        r"\b(send_?e?mail|e-?mail tool|payment|transfer|file|browser|search|git|chat|message)( \w+)? TOOLs?\b.{0,40}"
        r"\b(is|are|gets?)\b.{0,15}\b(called|used|invoked|available|present)\b.{0,80}"
        r"\b(must|should|always|instead|change|replace|set|recipient|also|bcc)"
    ),
)


def _texts(definition: ToolDefinition) -> Iterator[tuple[str, str]]:
    """Every text that a model gets to see, with where it is (a JSON Pointer)."""
    fields = msgspec.to_builtins(definition)
    metadata = {key: value for key, value in definition.metadata.items() if not key.startswith("original_")}
    yield from _walk(fields | {"metadata": metadata}, "")


def _walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            where = f"{path}/{str(name).replace('~', '~0').replace('/', '~1')}"
            if len(str(name)) > MAX_KEY:
                yield where[:200], str(name)
            yield from _walk(part, where)
    elif isinstance(value, Iterable) and not isinstance(value, bytes):
        for index, part in enumerate(value):
            yield from _walk(part, f"{path}/{index}")


MAX_KEY: Final = 64
"""Characters of a name of a property beyond which it is a text of its own."""


def _plain(text: str) -> str:
    """The text as somebody would say it: without invisible characters, look-alike letters and markup, in one line."""
    if not text.isascii():
        text = "".join(
            _CONFUSABLE.get(character, character)
            for character in unicodedata.normalize("NFKC", _untagged(text))
            if not _is_invisible(character)
        )
    return " ".join(_MARKUP.sub(" ", text.replace("`", "")).split())


_MARKUP: Final = re.compile(r"""[*_#>"'\u2018-\u201f]+(?=\s)|(?<=\s)[*_#>"'\u2018-\u201f]+|^[*_#>"'\u2018-\u201f]+""")


def _untagged(text: str) -> str:
    """Tag characters (U+E0020 to U+E007E) as the ASCII characters that they stand for."""
    return "".join(
        chr(ord(character) - 0xE0000) if 0xE0020 <= ord(character) <= 0xE007E else character for character in text
    )


def _quote(text: str, match: re.Match[str]) -> str:
    """What was matched, with a little around it, so that one can find it."""
    begin, end = max(0, match.start() - 10), min(len(text), match.end() + 20)
    shown = " ".join(text[begin:end].split())
    shown = "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in shown)
    return shown if len(shown) <= MAX_QUOTE else f"{shown[:MAX_QUOTE]}..."


MAX_QUOTE: Final = 160
