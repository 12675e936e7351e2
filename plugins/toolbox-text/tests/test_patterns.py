"""Regular expressions, run for real, and what stops the hostile ones."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import toolbox
import toolbox_text
from toolbox_text import pattern_processes, patterns
from toolbox_text.pattern_process import answer_request
from toolbox_text.patterns import Match, Matches, Replacement, find_matches, replace_matches


def test_matches_are_listed_with_positions_and_groups() -> None:
    assert find_matches(r"(?P<key>\w+)=(\d+)?", "a=1, b=") == Matches(
        matches=[
            Match("a=1", 0, 3, groups=["a", "1"], named_groups={"key": "a"}),
            Match("b=", 5, 7, groups=["b", None], named_groups={"key": "b"}),
        ],
        is_complete=True,
    )


def test_a_pattern_may_match_nothing_or_the_empty_text() -> None:
    assert find_matches("x", "abc") == Matches([], is_complete=True)
    assert [match.start for match in find_matches("", "ab").matches] == [0, 1, 2]


def test_more_matches_than_the_limit_are_announced() -> None:
    found = find_matches("a", "aaa", limit=2)
    assert ([match.start for match in found.matches], found.is_complete) == ([0, 1], False)
    assert find_matches("a", "aaa", limit=3).is_complete


def test_case_and_line_ends_are_treated_as_asked() -> None:
    text = "Error one\nerror two"
    assert len(find_matches("^error", text).matches) == 0
    assert len(find_matches("^error", text, ignore_case=True).matches) == 1
    assert len(find_matches("^error", text, ignore_case=True, multiline=True).matches) == 2


def test_text_of_any_script_goes_through_unchanged() -> None:
    assert replace_matches("é+", "👍", "caféé \ud800 日本") == Replacement("caf👍 \ud800 日本", 1)


def test_replacements_may_use_groups_and_be_limited() -> None:
    assert replace_matches(r"(\w)(?P<rest>\w*)", r"\g<rest>\1", "ab cd", limit=1) == Replacement("ba cd", 1)


@settings(deadline=None, max_examples=20)
@given(st.text(alphabet="ab,\n", max_size=30), st.sampled_from(["a*", "a|b", "(a)(b)?", "^b", ",$"]))
def test_replacing_agrees_with_the_re_module(text: str, pattern: str) -> None:
    assert replace_matches(pattern, r"<\g<0>>", text) == Replacement(*re.subn(pattern, r"<\g<0>>", text))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "not a regular expression: missing \\), unterminated subpattern at position 0"),
        ("a{2}{3}", "not a regular expression: multiple repeat"),
        ("a{99999999999}", "not a regular expression: the repetition number is too large"),
        ("(?<=a+)b", "not a regular expression: look-behind requires fixed-width pattern"),
        ("(" * 499 + ")" * 499, "nested too deeply"),
    ],
)
def test_a_pattern_that_cannot_be_read_is_explained(pattern: str, message: str) -> None:
    with pytest.raises(toolbox.ToolError, match=message):
        find_matches(pattern, "text")


@pytest.mark.parametrize("replacement", [r"\2", r"\g<name>", "\\"])
def test_a_replacement_that_does_not_fit_is_explained(replacement: str) -> None:
    with pytest.raises(toolbox.ToolError, match="replacement does not fit the pattern"):
        replace_matches("(a)", replacement, "a")


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 50_000 + "b"),
        ("(a|a)*$", "a" * 50_000 + "b"),
        ("(.*)(.*)(.*)(.*)(.*)x", "a" * 20_000),
    ],
)
def test_a_catastrophic_pattern_is_stopped(monkeypatch: pytest.MonkeyPatch, pattern: str, text: str) -> None:
    monkeypatch.setattr(patterns, "TIME_LIMIT_SECONDS", 0.5)
    with pytest.raises(toolbox.ToolError, match=r"took more than 0\.5 seconds"):
        find_matches(pattern, text)
    with pytest.raises(toolbox.ToolError, match=r"took more than 0\.5 seconds"):
        replace_matches(pattern, "", text)


def test_nested_counted_repeats_cost_nothing() -> None:
    """The regex package needs 2 ** 60 steps and as much memory to read this pattern."""
    assert find_matches("(?:" * 60 + "a" + "){2}" * 60, "a" * 100).matches == []


def test_matches_that_add_up_to_too_much_are_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="more than 1,000,000 characters; lower the limit"):
        find_matches("(?=" + "(" * 40 + ".*" + ")" * 40 + ")", "a" * 100_000)


def test_replacements_that_add_up_to_too_much_are_refused() -> None:
    with pytest.raises(toolbox.ToolError, match="more than 1,000,000 characters; lower the limit"):
        replace_matches("", "x" * 1_000, "a" * 100_000)
    with pytest.raises(toolbox.ToolError, match="more than 1,000,000 characters; lower the limit"):
        replace_matches("(.+)", r"\1" * 300, "a" * 100_000)


def test_a_process_that_runs_out_of_memory_is_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "MEMORY_LIMIT_BYTES", 2**20)
    with pytest.raises(toolbox.ToolError, match="took too much memory"):
        find_matches("(?:(a)|(b))*c", "ab" * 50_000)


def test_a_process_that_the_system_ends_is_a_failed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "CPU_LIMIT_SECONDS", 1)
    monkeypatch.setattr(patterns, "TIME_LIMIT_SECONDS", 60)
    with pytest.raises(toolbox.ToolError, match="the system ended the search"):
        find_matches("(a+)+$", "a" * 50_000 + "b")


def test_the_process_does_not_see_the_environment_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "not for children")
    assert "SECRET_KEY" not in pattern_processes._clean_environment()


def test_a_request_can_be_answered_without_a_process() -> None:
    request: dict[str, Any] = {"job": "find", "pattern": "b", "text": "abc", "limit": 1}
    answer = answer_request(request | {"ignore_case": False, "multiline": False})
    assert answer == {
        "matches": [{"text": "b", "start": 1, "end": 2, "groups": (), "named_groups": {}}],
        "is_complete": True,
    }


async def test_while_the_plugin_is_in_use_a_process_waits_for_the_next_search() -> None:
    assert waiting() == []
    async with toolbox_text.toolbox_lifespan():
        assert waiting() == []  # whoever never searches pays nothing
        find_matches("a", "a")
        (process,) = waiting()
        find_matches("a", "a")
        assert process.returncode == 0
        (successor,) = waiting()
        with pytest.raises(toolbox.ToolError, match="not a regular expression"):
            find_matches("(", "a")
        (last,) = waiting()
        assert len({process.pid, successor.pid, last.pid}) == 3
    assert waiting() == []
    assert last.returncode is not None


async def test_a_waiting_process_that_was_killed_is_replaced() -> None:
    async with toolbox_text.toolbox_lifespan():
        find_matches("a", "a")
        (process,) = waiting()
        process.kill()
        process.wait()
        assert len(find_matches("a", "a").matches) == 1


async def test_searches_at_the_same_time_have_processes_of_their_own() -> None:
    async with toolbox_text.toolbox_lifespan():
        with ThreadPoolExecutor(4) as threads:
            starts = list(threads.map(lambda digit: find_matches(str(digit), "0123456789").matches[0].start, range(10)))
        assert starts == list(range(10))
        assert len(waiting()) <= 4
    assert waiting() == []


def test_a_waiting_process_ends_when_nobody_is_left_who_could_ask() -> None:
    process = pattern_processes._start()
    assert process.communicate(b"", timeout=10)[0] == b""
    assert process.returncode == 0


def waiting() -> list[subprocess.Popen[bytes]]:
    return list(patterns.PROCESSES._waiting)
