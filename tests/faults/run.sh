#!/bin/sh
# Breaks, one after the other and under load, everything that ToolBox needs: tests/faults/run.sh [--callers N] [--seconds N]
# [--only FAULT ...]. Needs nothing but this checkout; takes about five minutes.
set -eu
cd "$(dirname "$0")/../.."
exec .dev/run python -m tests.faults.run --breaking-point "$@"
