"""JSON Pointer (RFC 6901): the path to one value inside a JSON document, such as `/users/0/name`."""

import re
from collections.abc import Iterable

import toolbox

_BAD_ESCAPE = re.compile(r"~(?![01])")


def write_pointer(steps: Iterable[str | int]) -> str:
    """The pointer for keys and array positions, outermost first; no steps is the whole document."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def read_pointer(pointer: str) -> list[str]:
    """The steps of a pointer, outermost first, with `~1` and `~0` read back.

    Raises:
        ToolError: The pointer breaks the syntax of RFC 6901, section 3.
    """
    if not pointer:
        return []
    if not pointer.startswith("/"):
        raise toolbox.ToolError(
            f"a JSON Pointer is empty or begins with '/', but this one begins with {pointer[0]!r}; "
            "a path with dots is JMESPath, which the query tool reads"
        )
    if bad := _BAD_ESCAPE.search(pointer):
        raise toolbox.ToolError(
            f"in the JSON Pointer, '~' at character {bad.start() + 1} is neither '~0' (for ~) nor '~1' (for /)"
        )
    # The order matters: "~01" is the key "~1", not "/" (RFC 6901, section 4).
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]
