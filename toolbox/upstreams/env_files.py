r"""Files of environment variables (`.env`), which hosts name as `envFile` beside a server's own `env`.

    # a comment
    export NAME=value             # so is this
    QUOTED="two\nlines"
    LITERAL='as it $stands'

Only files on the machine whose operator reads the configuration: nobody may have a server read files for them.
"""

from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from toolbox.errors import InvalidRequest
from toolbox.upstreams.config import check_variable

MAX_BYTES = 256 * 1024


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
    found = dict[str, str]()
    for binding in parse_stream(StringIO(text)):
        written = binding.original.string
        blank = len(written) - len(written.lstrip("\r\n \t"))
        line = f"{where}, line {binding.original.line + written[:blank].count(chr(10))}"
        if binding.error or (binding.key is not None and binding.value is None):
            raise InvalidRequest(f"{line}: NAME=VALUE is expected, or a comment")
        if binding.key is not None and binding.value is not None:
            check_variable(line, binding.key)
            found[binding.key] = binding.value
    return found
