"""How commands speak: tables for people, JSON for programs."""

import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import click
import msgspec

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
url_option = click.option(
    "--url", metavar="URL", help="Work on the server at this address, with the key in API_KEY, instead of this machine."
)

GAP = "  "
NARROWEST = 12
"""Cells of a terminal that a column has at least, if there is so much in it."""


def count(number: int, noun: str) -> str:
    """A number of things, in English."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_fields(fields: Mapping[str, Any]) -> None:
    """One line for each field that says something."""
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            click.echo(f"{name}: {value if isinstance(value, str) else msgspec.json.encode(value).decode()}")


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, caption: str | None = None, whole: int = 0
) -> None:
    """A table. On a terminal it folds to the width of that; elsewhere each row is one line, whatever its length.

    The column `whole` is never folded: it names the things, and names are copied from here. Nor are headers. Where
    even that needs more room than the terminal has, lines are longer.
    """
    cells = [["" if cell is None else " ".join(str(cell).split()) for cell in row] for row in rows]
    if cells:
        widths = _share_out(list(columns), cells, whole)
        click.echo("\n".join(click.style(line, bold=True) for line in _lay_out(columns, widths)))
        for row in cells:
            click.echo("\n".join(_lay_out(row, widths)))
    if caption:
        click.echo(caption)


def _share_out(columns: list[str], rows: list[list[str]], whole: int) -> list[int]:
    """How wide each column is: as wide as what is in it, or less where the terminal has not so much room."""
    from rich.cells import cell_len  # loaded where it is used: --json needs none of it

    widths = [max(map(cell_len, column)) for column in zip(columns, *rows, strict=True)]
    least = [min(width, max(cell_len(name), NARROWEST)) for name, width in zip(columns, widths, strict=True)]
    least[whole] = widths[whole]
    room = shutil.get_terminal_size().columns - len(GAP) * (len(columns) - 1) if sys.stdout.isatty() else sum(widths)
    while sum(widths) > max(room, sum(least)):
        widest = max(range(len(widths)), key=lambda number: (widths[number] > least[number], widths[number]))
        widths[widest] -= 1
    return widths


def _lay_out(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of a row, without blanks at their ends."""
    from rich.cells import set_cell_size

    folded = [_fold(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        GAP.join(set_cell_size(part, width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*folded, fillvalue="")
    ]


def _fold(text: str, width: int) -> list[str]:
    from rich.cells import cell_len

    if cell_len(text) <= width:
        return [text]
    from rich.console import Console
    from rich.text import Text

    return [line.plain.rstrip() for line in Text(text).wrap(Console(), width, overflow="fold")]
