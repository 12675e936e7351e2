"""The legs of the conformance run, and what came of them.

Scenarios are counted, not checks: where nothing answers at all, the suite still says that dozens of checks have passed.
Pure module, but for reading what the suite has written.
"""

import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

NEWEST = "0.2.0-alpha.12"
STABLE = "0.1.16"

VACUOUS = "wire-schema-valid"
"""Passes where no message was seen."""

NOTIFICATIONS = frozenset({"tasks-status-notifications"})
"""The suite does not know yet how to test them, and says so."""

Verdict = Literal["passed", "skipped", "warned", "failed"]


class Leg(Struct, frozen=True):
    """One run of the suite."""

    name: str
    version: str
    arguments: tuple[str, ...]
    scenarios: int
    """How many there are: fewer have not been run."""
    untested: frozenset[str] = frozenset()
    """Those in which the suite tests nothing."""


REQUIRED = (
    Leg("required-2025-11-25", NEWEST, ("--requirements", "2025-11-25"), 33),
    Leg("required-2026-07-28", NEWEST, ("--requirements", "2026-07-28"), 50, NOTIFICATIONS),
)

LEGS = (
    *REQUIRED,
    Leg("all-2025-03-26", NEWEST, ("--suite", "all", "--spec-version", "2025-03-26"), 1),
    Leg("all-2025-06-18", NEWEST, ("--suite", "all", "--spec-version", "2025-06-18"), 27),
    Leg("all-2025-11-25", NEWEST, ("--suite", "all", "--spec-version", "2025-11-25"), 33),
    Leg("all-2026-07-28", NEWEST, ("--suite", "all", "--spec-version", "2026-07-28"), 40),
    Leg("all-and-extensions", NEWEST, ("--suite", "all"), 65, NOTIFICATIONS),
    # This version says that it speaks 2025-03-26 where it tests streams that only 2025-11-25 has.
    Leg("stable", STABLE, ("--suite", "all"), 32, frozenset({"server-sse-polling"})),
)


class Check(Struct, frozen=True, rename="camel"):
    """What the suite says of one demand."""

    id: str
    status: Literal["SUCCESS", "FAILURE", "WARNING", "SKIPPED", "INFO"]
    error_message: str = ""


class Scenario(Struct, frozen=True):
    """What came of one scenario."""

    name: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> Verdict:
        """The worst that is said; a scenario in which nothing was tested is skipped, whatever else is said."""
        said = {check.status for check in self.checks}
        if "FAILURE" in said:
            return "failed"
        if "WARNING" in said:
            return "warned"
        return (
            "passed" if any(check.status == "SUCCESS" and check.id != VACUOUS for check in self.checks) else "skipped"
        )


class Outcome(Struct, frozen=True):
    """What came of a leg."""

    leg: Leg
    scenarios: tuple[Scenario, ...]
    unscored: frozenset[str]
    """Those that the suite runs without counting them."""
    exit_status: int

    @property
    def faults(self) -> list[str]:
        """All that keeps the leg from being whole, a line each."""
        found = [fault for scenario in self.scenarios for fault in _find_faults(scenario, self.leg)]
        if len(self.scenarios) < self.leg.scenarios:
            found.append(f"only {len(self.scenarios)} of {self.leg.scenarios} scenarios were run")
        if self.exit_status:
            found.append(f"the suite ended with {self.exit_status}")
        return found

    def count(self, verdict: Verdict, *, scored: bool | None = None) -> int:
        """How many scenarios came out like this: all of them, or only those that are scored, or that are not."""
        return sum(scenario.verdict == verdict for scenario in self.select(scored=scored))

    def select(self, *, scored: bool | None = None) -> list[Scenario]:
        """All scenarios, or only those that are scored, or that are not."""
        return [
            scenario for scenario in self.scenarios if scored is None or scored == (scenario.name not in self.unscored)
        ]


def choose_legs(names: Collection[str]) -> list[Leg]:
    """The legs with these names; all of them without any.

    Raises:
        ValueError: There is no such leg.
    """
    wanted = {*names, *(leg.name for leg in REQUIRED if "required" in names)} - {"required"}
    if unknown := wanted - {leg.name for leg in LEGS}:
        known = ", ".join(["required", *(leg.name for leg in LEGS)])
        raise ValueError(f"there is no leg {min(unknown)!r}; there are: {known}")
    return [leg for leg in LEGS if not names or leg.name in wanted]


def read_outcome(leg: Leg, folder: Path, said: str, exit_status: int) -> Outcome:
    """What the suite has written into a folder, and what it has said on the way."""
    unscored = re.findall(r"^ +[✓✗] (\S+) \(.*\)$", said.partition("Not scored for")[2], re.MULTILINE)
    paths = sorted(folder.glob("server-*/checks.json"))
    return Outcome(leg, tuple(_read_scenario(path) for path in paths), frozenset(unscored), exit_status)


def write_table(outcomes: Iterable[Outcome]) -> str:
    """A line for each leg."""
    rows = [("leg", "scored", "unscored", "skipped", "warned", "failed", ""), *map(_to_row, outcomes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _find_faults(scenario: Scenario, leg: Leg) -> list[str]:
    if scenario.verdict == "skipped":
        return [] if scenario.name in leg.untested else [f"{scenario.name}: nothing of it was tested"]
    bad = [check for check in scenario.checks if check.status in ("FAILURE", "WARNING")]
    return [f"{scenario.name}: {check.id}: {check.status}: {check.error_message}" for check in bad]


def _read_scenario(path: Path) -> Scenario:
    name = re.fullmatch(r"server-(.+?)-\d{4}-\d\d-\d\dT[\d-]+Z", path.parent.name)
    checks = msgspec.json.decode(path.read_bytes(), type=tuple[Check, ...])
    return Scenario(name[1] if name else path.parent.name, checks)


def _to_row(outcome: Outcome) -> tuple[str, ...]:
    scored, others = len(outcome.select(scored=True)), len(outcome.select(scored=False))
    return (
        outcome.leg.name,
        f"{outcome.count('passed', scored=True)}/{scored}",
        f"{outcome.count('passed', scored=False)}/{others}" if others else "",
        str(outcome.count("skipped")),
        str(outcome.count("warned")),
        str(outcome.count("failed")),
        "FAILED" if outcome.faults else "ok",
    )
