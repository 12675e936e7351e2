#!/bin/sh
# Loads a server steadily for HOURS (0.25 is 15 minutes) and says whether what it holds stays the same:
#   tests/soak.sh HOURS [--workers N] [--callers N] [--pause SECONDS]
# Rows as they come go to stderr; a table and the judgement to stdout. The exit status is 1 if anything grows.
set -eu
cd "$(dirname "$0")/.."
exec .dev/run python -m tests.benchmarks.soak "$@"
