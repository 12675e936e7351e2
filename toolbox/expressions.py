"""JMESPath and JSON Pointers over results, within bounds. Pure module: no I/O.

An expression of JMESPath as short as `[@,@]|[@,@]|[@,@]...` doubles its value at each step. So everything that the
evaluator builds is weighed in full at once, and all of one evaluation must stay below a budget.
"""

from typing import Any

import jmespath.parser
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions, signature
from jmespath.visitor import Options, TreeInterpreter

from toolbox.errors import InvalidDefinition, ToolError

MAX_EXPRESSION = 2_000
MAX_WEIGHT = 3_000_000
"""About a second of work."""

_PASSING_ON = frozenset({"field", "identity", "current", "literal", "index", "subexpression", "pipe", "comparator"})
"""The kinds of node that build nothing: they pass on a part of a value."""


class Selection:
    """A part of a JSON value: a JSON Pointer (RFC 6901) if it begins with `/` or is empty, else JMESPath."""

    def __init__(self, text: str, where: str) -> None:
        """Read it; `where` says in errors which it is.

        Raises:
            InvalidDefinition: It is neither.
        """
        self._text = text
        self._is_pointer = not text or text.startswith("/")
        if len(text) > MAX_EXPRESSION:
            raise InvalidDefinition(f"{where}: it is longer than {MAX_EXPRESSION} characters")
        if not self._is_pointer:
            try:
                self._tree: Any = jmespath.parser.Parser().parse(text).parsed
            except (JMESPathError, RecursionError) as error:
                raise InvalidDefinition(f"{where}: {text[:100]!r} is no JMESPath: {error!s:.200}") from error

    def find_members(self, name: str) -> tuple[frozenset[str], bool]:
        """The members of a member of the document that an expression names, and whether it may look at others too.

        `steps.a.b` names `a`; `steps.*`, `@` or `values(@)` may look at all.
        """
        named, sees_all, pending = set[str](), False, [self._tree]
        while pending:
            node = pending.pop()
            children = [child for child in node.get("children", ()) if isinstance(child, dict)]
            first = children[0] if children else {}
            if node["type"] == "subexpression" and first.get("type") == "field" and first.get("value") == name:
                after = children[1] if len(children) > 1 else {}
                if after.get("type") == "field":
                    named.add(str(after["value"]))
                    continue
            if node["type"] == "field" and node.get("value") == name:
                sees_all = True
            if node["type"] in {"current", "identity"}:
                sees_all = True
            pending.extend(children)
        return frozenset(named), sees_all

    def select(self, document: Any) -> Any:
        """The selected part.

        Raises:
            ToolError: There is none, or finding it takes too much work.
        """
        if self._is_pointer:
            return _follow(self._text, document)
        try:
            return _BoundedInterpreter().visit(self._tree, document)
        except (JMESPathError, ArithmeticError, AttributeError, TypeError, ValueError, RecursionError) as error:
            reason = type(error).__name__ if isinstance(error, RecursionError) else str(error)
            raise ToolError(f"{self._text[:100]!r} does not fit the value: {reason:.200}") from error


def _follow(pointer: str, document: Any) -> Any:
    value = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(name)] if isinstance(value, list) and name.isdigit() else value[name]
        except (KeyError, IndexError, TypeError) as error:
            raise ToolError(f"there is nothing at {pointer[:100]!r}") from error
    return value


class _BoundedFunctions(Functions):
    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, texts: list[str]) -> str:
        """The one function whose result can be far larger than its input; measured before it is built."""
        if len(separator) * len(texts) > 10 * MAX_WEIGHT:
            raise _too_much_work()
        return separator.join(texts)


class _BoundedInterpreter(TreeInterpreter):
    def __init__(self) -> None:
        super().__init__(Options(custom_functions=_BoundedFunctions()))
        self._budget = MAX_WEIGHT

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().visit(node, *args, **kwargs)
        self._budget -= 1 if node["type"] in _PASSING_ON else _weigh(result, self._budget)
        if self._budget < 0:
            raise _too_much_work()
        return result


def _weigh(value: Any, enough: int) -> int:
    """How many values a value holds, shared ones counted each time, and long texts for more than one."""
    weight, pending = 0, [value]
    while pending and weight <= enough:
        item = pending.pop()
        weight += 1
        if isinstance(item, str):
            weight += len(item) // 10
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            weight += sum(map(len, item)) // 10
            pending.extend(item.values())
    return weight


def _too_much_work() -> ToolError:
    return ToolError("the expression builds too large a value; select less")
