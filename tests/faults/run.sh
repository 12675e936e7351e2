#!/bin/sh
# Breaks, one after the other and under load, everything that ToolBox needs, and ends with ever more callers:
#   tests/faults/run.sh [--callers N] [--seconds N] [--only FAULT ...] [--breaking-point | --no-breaking-point]
# Needs nothing but this checkout; takes about six minutes. --help names the faults.
set -eu
cd "$(dirname "$0")/../.."
exec .dev/run python -m tests.faults.run "$@"
