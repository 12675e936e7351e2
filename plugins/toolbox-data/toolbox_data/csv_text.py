"""CSV text to JSON rows and back (RFC 4180).

CSV has no types and no nesting, so what either direction does with them is an explicit choice of the caller, and
rows that do not fit their header are reported with their line, never quietly cut or filled.
"""

import collections
import csv
import io
import itertools
import re
import typing
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

import toolbox
from toolbox_data.conventions import CATEGORY, MAX_VALUES, PURE, Text
from toolbox_data.values import require_json, shown

Delimiter = Literal[",", ";", "\t", "|"]
_DELIMITERS: tuple[Delimiter, ...] = typing.get_args(Delimiter)

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet run a cell (OWASP, "CSV Injection")."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_EXACT_DIGITS = 15
"""A number of up to 15 digits survives being a 64-bit float; longer ones (card numbers, ids) must stay text."""

_BOOLEANS = {"true": True, "false": False}


@toolbox.tool(
    title="JSON to CSV",
    category=CATEGORY,
    tags=["json", "csv", "convert", "table", "spreadsheet", "export"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="convert this list of JSON objects to CSV",
            arguments={"rows": [{"name": "Ann", "age": 41}, {"name": "Bob", "city": "Rome, Italy"}]},
            result='name,age,city\r\nAnn,41,\r\nBob,,"Rome, Italy"\r\n',
        ),
        toolbox.ToolExample(
            query="export only two fields of my records as a semicolon separated file for Excel",
            arguments={
                "rows": [{"id": 7, "total": 12.5, "note": "paid"}],
                "columns": ["id", "total"],
                "delimiter": ";",
            },
            result="id;total\r\n7;12.5\r\n",
        ),
    ],
)
def json_to_csv(
    rows: list[dict[str, Any]],
    columns: list[str] | None = None,
    delimiter: Delimiter = ",",
    header: bool = True,
    escape_formulas: bool = False,
) -> str:
    r"""Convert a list of JSON objects to CSV text for a spreadsheet, Excel or a database import.

    Null and missing values become empty cells, true and false stay words, and an object or array inside a row
    becomes JSON text in its cell (flatten the rows first to get columns such as `address.city`). Cells are quoted
    where CSV needs it; lines end in \r\n, as RFC 4180 says.

    Args:
        rows: One object for each row.
        columns: Which keys to write, in this order; left out, all keys in the order in which they first appear.
        delimiter: What stands between two cells.
        header: Whether the first line names the columns.
        escape_formulas: Put an apostrophe before texts that a spreadsheet would run as a formula (=, +, -, @);
            use it for data of strangers that people will open.
    """
    require_json(rows, "rows")
    names = _named_columns(rows, columns)
    _require_few_cells(len(rows), len(names))
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    if header and names:
        writer.writerow(_cell(name, escape_formulas) for name in names)
    for row in rows:
        writer.writerow(_cell(row.get(name), escape_formulas) for name in names)
    return text.getvalue()


class CsvTable(Struct, frozen=True):
    """The rows of a CSV text, one object each, with the column names and the delimiter that was used."""

    columns: list[str]
    rows: list[dict[str, Any]]
    delimiter: Delimiter


@toolbox.tool(
    title="CSV to JSON",
    category=CATEGORY,
    tags=["csv", "json", "convert", "parse", "table", "spreadsheet"],
    annotations=PURE,
    examples=[
        toolbox.ToolExample(
            query="parse this CSV into JSON objects",
            arguments={"text": 'name,city\nAnn,"Rome, Italy"\n'},
            result={"columns": ["name", "city"], "rows": [{"name": "Ann", "city": "Rome, Italy"}], "delimiter": ","},
        ),
        toolbox.ToolExample(
            query="turn a semicolon separated table into JSON with real numbers and booleans",
            arguments={"text": "id;price;sold\n007;9.50;true\n008;12;\n", "detect_types": True},
            result={
                "columns": ["id", "price", "sold"],
                "rows": [
                    {"id": "007", "price": 9.5, "sold": True},
                    {"id": "008", "price": 12, "sold": None},
                ],
                "delimiter": ";",
            },
        ),
    ],
)
def csv_to_json(
    text: Text,
    delimiter: Literal["auto", ",", ";", "\t", "|"] = "auto",
    header: bool = True,
    detect_types: bool = False,
    fill_short_rows: bool = False,
) -> CsvTable:
    """Parse CSV text into JSON: one object for each row, with the header line as keys.

    Reads quoted cells with commas, quotes and line breaks inside (RFC 4180); blank lines are skipped. A row that is
    longer or shorter than the header is an error that names its line.

    Args:
        text: The CSV text.
        delimiter: What stands between two cells. "auto" takes the one that splits the first 20 rows into the same
            number of columns, and the most of them; a comma if none does.
        header: Whether the first line names the columns; if not, they are called column_1, column_2 ...
        detect_types: Turn columns that hold only plain numbers, or only true and false, into such values, and empty
            cells into null. A column with any other cell stays text, and so do numbers with leading zeros, an
            exponent or more than 15 digits. If false, every cell is text.
        fill_short_rows: Give rows that are too short null for the cells that they lack, instead of an error.
    """
    text = text.removeprefix("\ufeff")
    used = _detect_delimiter(text) if delimiter == "auto" else delimiter
    records = list(_records(text, used))
    columns = _read_header(records, header)
    body = records[1:] if header else records
    _require_few_cells(len(body), len(columns))
    _require_fitting(body, len(columns), fill_short_rows)
    filled = [fields + [None] * (len(columns) - len(fields)) for _, fields in body]
    if detect_types:
        filled = [list(row) for row in zip(*map(_typed, zip(*filled, strict=True)), strict=True)]
    rows = [dict(zip(columns, row, strict=True)) for row in filled]
    require_json(rows, "the table")  # every row repeats the names of its columns, which may be long
    return CsvTable(columns, rows, used)


