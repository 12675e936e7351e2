"""Libraries without what they load for purposes that are not ours: a command's start is mostly imports."""

import contextlib
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def hidden(package: str) -> Iterator[None]:
    """Let a package look as if it was not installed, for libraries that take it where they find it."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


with hidden("pygments"):  # else httpx loads its own command line, and all that this draws with
    import httpx

__all__ = ["hidden", "httpx"]
