"""What lint flags in real catalogues, and in the attacks that are planted in a test.

    .dev/run python tests/benchmarks/lint.py TOOLS.jsonl ... [--json FLAGGED.json]

Each file is a source of its own, named after its folder. The tools that are flagged are listed with what was found.
"""

import argparse
import time
from pathlib import Path

import msgspec

from toolbox.definitions import ToolDefinition
from toolbox.tools.catalogue import read_catalogue
from toolbox.tools.lint import KnownNames, lint_definition

ATTACKS = Path(__file__).parents[1] / "tools" / "planted_attacks.json"


def main() -> None:
    """Look at all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, help="Write the list of flagged tools there.")
    options = parser.parse_args()
    tools, taken = list[tuple[str, ToolDefinition]](), set[str]()
    for file in options.files:
        source = f"import:{file.parent.name}"
        with file.open("rb") as lines:
            found = [tool.definition for tool in read_catalogue(lines, source=source, taken=taken).tools]
        taken.update(definition.name for definition in found)
        tools += [(source, definition) for definition in found]
    start = time.perf_counter()
    known = KnownNames({definition.name: source for source, definition in tools})
    flagged = []
    for source, definition in tools:
        if findings := lint_definition(definition, source=source, known=known):
            flagged.append({"source": source, "tool": definition.name, "findings": msgspec.to_builtins(findings)})
    seconds = time.perf_counter() - start
    for one in flagged:
        for finding in one["findings"]:
            print(f"{one['source']} {one['tool']}: {finding['rule']} at {finding['where']}: {finding['message']}")
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(flagged), indent=2))
    share = 100 * len(flagged) / len(tools)
    print(f"{len(flagged)} of {len(tools)} tools are flagged ({share:.2f} %), in {seconds:.1f} s")
    print(f"{_count_attacks()} of 20 planted attacks are flagged")


def _count_attacks() -> int:
    known = KnownNames({"github_create_issue": "upstream:github", "slack_send_message": "upstream:slack"})
    attacks = msgspec.json.decode(ATTACKS.read_bytes())
    return sum(
        attack["rule"] in {finding.rule for finding in lint_definition(definition, source="upstream:x", known=known)}
        for attack in attacks
        for definition in [msgspec.convert(attack["tool"], ToolDefinition)]
    )


if __name__ == "__main__":
    main()
