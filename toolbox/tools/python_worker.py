"""Finding the function that a Python tool names; as a program, running one in a process of its own.

The program reads `{"function", "allowed", "arguments"}` from standard input, and writes `{"result"}`, or why there is
none: `{"failed"}` in words for the caller, `{"crashed"}` as a traceback, which is for the log alone. Whatever the
function itself prints goes to standard error. It must not import `toolbox`: that would cost each call.
"""

import asyncio
import importlib
import inspect
import json
import keyword
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any


class Refused(Exception):
    """The function is not allowed, or is none; says which."""


def check_allowed(path: str, allowed: Sequence[str]) -> None:
    """Look at the name alone.

    Raises:
        Refused: It is no name of a function, or its module is not below one of those that are allowed.
    """
    *module, function = path.split(".")
    names = [*module, function]
    if not module or not all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
        raise Refused(f"{path[:100]!r} is no module.function")
    if any(name.startswith("_") for name in names):
        raise Refused(f"{path[:100]!r} is private")
    if not _is_below(".".join(module), allowed):
        raise Refused(
            f"the module {'.'.join(module)[:100]!r} is not allowed; allowed are {', '.join(allowed) or 'none'} "
            "(PYTHON_EXECUTOR_ALLOWED_MODULES)"
        )


def find_function(path: str, allowed: Sequence[str]) -> Callable[..., Any]:
    """The function; one that its module has only imported from elsewhere is not allowed with it.

    Raises:
        Refused: It is not allowed, or there is none.
    """
    check_allowed(path, allowed)
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except Exception as error:
        raise Refused(f"{path[:100]!r} cannot be loaded: {type(error).__name__}: {error!s:.200}") from error
    if not inspect.isroutine(found):
        raise Refused(f"{path[:100]!r} is no function")
    home = getattr(found, "__module__", None) or module_name
    if not _is_below(home, allowed):
        raise Refused(f"{path[:100]!r} comes from {home[:100]!r}, which is not allowed")
    function: Callable[..., Any] = found
    return function


def _is_below(module: str, allowed: Sequence[str]) -> bool:
    return any(module == prefix or module.startswith(f"{prefix}.") for prefix in allowed)


def main() -> None:
    """Run the function that standard input names."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what it prints is no answer
    wanted = json.load(sys.stdin)
    try:
        function = find_function(wanted["function"], wanted["allowed"])
        result = function(**wanted["arguments"])
        if inspect.isawaitable(result):
            result = asyncio.run(_wait(result))
        answer = json.dumps({"result": result}, allow_nan=False, default=_plain)
    except Refused as error:
        answer = json.dumps({"failed": str(error)})
    except MemoryError:
        answer = json.dumps({"failed": "it needs more memory than `memory_mb` lets it have"})
    except BaseException as error:  # noqa: BLE001 - whatever it was, the other side is to know
        is_meant = type(error).__module__ == "toolbox.errors" and type(error).__name__ == "ToolError"
        answer = json.dumps({"failed": str(error)} if is_meant else {"crashed": traceback.format_exc()})
    answers.write(answer)
    answers.close()


async def _wait(result: Any) -> Any:
    return await result


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)


if __name__ == "__main__":
    main()
