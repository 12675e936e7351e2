"""docs/security.md names a test for each risk, and each of them is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_test_that_the_security_map_names_is_there() -> None:
    named = re.findall(r"`(tests/\S+?\.py)::(\w+)`", (ROOT / "docs/security.md").read_text())
    assert len(named) > 20
    missing = [f"{path}::{name}" for path, name in named if name not in names_in(ROOT / path)]
    assert missing == []


def names_in(path: Path) -> set[str]:
    """The names of the tests in a file, also of those in classes."""
    if not path.exists():
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, functions)}
