"""The log, as an operator reads it."""

import json
import subprocess
import sys

import pytest

CRASH = """
import logging
import sys

import structlog

from toolbox.settings import Settings
from toolbox.logs import configure_logging, keep_locals_out

if sys.argv[1] == "none":
    keep_locals_out()
else:
    configure_logging(Settings(log_format=sys.argv[1]))


def crash(word):
    key = word[::-1]
    raise RuntimeError("it crashed")


try:
    crash("hsifdrows")
except RuntimeError:
    structlog.get_logger("ours").exception("said by us")
    logging.getLogger("library").exception("said by a library")
"""


@pytest.mark.parametrize("log_format", ["console", "json", "none"])
def test_a_traceback_shows_no_values_of_variables(log_format: str) -> None:
    """In a process of its own, because logging is configured for the whole of one."""
    done = subprocess.run([sys.executable, "-c", CRASH, log_format], capture_output=True, text=True, check=True)
    log = done.stdout + done.stderr
    assert log.count("RuntimeError") >= 2
    assert "said by us" in log
    assert "said by a library" in log
    assert "swordfish" not in log
    assert "locals" not in log.replace("keep_locals_out", "")


ODD = r"""
import structlog

from toolbox.settings import Settings
from toolbox.logs import configure_logging

configure_logging(Settings(log_format="json"))
structlog.get_logger().info("odd", text="\ud800", thing=object(), keys={1: 2})
"""


def test_a_line_is_written_whatever_is_in_it() -> None:
    done = subprocess.run([sys.executable, "-c", ODD], capture_output=True, text=True, check=True)
    written = json.loads(done.stderr)
    assert (written["event"], written["text"], written["keys"]) == ("odd", "\ud800", {"1": 2})
