r"""Files of environment variables (`.env`), which hosts name as `envFile` beside a server's own `env`.

    # a comment
    export NAME=value             # so is this
    QUOTED="two\nlines"
    LITERAL='as it $stands'

Only files on the machine whose operator reads the configuration: nobody may have a server read files for them.
"""

import re
from pathlib import Path

from toolbox.errors import InvalidRequest
from toolbox.upstreams.config import check_variable

MAX_BYTES = 256 * 1024

_LINE = re.compile(
    r"(?:export[ \t]+)?(?P<name>[^\s=#'\"]+)[ \t]*=[ \t]*"
    r"(?:\"(?P<double>(?:\\.|[^\"\\])*)\"|'(?P<single>[^']*)'|(?P<plain>[^\n#'\"](?:[^\n#]|(?<![ \t])#)*)?)"
    r"[ \t]*(?:#[^\n]*)?(?:\n|$)",
    re.DOTALL,
)
_IGNORED = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n|[ \t]+|#[^\n]*$)+")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of a file; the last one of a name counts.

    Raises:
        InvalidRequest: It cannot be read, or a line of it is none, or sets what a server's environment may not.
    """
    try:
        if not path.is_file():
            raise InvalidRequest(f"envFile: there is no file {str(path)!r}")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InvalidRequest(f"envFile: {path} has more than {MAX_BYTES:,} bytes")
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InvalidRequest(f"envFile: {path} cannot be read: {why}") from None
    return parse_env_file(text, where=str(path))


def parse_env_file(text: str, *, where: str) -> dict[str, str]:
    """The variables of a text; `where` it is from begins each complaint, none of which says a value.

    Raises:
        InvalidRequest: As `read_env_file`.
    """
    text = re.sub(r"\r\n?", "\n", text)
    found, at = dict[str, str](), 0
    while True:
        if ignored := _IGNORED.match(text, at):
            at = ignored.end()
        if at == len(text):
            return found
        line = f"{where}, line {text.count(chr(10), 0, at) + 1}"
        match = _LINE.match(text, at)
        if match is None:
            raise InvalidRequest(f"{line}: NAME=VALUE is expected, or a comment")
        check_variable(line, match["name"])
        found[match["name"]] = _value(match)
        at = match.end()


def _value(match: re.Match[str]) -> str:
    if match["double"] is not None:
        return re.sub(r"\\(.)", lambda each: _ESCAPES.get(each[1], each[1]), match["double"], flags=re.DOTALL)
    return match["single"] if match["single"] is not None else (match["plain"] or "").strip()
