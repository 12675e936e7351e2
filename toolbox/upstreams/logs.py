"""What a server said beside its answers: its last lines, bounded however much it says."""

from collections import deque
from datetime import UTC, datetime

from msgspec import Struct

from toolbox.definitions import Moment

MAX_LINES = 500
MAX_CHARACTERS = 1_000


class LogLine(Struct, frozen=True):
    """One line, when it came, and from where: what the server wrote, or what ToolBox says of it."""

    at: Moment
    source: str
    text: str


class Log:
    """The last lines of one server; it goes on when the server is started again."""

    def __init__(self, lines: int = MAX_LINES) -> None:
        self._lines = deque[LogLine](maxlen=lines)
        self._started = datetime.now(UTC)

    def add(self, source: str, text: str) -> None:
        """Keep a line."""
        self._lines.append(LogLine(datetime.now(UTC), source, text[:MAX_CHARACTERS]))

    def add_start(self, what: str) -> None:
        """Say that the server is started (again)."""
        self._started = datetime.now(UTC)
        self.add("toolbox", f"starting {what}")

    def last(self, count: int = MAX_LINES) -> list[LogLine]:
        """The last lines, oldest first."""
        return list(self._lines)[-count:] if count > 0 else []

    def tail(self, count: int = 3) -> str:
        """The last lines that the server wrote since its start, in one line: why it failed is often in them."""
        own = [
            line.text
            for line in self._lines
            if line.source == "stderr" and line.text.strip() and line.at >= self._started
        ]
        return " | ".join(own[-count:])
