"""Where in a plugin's own files something went wrong, as its author would look it up: `toolbox_demo/tools.py:12`."""

import inspect
import os
import sysconfig
import traceback
from pathlib import Path
from types import CodeType
from typing import Any

import pluggy

_OURS = tuple(f"{folder}{os.sep}" for folder in (Path(__file__).parents[1], Path(pluggy.__file__).parent))
_STANDARD = sysconfig.get_path("stdlib")
_INSTALLED = sysconfig.get_path("purelib"), sysconfig.get_path("platlib")


def find_place(error: BaseException) -> str | None:
    """The last place of a traceback that is in the files of the plugin that it runs through, if it runs through one.

    A plugin's mistake may show itself far down in a library: its author wants to know from which line of their own.
    """
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno or 1))
    foreign = [(file, line) for file, line in places if not _leads_there(file)]
    if not foreign:
        return None
    root = _root(Path(foreign[0][0]))
    return next(_show(Path(file), line) for file, line in reversed(foreign) if _root(Path(file)) == root)


def find_definition(subject: Any) -> str | None:
    """Where a function begins; None for what is no function, and for functions of nobody's files."""
    code = getattr(inspect.unwrap(subject), "__code__", None) if callable(subject) else None
    if not isinstance(code, CodeType) or _leads_there(code.co_filename):
        return None
    return _show(Path(code.co_filename), code.co_firstlineno)


def _leads_there(file: str) -> bool:
    """Whether it stands between us and a plugin: our code, pluggy, the standard library, and what is in no file."""
    return file.startswith(("<", *_OURS)) or (file.startswith(_STANDARD) and not file.startswith(_INSTALLED))


def _root(file: Path) -> Path:
    """The outermost package that a file is in, or the file itself."""
    root = file
    while (root.parent / "__init__.py").exists():
        root = root.parent
    return root


def _show(file: Path, line: int) -> str:
    """Without the folders around the package: they are of the machine, not of the plugin."""
    return f"{file.relative_to(_root(file).parent)}:{line}"
