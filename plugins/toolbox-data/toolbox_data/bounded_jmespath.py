"""Evaluate JMESPath, which comes from strangers, within bounds.

JMESPath has no loops, but an expression as short as `[@,@]|[@,@]|[@,@]...` doubles its value at each step: the
evaluator shares the copies, so they cost nothing until something compares, joins or prints them. So each value that
the evaluator builds is weighed in full at once, and the weights of one evaluation must stay below a budget.
"""

from typing import Any

import jmespath.parser
from jmespath.exceptions import ArityError, JMESPathError, JMESPathTypeError, ParseError
from jmespath.functions import Functions, signature
from jmespath.visitor import Options, TreeInterpreter

import toolbox

MAX_EXPRESSION = 2_000
MAX_WEIGHT = 3_000_000
"""About a second of work."""

_BUILDING = frozenset(
    {
        "multi_select_list",
        "multi_select_dict",
        "flatten",
        "slice",
        "projection",
        "value_projection",
        "filter_projection",
        "function_expression",
    }
)
"""The kinds of node that build a value; all others pass on a part of one."""


def search(expression: str, document: Any) -> Any:
    """The value of an expression for a document.

    Raises:
        ToolError: The expression is not valid JMESPath, does not fit the document, or needs too much work.
    """
    try:
        parsed: Any = jmespath.parser.Parser().parse(expression)
        return _BoundedInterpreter().visit(parsed.parsed, document)
    except RecursionError as error:
        raise toolbox.ToolError("the expression nests too deeply; split it into several queries") from error
    except JMESPathTypeError as error:  # its own text holds the whole value
        raise toolbox.ToolError(
            f"the function {error.function_name}() takes {' or '.join(error.expected_types)}, not {error.actual_type}"
        ) from error
    except ArityError as error:
        raise toolbox.ToolError(f"the expression calls a function wrongly: {error}") from error
    except ParseError as error:
        raise toolbox.ToolError(_where_it_breaks(error, expression)) from error
    except JMESPathError as error:
        raise toolbox.ToolError(f"the expression cannot be evaluated: {error}") from error
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        # What jmespath leaves to Python: a text compared with a number, merge() of a number, ceil() of infinity.
        raise toolbox.ToolError(f"the expression does not fit the document: {error}") from error


class _BoundedFunctions(Functions):
    @signature({"types": ["string"]}, {"types": ["array-string"]})
    def _func_join(self, separator: str, texts: list[str]) -> str:
        """The one function whose result can be far larger than its input; measured before it is built."""
        if _text_weight(len(separator) * len(texts)) > MAX_WEIGHT:
            raise _too_much_work()
        return separator.join(texts)


class _BoundedInterpreter(TreeInterpreter):
    def __init__(self) -> None:
        super().__init__(Options(custom_functions=_BoundedFunctions()))
        self._budget = MAX_WEIGHT

    def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
        result = super().visit(node, *args, **kwargs)
        self._budget -= _weight(result, self._budget) if node["type"] in _BUILDING else 1
        if self._budget < 0:
            raise _too_much_work()
        return result


def _weight(value: Any, enough: int) -> int:
    """How many values a value holds, shared ones counted each time, and long texts for more than one.

    Stops counting soon after `enough`.
    """
    weight = 0
    pending = [value]
    while pending and weight <= enough:
        item = pending.pop()
        weight += 1
        if isinstance(item, str):
            weight += _text_weight(len(item))
        elif isinstance(item, list):
            pending.extend(item)
        elif isinstance(item, dict):
            weight += _text_weight(sum(map(len, item)))
            pending.extend(item.values())
    return weight


def _text_weight(characters: int) -> int:
    return characters // 10


def _too_much_work() -> toolbox.ToolError:
    return toolbox.ToolError("the expression builds too large a value; select less, or split it into several queries")


def _where_it_breaks(error: ParseError, expression: str) -> str:
    position: Any = error.lex_position  # None where the expression breaks off, whatever its stubs say
    if position is not None and 0 <= position < len(expression):
        rest = expression[position:][:20]
        return f"the expression breaks at character {position + 1}, before {rest!r}"
    return "the expression ends too early"