def _named_columns(rows: list[dict[str, Any]], chosen: list[str] | None) -> list[str]:
    present = list(dict.fromkeys(key for row in rows for key in row))
    if chosen is None:
        if rows and not present:
            raise toolbox.ToolError("the rows have no keys, so there are no columns to write")
        return present
    if repeated := _repeated(chosen):
        raise toolbox.ToolError(f"columns names {shown(repeated)} twice")
    if rows and (absent := sorted(set(chosen) - set(present))):
        raise toolbox.ToolError(
            f"no row has the column {shown(absent[0])}; the rows have {', '.join(map(shown, present[:20]))}"
        )
    return chosen


def _cell(value: Any, escape_formulas: bool) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    return f"'{value}" if escape_formulas and value.startswith(_FORMULA_STARTS) else value


def _detect_delimiter(text: str) -> Delimiter:
    best = max(_DELIMITERS, key=lambda delimiter: _common_width(text, delimiter))
    return best if _common_width(text, best) > 1 else ","


def _common_width(text: str, delimiter: Delimiter) -> int:
    """How many columns each of the first rows has; 0 if they differ."""
    try:
        widths = {len(fields) for _, fields in itertools.islice(_records(text, delimiter), 20)}
    except toolbox.ToolError:
        return 0
    return widths.pop() if len(widths) == 1 else 0


def _records(text: str, delimiter: Delimiter) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line on which it begins: a quoted cell may go on over several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for fields in reader:
            if fields:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        raise toolbox.ToolError(f"the row that begins on line {line} is not valid CSV: {error}") from error


def _read_header(records: list[tuple[int, list[str]]], header: bool) -> list[str]:
    if not records:
        raise toolbox.ToolError("the text has no rows")
    line, first = records[0]
    if not header:
        return [f"column_{number}" for number in range(1, len(first) + 1)]
    if repeated := _repeated(first):
        raise toolbox.ToolError(
            f"the header on line {line} names the column {shown(repeated)} twice; rename one, or pass header=false"
        )
    return first


def _require_fitting(body: list[tuple[int, list[str]]], width: int, fill_short_rows: bool) -> None:
    misfits = [
        f"line {line} has {len(fields)}"
        for line, fields in body
        if len(fields) > width or (len(fields) < width and not fill_short_rows)
    ]
    if misfits:
        more = f" and {len(misfits) - 10} more rows" if len(misfits) > 10 else ""
        raise toolbox.ToolError(
            f"the table has {width} columns, but {', '.join(misfits[:10])}{more}; "
            "quote cells that contain the delimiter, or pass fill_short_rows=true if cells are missing at the end"
        )


def _require_few_cells(rows: int, columns: int) -> None:
    """One wide row and many short ones could otherwise fill a table of any size."""
    if rows * columns > MAX_VALUES:
        raise toolbox.ToolError(
            f"{rows:,} rows of {columns:,} columns are more than {MAX_VALUES:,} cells; split the table"
        )


def _typed(cells: tuple[str | None, ...]) -> list[Any]:
    """The cells of one column as numbers or booleans if every cell that is filled is one; empty ones become null."""
    filled = [cell for cell in cells if cell]
    if filled and all(map(_is_exact_number, filled)):
        return [(float(cell) if "." in cell else int(cell)) if cell else None for cell in cells]
    if filled and all(cell.lower() in _BOOLEANS for cell in filled):
        return [_BOOLEANS[cell.lower()] if cell else None for cell in cells]
    return [cell or None for cell in cells]


def _is_exact_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None and sum(map(str.isdigit, cell)) <= _EXACT_DIGITS


def _repeated(names: list[str]) -> str | None:
    return next((name for name, count in collections.Counter(names).items() if count > 1), None)
