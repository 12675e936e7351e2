"""Reads an arithmetic expression and computes it on the way: a recursive descent parser, with no `eval` anywhere.

    sum     = product (("+" | "-") product)*
    product = signed (("*" | "/" | "//" | "%") signed)*
    signed  = ("+" | "-") signed | power
    power   = atom ("**" signed)?
    atom    = number | constant | function "(" sum ("," sum)* ")" | "(" sum ")"

As in Python, `-2**2` is -4 and `2**3**2` is 2**9. Everything is bounded: the length, the nesting and, in
`operations`, the size of every number.
"""

import difflib
import re
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import toolbox
from toolbox_calculator.operations import CONSTANTS, FUNCTIONS, MAX_DIGITS, OPERATORS, Value, check_size, show

MAX_LENGTH = 1_000
MAX_NESTING = 50

_OTHER_SPELLINGS = {"^": "**", "×": "*", "·": "*", "÷": "/", "−": "-"}  # noqa: RUF001 - they are not what they look like
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z_0-9]*)
      | (?P<symbol>\*\*|//|[-+*/%(),{"".join(_OTHER_SPELLINGS)}])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)


def compute(expression: str) -> Value:
    """Compute an expression.

    Raises:
        ToolError: It cannot be read, or has no finite real value; the message says where.
    """
    if len(expression) > MAX_LENGTH:
        raise toolbox.ToolError(
            f"the expression has {len(expression):,} characters; at most {MAX_LENGTH:,} are allowed"
        )
    return _Parser(_tokens(expression)).result()


class _Token(NamedTuple):
    kind: str
    text: str
    position: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else f"{self.text!r} at character {self.position + 1}"


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if not match or not match.lastgroup:
            unread = text[position:].lstrip()
            raise toolbox.ToolError(f"cannot read {unread[0]!r} at character {len(text) - len(unread) + 1}")
        kind = match.lastgroup
        tokens.append(_Token(kind, _OTHER_SPELLINGS.get(match[kind], match[kind]), match.start(kind)))
        position = match.end()
    return tokens


class _Parser:
    """One method for each rule of the grammar above; each leaves `_token` at the first token it did not use."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._rest = iter(tokens)
        self._token = next(self._rest)
        self._nesting = 0

    def result(self) -> Value:
        value = self._sum()
        if self._token.kind != "end":
            raise toolbox.ToolError(f"expected an operator or the end, found {self._token}")
        return value

    def _sum(self) -> Value:
        value = self._product()
        while operator := self._take("+", "-"):
            value = _apply(operator, OPERATORS[operator.text], value, self._product())
        return value

    def _product(self) -> Value:
        value = self._signed()
        while operator := self._take("*", "/", "//", "%"):
            value = _apply(operator, OPERATORS[operator.text], value, self._signed())
        return value

    def _signed(self) -> Value:
        # Every recursion of the grammar passes here, so this is the one place that counts it.
        self._nesting += 1
        if self._nesting > MAX_NESTING:
            raise toolbox.ToolError(f"the expression is nested more than {MAX_NESTING} deep at {self._token}")
        sign = self._take("+", "-")
        value = self._signed() if sign else self._power()
        self._nesting -= 1
        return -value if sign and sign.text == "-" else value

    def _power(self) -> Value:
        value = self._atom()
        if operator := self._take("**"):
            return _apply(operator, OPERATORS["**"], value, self._signed())
        return value

    def _atom(self) -> Value:
        token = self._token
        if token.kind == "number":
            self._advance()
            return _read_number(token)
        if token.kind == "name":
            self._advance()
            return self._call(token) if self._token.text == "(" else _constant(token)
        if self._take("("):
            value = self._sum()
            self._close()
            return value
        raise toolbox.ToolError(f"expected a number, a name or '(', found {token}")

    def _call(self, name: _Token) -> Value:
        if name.text not in FUNCTIONS:
            raise _unknown(name, "function", list(FUNCTIONS))
        self._advance()
        arguments = [self._sum()]
        while self._take(","):
            arguments.append(self._sum())
        self._close()
        function = FUNCTIONS[name.text]
        if not function.least <= len(arguments) <= function.most:
            allowed = f"{function.least} to {function.most}" if function.most > function.least else f"{function.least}"
            raise toolbox.ToolError(f"{name} takes {allowed} argument(s), not {len(arguments)}")
        return _apply(name, function.compute, *arguments)

    def _close(self) -> None:
        if not self._take(")"):
            raise toolbox.ToolError(f"expected ')', found {self._token}")

    def _take(self, *symbols: str) -> _Token | None:
        """Use the next token if it is one of these symbols."""
        token = self._token
        if token.kind != "symbol" or token.text not in symbols:
            return None
        self._advance()
        return token

    def _advance(self) -> None:
        self._token = next(self._rest)


def _read_number(token: _Token) -> Value:
    _, _, exponent = token.text.lower().partition("e")
    if exponent and abs(int(exponent)) > MAX_DIGITS:
        raise toolbox.ToolError(f"the exponent of {token} is too large: at most {MAX_DIGITS:,} is allowed")
    return check_size(Fraction(token.text))


def _constant(name: _Token) -> Value:
    if name.text in FUNCTIONS:
        raise toolbox.ToolError(f"the function {name} needs its arguments in parentheses")
    if name.text not in CONSTANTS:
        raise _unknown(name, "name", [*CONSTANTS, *FUNCTIONS])
    return CONSTANTS[name.text]


def _unknown(name: _Token, kind: str, known: list[str]) -> toolbox.ToolError:
    near = difflib.get_close_matches(name.text, known, n=3) or known
    return toolbox.ToolError(f"there is no {kind} {name}; known are {', '.join(sorted(near))}")


def _apply(token: _Token, operation: Callable[..., Value], *operands: Value) -> Value:
    """Compute one step; what Python's numbers object to is said in words, with its place."""
    try:
        return operation(*operands)
    except ZeroDivisionError as error:
        raise toolbox.ToolError(f"division by zero by {token}") from error
    except ValueError as error:
        raise toolbox.ToolError(f"{token} is not defined for {', '.join(map(show, operands))}") from error
    except OverflowError as error:
        raise toolbox.ToolError(f"the result of {token} is too large to be computed") from error
