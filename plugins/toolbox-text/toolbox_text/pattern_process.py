"""Runs one regular expression: reads a request from standard input and writes the answer to standard output.

`pattern_processes` starts this file as a program, so that it can be killed. It imports only what starts fast.
"""

import contextlib
import json
import os
import re
import sys
from itertools import islice
from typing import Any

MAX_RESULT_CHARACTERS = 1_000_000


class _Refused(Exception):
    """The request cannot be fulfilled; the message is for the caller."""


def main() -> None:
    """Answer the one request."""
    received = sys.stdin.buffer.read()
    if not received:  # whoever started this process ahead of need is gone
        return
    request = json.loads(received)
    _limit_resources(request["memory_limit_bytes"], request["cpu_limit_seconds"])
    try:
        answer = answer_request(request)
    except _Refused as refusal:
        answer = {"error": str(refusal)}
    except MemoryError:
        answer = {"error": "the pattern took too much memory on this text; make one of them shorter"}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # whoever asked waits for the end of this process, and the interpreter would tidy up first


def answer_request(request: dict[str, Any]) -> dict[str, Any]:
    """Search or replace, as the request's `job` says."""
    flags = (re.IGNORECASE if request["ignore_case"] else 0) | (re.MULTILINE if request["multiline"] else 0)
    try:
        pattern = re.compile(request["pattern"], flags)
    except RecursionError as error:
        raise _Refused("the pattern is nested too deeply") from error
    except (re.error, OverflowError) as error:
        raise _Refused(f"the pattern is not a regular expression: {error}") from error
    if request["job"] == "find":
        return _find(pattern, request["text"], request["limit"])
    return _replace(pattern, request["replacement"], request["text"], request["limit"])


def _find(pattern: re.Pattern[str], text: str, limit: int) -> dict[str, Any]:
    matches: list[dict[str, Any]] = []
    budget = MAX_RESULT_CHARACTERS
    found = pattern.finditer(text)
    for match in islice(found, limit):
        # the groups of one match may each hold the whole text, so they are measured before they are copied
        budget -= sum(end - start for start, end in match.regs)
        if budget < 0:
            raise _Refused(f"the matches have more than {MAX_RESULT_CHARACTERS:,} characters; lower the limit")
        matches.append(
            {
                "text": match[0],
                "start": match.start(),
                "end": match.end(),
                "groups": match.groups(),
                "named_groups": match.groupdict(),
            }
        )
    return {"matches": matches, "is_complete": next(found, None) is None}


def _replace(pattern: re.Pattern[str], replacement: str, text: str, limit: int) -> dict[str, Any]:
    budget = MAX_RESULT_CHARACTERS

    def expand(match: re.Match[str]) -> str:
        nonlocal budget
        expanded = match.expand(replacement)
        budget -= len(expanded)
        if budget < 0:
            raise _Refused(f"the replacements have more than {MAX_RESULT_CHARACTERS:,} characters; lower the limit")
        return expanded

    try:
        replaced, count = pattern.subn(expand, text, count=limit)
    except (re.error, IndexError) as error:
        raise _Refused(f"the replacement does not fit the pattern: {error}") from error
    return {"text": replaced, "replacements": count}


def _limit_resources(memory_bytes: int, cpu_seconds: int) -> None:
    if sys.platform == "win32":  # which has no such limits; the time limit of the caller still holds
        return
    import resource

    # a system that already allows less, or cannot limit memory (macOS), refuses
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))


if __name__ == "__main__":
    main()
