"""Counting what came of the conformance suite."""

from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from tests.conformance.legs import LEGS, Leg, Outcome, choose_legs, read_outcome, write_table

TWO = Leg("two", "1", (), 2, frozenset({"untestable"}))
PASSED = {"id": "answers", "status": "SUCCESS", "timestamp": "2026-11-21T16:00:00.000Z"}
VACUOUS = {"id": "wire-schema-valid", "status": "SUCCESS"}
SKIPPED = {"id": "notifies", "status": "SKIPPED"}
WARNING = {"id": "lists", "status": "WARNING", "errorMessage": "in no order"}
FAILURE = {"id": "lists", "status": "FAILURE", "errorMessage": "HTTP 500"}


def read(folder: Path, *, said: str = "", exit_status: int = 0, **scenarios: list[dict[str, Any]]) -> Outcome:
    for name, checks in scenarios.items():
        path = folder / f"server-{name}-2026-11-21T16-00-21-564Z" / "checks.json"
        path.parent.mkdir()
        path.write_bytes(json.encode(checks))
    return read_outcome(TWO, folder, said, exit_status)


def test_a_leg_is_whole_when_every_scenario_has_been_tested_and_none_has_failed(tmp_path: Path) -> None:
    outcome = read(tmp_path, first=[PASSED, VACUOUS], second=[PASSED, SKIPPED])
    assert (outcome.count("passed"), outcome.faults) == (2, [])


@pytest.mark.parametrize(("check", "status"), [(WARNING, "WARNING: in no order"), (FAILURE, "FAILURE: HTTP 500")])
def test_a_warning_is_a_fault_as_a_failure_is(tmp_path: Path, check: dict[str, Any], status: str) -> None:
    outcome = read(tmp_path, first=[PASSED], second=[PASSED, check])
    assert outcome.faults == [f"second: lists: {status}"]


def test_a_scenario_that_saw_no_message_has_not_passed(tmp_path: Path) -> None:
    outcome = read(tmp_path, first=[PASSED], second=[VACUOUS])
    assert (outcome.count("passed"), outcome.faults) == (1, ["second: nothing of it was tested"])


def test_what_the_suite_cannot_test_is_no_fault_and_no_pass(tmp_path: Path) -> None:
    outcome = read(tmp_path, first=[PASSED], untestable=[SKIPPED, VACUOUS])
    assert (outcome.count("passed"), outcome.count("skipped"), outcome.faults) == (1, 1, [])


def test_scenarios_that_were_not_run_are_missed(tmp_path: Path) -> None:
    assert read(tmp_path, first=[PASSED]).faults == ["only 1 of 2 scenarios were run"]


def test_a_suite_that_breaks_off_is_a_fault(tmp_path: Path) -> None:
    assert read(tmp_path, exit_status=3, first=[PASSED], second=[PASSED]).faults == ["the suite ended with 3"]


def test_scenarios_that_the_suite_does_not_score_are_counted_apart(tmp_path: Path) -> None:
    said = "✓ first: 1 passed\n\nNot scored for 2026-07-28: 1 scenario(s) run.\n  ✗ second (extension)\n"
    outcome = read(tmp_path, said=said, first=[PASSED], second=[FAILURE])
    assert write_table([outcome]).splitlines() == [
        "leg  scored  unscored  skipped  warned  failed        ",
        "two  1/1     0/1       0        0       1       FAILED",
    ]


def test_legs_are_chosen_by_name_and_all_without_any() -> None:
    assert choose_legs([]) == list(LEGS)
    assert [leg.name for leg in choose_legs(["stable", "required"])] == [
        "required-2025-11-25",
        "required-2026-07-28",
        "stable",
    ]


def test_a_leg_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="there is no leg 'newest'; there are: required, required-2025-11-25"):
        choose_legs(["newest"])
