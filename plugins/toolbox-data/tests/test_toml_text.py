import pytest

import toolbox
from toolbox_data.toml_text import toml_to_json


def test_dates_and_times_become_iso_texts() -> None:
    text = "a = 1979-05-27T07:32:00-07:00\nb = 1979-05-27 07:32:00.5\nc = 1979-05-27\nd = [07:32:00]\n"
    assert toml_to_json(text) == {
        "a": "1979-05-27T07:32:00-07:00",
        "b": "1979-05-27T07:32:00.500000",
        "c": "1979-05-27",
        "d": ["07:32:00"],
    }


def test_tables_and_arrays_of_tables_nest() -> None:
    text = "[a.b]\nx = 1\n[[c]]\ny = 'p'\n[[c]]\ny = {z = true}\n"
    assert toml_to_json(text) == {"a": {"b": {"x": 1}}, "c": [{"y": "p"}, {"y": {"z": True}}]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = 1\nb = \n", r"not valid TOML: invalid value \(at line 2, column 5\)"),
        ("a = 1\na = 2\n", "not valid TOML: cannot overwrite a value"),
        ("a = {b = [1, nan]}", "the number nan at '/a/b/1'"),
        ("a = -inf", "the number -inf at '/a'"),
        ("a = " + "9" * 5_000, "not valid TOML"),
        ("a = 0x" + "f" * 300, "more than 1024 bits at '/a'"),
        ("a = 2024-02-30", "not valid TOML"),
        ("a = " + "[" * 5_000, "nests too deeply"),
        ("a = " + "{a = " * 5_000, "nests too deeply"),
        ("a = " + "[" * 150 + "]" * 150, "nests more than 100 levels"),
    ],
)
def test_what_is_not_toml_or_not_json_is_refused(text: str, problem: str) -> None:
    with pytest.raises(toolbox.ToolError, match=problem):
        toml_to_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "a." * 50_000 + "a = 1",
        "x = 1\n[" + "a . " * 50_000 + "a]",
        "x = {" + "'a'.\"a\"." * 50_000 + "a = 1}",
        'x = [ """a"""", {' + "b." * 50_000 + 'b = 1}, "" ]',
        "x = [ '''a'''', {" + "b." * 50_000 + "b = 1}, '' ]",
        'x = """\\""" """\n' + "b." * 50_000 + 'b = 1\ny = """\n"""',
        "# it's\n" + "b." * 50_000 + "b = 1",
    ],
)
def test_a_key_of_very_many_parts_is_refused_before_it_is_parsed(text: str) -> None:
    with pytest.raises(toolbox.ToolError, match="has more than 100 parts"):
        toml_to_json(text)


def test_dots_in_texts_comments_and_numbers_are_not_parts_of_a_key() -> None:
    dots = "a." * 200
    numbers = ", ".join(["1.5"] * 200)
    text = f'x = "{dots}" # {dots}\ny = """\n{dots}\n"""\nz = \'\'\'{dots}\'\'\'\nn = [{numbers}]\n'
    assert toml_to_json(text) == {"x": dots, "y": f"{dots}\n", "z": dots, "n": [1.5] * 200}
