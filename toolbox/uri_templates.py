"""URI templates (RFC 6570): what resources are named by, and how the variables are found again in a URI.

Level 1 is understood, and one form of level 2: `{name}` stands for one segment, without `/`, `?` and `#`; `{+name}`, as
the last variable, for anything. Both are percent-decoded, and neither is ever empty. Reading a URI takes time linear in
its length, whatever the template. Pure module: no I/O.
"""

import re
from typing import NamedTuple
from urllib.parse import unquote

from toolbox.errors import InvalidDefinition

MAX_URI = 4096

_VARIABLE = re.compile(r"\{(\+?)([A-Za-z_][A-Za-z0-9_]*)\}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f<>\"\\^`{|}]+")  # RFC 3986, not yet percent-encoded
_STOPS = re.compile(r"[/?#]")


class Variable(NamedTuple):
    """A place for a value; `is_open` is whether it may go on over `/`, `?` and `#`."""

    name: str
    is_open: bool


class UriTemplate:
    """A URI, or a form of URIs."""

    def __init__(self, text: str) -> None:
        """Read a template.

        Raises:
            InvalidDefinition: It is no URI, or says something that is not understood.
        """
        self.text = text
        parts = _VARIABLE.split(text)
        self._literals = parts[::3]
        self._variables = tuple(Variable(name, bool(plus)) for plus, name in zip(parts[1::3], parts[2::3], strict=True))
        self._check()

    @property
    def variables(self) -> tuple[str, ...]:
        """The names, in their order."""
        return tuple(variable.name for variable in self._variables)

    def match(self, uri: str) -> dict[str, str] | None:
        """The decoded values that make the template this URI; None if there are none.

        Where several would do, each variable ends as early as it can.
        """
        first, *separators = self._literals
        if not uri.startswith(first):
            return None
        values, start, last = dict[str, str](), len(first), len(self._variables) - 1
        for number, (variable, separator) in enumerate(zip(self._variables, separators, strict=True)):
            if number == last:
                end = len(uri) - len(separator) if uri.endswith(separator) else -1
            else:
                end = uri.find(separator, start + 1)
            value = _decode(uri[start:end], variable) if end > start else None
            if value is None:
                return None
            values[variable.name] = value
            start = end + len(separator)
        return values if start == len(uri) else None

    def _check(self) -> None:
        example = "".join(self._literals[:1] + [f"x{literal}" for literal in self._literals[1:]])
        if not is_uri(example):
            raise InvalidDefinition(
                f"{self.text!r} is no URI: it needs a scheme, such as notes://today, and variables such as {{name}}"
            )
        if len(set(self.variables)) < len(self.variables):
            raise InvalidDefinition(f"{self.text!r} names a variable twice")
        if any(not literal for literal in self._literals[1:-1]):
            raise InvalidDefinition(f"{self.text!r} has two variables with nothing between them")
        if any(variable.is_open for variable in self._variables[:-1]):
            raise InvalidDefinition(f"{self.text!r}: only the last variable may be written {{+name}}")


def is_uri(text: str) -> bool:
    """Whether a text is a URI that is not too long; characters beyond ASCII may stand as they are (RFC 3987)."""
    return len(text) <= MAX_URI and _URI.fullmatch(text) is not None


def _decode(value: str, variable: Variable) -> str | None:
    if not variable.is_open and _STOPS.search(value):
        return None
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        return None
