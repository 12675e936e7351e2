"""Tables: for people on a terminal, and for programs that read lines."""

import os
import pty
import subprocess
import sys

NAME = "a_name_of_sixty_characters_that_nobody_may_cut_or_fold_anywhere"
CODE = f"""
from toolbox.cli.output import print_table
print_table(["tool", "category", "what it does"], [("{NAME}", "text", "word " * 30), ("b", None, "two  \\nlines")])
"""


def test_in_a_pipe_each_row_is_one_line_without_blanks_at_its_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, env=os.environ | {"COLUMNS": "40"}
    )
    gap = " " * (len(NAME) + 2)
    assert done.stdout.splitlines() == [
        f"tool{gap[4:]}category  what it does",
        f"{NAME}  text      {' '.join(['word'] * 30)}",
        f"b{gap[1:]}          two lines",
    ]


def test_on_a_terminal_descriptions_fold_and_names_do_not() -> None:
    shown = on_terminal(CODE, columns=100)
    assert shown[0] == f"tool{' ' * (len(NAME) - 4)}  category  what it does"
    assert shown[1] == f"{NAME}  text      word word word word word"
    assert shown[2] == f"{' ' * len(NAME)}            word word word word word"
    assert all(len(line) <= 100 for line in shown)


def test_a_terminal_that_is_too_narrow_for_names_gets_longer_lines() -> None:
    shown = on_terminal(CODE, columns=20)
    assert shown[1] == f"{NAME}  text      word word"


def on_terminal(code: str, columns: int) -> list[str]:
    """What a terminal of that width shows, without colours."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "TERM": "dumb"}
    subprocess.run([sys.executable, "-c", code], stdout=theirs, env=environment, check=True)
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # Linux says so when the other end is closed
        pass
    os.close(ours)
    return [line.replace("\x1b[1m", "").replace("\x1b[0m", "") for line in shown.decode().splitlines()]
