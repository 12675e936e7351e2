from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import toolbox
from toolbox_data.csv_text import csv_to_json, json_to_csv

cells = st.text(st.characters(codec="utf-8"), max_size=20)
tables = st.lists(
    cells.filter(lambda name: not name.startswith("\ufeff")), min_size=1, max_size=5, unique=True
).flatmap(lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, cells)), min_size=1, max_size=5))


@given(tables, st.sampled_from([",", ";", "\t", "|"]))
def test_rows_of_texts_come_back_as_they_were(rows: list[dict[str, Any]], delimiter: Any) -> None:
    table = csv_to_json(json_to_csv(rows, delimiter=delimiter), delimiter=delimiter)
    assert table.rows == rows
    assert table.columns == list(rows[0])


def test_nested_values_become_json_in_their_cell() -> None:
    rows = [{"id": 1, "tags": ["a", "b"], "size": {"cm": 2.5}, "ok": True, "none": None}]
    assert json_to_csv(rows) == 'id,tags,size,ok,none\r\n1,"[""a"",""b""]","{""cm"":2.5}",true,\r\n'


def test_columns_can_be_chosen_and_the_header_left_out() -> None:
    rows = [{"a": 1, "b": 2, "c": 3}, {"a": 4}]
    assert json_to_csv(rows, columns=["b", "a"], header=False) == "2,1\r\n,4\r\n"


def test_no_rows_give_no_lines_but_the_header_that_was_asked_for() -> None:
    assert json_to_csv([]) == ""
    assert json_to_csv([], columns=["a", "b"]) == "a,b\r\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"rows": [{"a": 1}], "columns": ["b"]}, "no row has the column 'b'; the rows have 'a'"),
        ({"rows": [{"a": 1}], "columns": ["a", "a"]}, "names 'a' twice"),
        ({"rows": [{}]}, "the rows have no keys"),
        ({"rows": [{"a": float("nan")}]}, "the number nan at '/0/a'"),
        ({"rows": [{f"k{i}": 1} for i in range(500)]}, "500 rows of 500 columns are more than 200,000 cells"),
    ],
)
def test_rows_that_make_no_table_are_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        json_to_csv(**arguments)


def test_formulas_are_escaped_on_demand_and_negative_numbers_are_not_formulas() -> None:
    rows = [{"=name": "=HYPERLINK(1)", "n": -5, "plain": "a=b"}]
    assert json_to_csv(rows, escape_formulas=True) == "'=name,n,plain\r\n'=HYPERLINK(1),-5,a=b\r\n"


def test_quotes_line_breaks_blank_lines_and_a_byte_order_mark_are_understood() -> None:
    table = csv_to_json('\ufeffname,note\r\n\r\n"Ann ""A""","two\nlines"\n')
    assert table.rows == [{"name": 'Ann "A"', "note": "two\nlines"}]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a;b\n1,5;2\n", ";"),
        ("a\tb\n1\t2\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ("a,b;c,d\n1,2;3,4\n", ","),
        ('a,b\n"x;y",1\n', ","),
        ("only\none\n", ","),
    ],
)
def test_the_delimiter_is_detected(text: str, delimiter: str) -> None:
    assert csv_to_json(text).delimiter == delimiter


def test_columns_without_a_header_are_numbered() -> None:
    assert csv_to_json("1,2\n3,4\n", header=False).rows == [
        {"column_1": "1", "column_2": "2"},
        {"column_1": "3", "column_2": "4"},
    ]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (["1", "-2", "0"], [1, -2, 0]),
        (["1.50", "", "2"], [1.5, None, 2]),
        (["TRUE", "false", "True"], [True, False, True]),
        (["1", "x"], ["1", "x"]),
        (["01234", "90210"], ["01234", "90210"]),
        (["1e5"], ["1e5"]),
        (["+1"], ["+1"]),
        (["NaN", "inf"], ["NaN", "inf"]),
        (["1234567890123456"], ["1234567890123456"]),
        (["true", "1"], ["true", "1"]),
        (["", ""], [None, None]),
        (["\u0661"], ["\u0661"]),
    ],
)
def test_a_column_gets_a_type_only_if_nothing_is_lost(column: list[str], values: list[Any]) -> None:
    text = "".join(f"{cell},x\n" for cell in ["c", *column])
    assert [row["c"] for row in csv_to_json(text, detect_types=True).rows] == values


def test_ragged_rows_are_reported_with_the_lines_on_which_they_begin() -> None:
    text = 'a,b\n"1\n1",2\n3\n4,5,6\n'
    with pytest.raises(toolbox.ToolError, match="the table has 2 columns, but line 4 has 1, line 5 has 3; quote"):
        csv_to_json(text, delimiter=",")


def test_only_the_first_ten_ragged_rows_are_listed() -> None:
    with pytest.raises(toolbox.ToolError, match="line 11 has 1 and 5 more rows"):
        csv_to_json("a,b\n" + "1\n" * 15, delimiter=",")


def test_short_rows_are_filled_on_demand_but_long_ones_never_cut() -> None:
    assert csv_to_json("a,b\n1\n", delimiter=",", fill_short_rows=True).rows == [{"a": "1", "b": None}]
    with pytest.raises(toolbox.ToolError, match="line 2 has 3"):
        csv_to_json("a,b\n1,2,3\n", delimiter=",", fill_short_rows=True)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the text has no rows"),
        ("\n\n", "the text has no rows"),
        ("a,a\n1,2\n", "the header on line 1 names the column 'a' twice"),
        ('a,b\n1,2\n3,"4\n', "the row that begins on line 3 is not valid CSV: unexpected end of data"),
        ('a,b\n1,"2"3\n', "the row that begins on line 2 is not valid CSV"),
        ("a\n" + "x" * 200_000, "the row that begins on line 2 is not valid CSV: field larger than field limit"),
    ],
)
def test_text_that_is_no_table_is_refused_with_the_line(text: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        csv_to_json(text)


def test_many_short_rows_under_a_wide_header_cannot_fill_the_memory() -> None:
    text = ",".join(f"c{number}" for number in range(1_000)) + "\n" + "1\n" * 1_000
    with pytest.raises(toolbox.ToolError, match="1,000 rows of 1,000 columns are more than 200,000 cells"):
        csv_to_json(text, fill_short_rows=True)


def test_a_long_column_name_above_many_rows_cannot_fill_the_memory() -> None:
    with pytest.raises(toolbox.ToolError, match=r"the table is too large: .* 5,000,000 characters"):
        csv_to_json("x" * 100_000 + "\n" + "1\n" * 1_000)
